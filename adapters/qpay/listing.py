"""`payment/list` on QPay's wire: the payments of a window, page by page, and how QPay reads the window's times."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import structlog

from adapters.calls.http import Request
from adapters.qpay.config import PAGE_ROWS, Limits, QPayConfig
from adapters.qpay.list_zone import CANDIDATES, PROBE, ListZone, Zone
from adapters.qpay.paging import Paging
from adapters.qpay.rows import read_found
from adapters.qpay.session import Calls, Session
from adapters.qpay.wire import PageBody, read_body
from domain.gateway import FoundPayment, GatewayUnreadableError, UnreadableRow

SPLIT_MIN = timedelta(seconds=2)
"""A window this short is not halved any more: the wire's times are in whole seconds."""

Found = FoundPayment | UnreadableRow

log = structlog.get_logger()


class Listing:
    """Asks for the payments of windows, one bounded call a page.

    The INVOICE list of our invoice_code is asked for (QPay v2 workbook, 2026-03), in pages of 100: larger ones fail.
    """

    def __init__(self, session: Session, *, config: QPayConfig, limits: Limits) -> None:
        self._session = session
        self._invoice_code = config.invoice_code
        self._limits = limits

    def payments(self, *, since: datetime, until: datetime) -> Iterator[Found]:
        """Tell which payments there were in [`since`, `until`), and those whose time cannot be read.

        In which zone QPay reads a window is not documented: while it is unknown, a day more is asked for on both
        sides, and the first payment with a time is used to find it out.
        """
        zone = self._session.consult(ListZone.read)
        for found in self._walk(*zone.window(since, until)):
            if not zone.tried and isinstance(found, FoundPayment) and found.row.paid_at is not None:
                zone = self._find_out(found.row.payment_id, found.row.paid_at)
            if _is_within(found, since=since, until=until):
                yield found

    def _walk(self, start: datetime, end: datetime) -> Iterator[Found]:
        """Read all pages of a window by QPay's clock; one that has more than can be turned to is read in halves."""
        paging = Paging(called="payment/list", pages_max=self._limits.list_pages_max)
        readable_max = self._limits.list_pages_max * PAGE_ROWS
        while paging:
            page = self._page(start, end, paging.offset)
            paging.take(page)
            if (paging.count or 0) > readable_max or (paging.pages == self._limits.list_pages_max and paging.missing):
                yield from self._walk_halves(start, end)
                return
            yield from map(read_found, page.rows)

    def _walk_halves(self, start: datetime, end: datetime) -> Iterator[Found]:
        if end - start <= SPLIT_MIN:
            raise GatewayUnreadableError("QPay's payment/list has more payments in one second than can be read")
        middle = (start + (end - start) / 2).replace(microsecond=0)
        yield from self._walk(start, middle)
        yield from self._walk(middle, end)

    def _page(self, start: datetime, end: datetime, offset: dict[str, int]) -> PageBody:
        body: dict[str, object] = {
            "object_type": "INVOICE",
            "object_id": self._invoice_code,
            "start_date": _wire_time(start),
            "end_date": _wire_time(end + timedelta(seconds=1)),  # whether the end is within the window is not told
            "offset": offset,
        }

        async def work(calls: Calls) -> PageBody:
            request = Request(endpoint="POST payment/list", method="POST", path="/payment/list", body=body)
            return read_body(PageBody, (await calls.call(request)).body)

        return self._session.run(work, timeout_s=self._limits.look_timeout_s)

    def _find_out(self, payment_id: str, paid_at: datetime) -> Zone:
        """Ask for two minutes around a known payment, in each zone that it may be; only one should show it."""
        showing = [offset for offset in CANDIDATES if self._shows(payment_id, at=paid_at + offset)]
        offset = showing[0] if len(showing) == 1 else None
        self._session.consult(lambda known: known.write(offset))
        log.info("qpay.list_zone", offset_h=None if offset is None else offset / timedelta(hours=1))
        return Zone(offset=offset, tried=True)

    def _shows(self, payment_id: str, *, at: datetime) -> bool:
        page = self._page(at - PROBE, at + PROBE, {"page_number": 1, "page_limit": PAGE_ROWS})
        return any(
            isinstance(row, FoundPayment) and row.row.payment_id == payment_id for row in map(read_found, page.rows)
        )


def require_window(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Return the window in UTC.

    Raises:
        ValueError: a time is naive, or `since` is after `until`.

    """
    if since.tzinfo is None or until.tzinfo is None:
        raise ValueError("since and until need a time zone")
    if since > until:
        raise ValueError("since is after until")
    return since.astimezone(UTC), until.astimezone(UTC)


def _is_within(found: Found, *, since: datetime, until: datetime) -> bool:
    if isinstance(found, UnreadableRow) or found.row.paid_at is None:
        return True
    return since <= found.row.paid_at < until


def _wire_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
