"""Pages of payments: which one to ask for next, and when all have come, whatever the gateway's count says."""

from collections.abc import Iterable

from adapters.qpay.config import PAGE_ROWS
from adapters.qpay.wire import PageBody
from domain.gateway import GatewayUnreadableError


class Paging:
    """One way through the pages of one question.

    `called` names the endpoint in messages. `pages_max` bounds the way.
    """

    def __init__(self, *, called: str, pages_max: int) -> None:
        self._called = called
        self._pages_max = pages_max
        self._rows = 0
        self._count: int | None = None
        self._last_page_taken = False
        self.pages = 0
        self.moved = False
        """Whether the count changed on the way, so that rows may have moved onto pages that were read before."""

    def __bool__(self) -> bool:
        """Tell whether another page is to be asked for.

        Raises:
            GatewayUnreadableError: there still is after `pages_max` pages.

        """
        if not self._last_page_taken and self.pages >= self._pages_max:
            raise self._endless()
        return not self._last_page_taken

    @property
    def offset(self) -> dict[str, int]:
        """Name the next page as QPay wants it; both count from 1 (QPay v2 workbook, 2026-03)."""
        return {"page_number": self.pages + 1, "page_limit": PAGE_ROWS}

    @property
    def missing(self) -> int:
        """How many rows fewer came than the last page's count has told of."""
        return max(0, (self._count or 0) - self._rows)

    @property
    def count(self) -> int | None:
        """The last page's count; None when it did not tell."""
        return self._count

    @property
    def total(self) -> int | None:
        """How many rows there are on all pages, as far as this is known; a count may be that of a page alone."""
        if self._last_page_taken:
            return max(self._rows, self._count or 0)
        return self._count if self.missing else None

    def take(self, page: PageBody) -> None:
        """Count a page that has come. A count that is missing or too small is not believed.

        Nor is one that may be the page's own: behind a full page, another one is asked for.

        Raises:
            GatewayUnreadableError: more rows than all pages together may hold.

        """
        self.moved |= self.pages > 0 and page.count != self._count
        self.pages += 1
        self._rows += len(page.rows)
        self._count = page.count
        if self._rows > self._pages_max * PAGE_ROWS:
            raise self._endless()
        if not page.rows:
            self._last_page_taken = True
        elif page.count is None or page.count < self._rows:
            self._last_page_taken = len(page.rows) < PAGE_ROWS
        else:
            short = len(page.rows) < PAGE_ROWS
            self._last_page_taken = page.count == self._rows and (short or page.count > len(page.rows))

    def _endless(self) -> GatewayUnreadableError:
        return GatewayUnreadableError(f"QPay's {self._called} has no end after {self._pages_max} pages")


def distinct(rows: Iterable[object]) -> set[str]:
    """Name the rows so that two tellings of one payment have one name; what has no id is told apart by its content."""
    return {name_of(row) for row in rows}


def name_of(row: object) -> str:
    """Name one row, given as `read_json` gives it."""
    match row:
        case {"payment_id": str() | int() as payment_id} if not isinstance(payment_id, bool) and payment_id:
            return f"payment {payment_id}"
        case _:
            return f"row {row!r}"
