"""`payment/list` on QPay's wire: the payments of a window, page by page, and how QPay reads the window's times."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from adapters.calls.http import Request
from adapters.qpay.config import PAGE_ROWS, Limits, QPayConfig
from adapters.qpay.list_zone import CANDIDATES, NEAR, PROBE, ListZone, Zone
from adapters.qpay.paging import Paging
from adapters.qpay.rows import read_found
from adapters.qpay.session import Calls, Session
from adapters.qpay.wire import PageBody, read_body
from domain.gateway import GatewayUnreadableError
from domain.payment_row import FoundPage, FoundPayment

SPLIT_MIN = timedelta(seconds=2)
"""A window this short is not halved any more: the wire's times are in whole seconds."""

_FIRST = {"page_number": 1, "page_limit": PAGE_ROWS}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """The rows of one page, and how many there are in all, if that is known."""

    rows: list[object]
    total: int | None


class Listing:
    """Asks for the payments of windows, one bounded call a page.

    The INVOICE list of our invoice_code is asked for (QPay v2 workbook, 2026-03), in pages of 100: larger ones fail.
    """

    def __init__(self, session: Session, *, config: QPayConfig, limits: Limits) -> None:
        self._session = session
        self._invoice_code = config.invoice_code
        self._told = None if config.list_offset is None else Zone(offset=config.list_offset, tried=True)
        self._limits = limits

    def pages(self, *, since: datetime, until: datetime) -> Iterator[FoundPage]:
        """Tell which payments QPay lists in [`since`, `until`).

        In which zone QPay reads a window is not documented: while it is unknown, a day more is asked for on both
        sides, and the first payment with a time is used to find it out. Where a window shows payments of another time
        alone, what is believed of the zone is wrong, and it is asked for as if nothing were known.
        """
        zone = self._told or self._session.consult(ListZone.read)
        wide = None
        if not zone.tried:
            zone, wide = self._find_out(*zone.window(since, until))
        if zone.offset is None:
            yield from self._pages(zone, since, until, first=wide)
            return
        for number, page in enumerate(self._pages(zone, since, until)):
            if number == 0 and _is_of_another_time(page, since, until):
                log.warning("qpay.list_zone_wrong", offset_h=zone.offset / timedelta(hours=1), asked=page.asked)
                yield from self._pages(Zone(offset=None, tried=True), since, until)
                return
            yield page

    def _pages(
        self, zone: Zone, since: datetime, until: datetime, *, first: PageBody | None = None
    ) -> Iterator[FoundPage]:
        start, end = zone.window(since, until)
        for page in self._walk(start, end, first=first):
            yield FoundPage(
                found=tuple(map(read_found, page.rows)),
                total=page.total,
                asked=f"{_wire_time(start)} to {_wire_time(end)}",
                exact=zone.offset is not None,
            )

    def _walk(self, start: datetime, end: datetime, *, first: PageBody | None = None) -> Iterator[_Listed]:
        """Read all pages of a window by QPay's clock; one that has more than can be turned to is read in halves."""
        paging = Paging(called="payment/list", pages_max=self._limits.list_pages_max)
        readable_max = self._limits.list_pages_max * PAGE_ROWS
        while paging:
            page = first or self._page(start, end, paging.offset)
            first = None
            paging.take(page)
            if (paging.count or 0) > readable_max or (paging.pages == self._limits.list_pages_max and paging.missing):
                yield from self._walk_halves(start, end)
                return
            yield _Listed(rows=page.rows, total=paging.total)

    def _walk_halves(self, start: datetime, end: datetime) -> Iterator[_Listed]:
        if end - start <= SPLIT_MIN:
            raise GatewayUnreadableError("QPay's payment/list has more payments in one second than can be read")
        middle = (start + (end - start) / 2).replace(microsecond=0)
        for half in (self._walk(start, middle), self._walk(middle, end)):
            for listed in half:
                yield _Listed(rows=listed.rows, total=None)

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

    def _find_out(self, start: datetime, end: datetime) -> tuple[Zone, PageBody]:
        """Return what is known of the zone from now on, and the first page of a window as wide as it must be before.

        What is around one payment of that page is asked for in each zone that it may be; only one should show it.
        """
        wide = self._page(start, end, _FIRST)
        times = (found.row.paid_at for found in map(read_found, wide.rows) if isinstance(found, FoundPayment))
        paid_at = next((time for time in times if time is not None), None)
        if paid_at is None:
            return Zone(offset=None, tried=False), wide
        showing = [offset for offset in CANDIDATES if self._lists_by(offset, at=paid_at)]
        offset = showing[0] if len(showing) == 1 else None
        self._session.consult(lambda known: known.write(offset))
        log.info("qpay.list_zone", offset_h=None if offset is None else offset / timedelta(hours=1))
        return Zone(offset=offset, tried=True), wide

    def _lists_by(self, offset: timedelta, *, at: datetime) -> bool:
        """Tell whether what is listed around `at` by a clock that is `offset` ahead of UTC was paid about then."""
        page = self._page(at + offset - PROBE, at + offset + PROBE, _FIRST)
        times = [found.row.paid_at for found in map(read_found, page.rows) if isinstance(found, FoundPayment)]
        return any(time is not None and abs(time - at) <= NEAR for time in times)


def _is_of_another_time(page: FoundPage, since: datetime, until: datetime) -> bool:
    """Tell whether a page has payments whose times are known, and none of them was paid in the window."""
    times = [one.row.paid_at for one in page.found if isinstance(one, FoundPayment) and one.row.paid_at is not None]
    return bool(times) and not any(since - NEAR <= time <= until + NEAR for time in times)


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


def _wire_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
