"""`payment/check` on QPay's wire: every payment of one invoice, over all pages, even while rows move between them."""

import structlog

from adapters.calls.http import Request
from adapters.qpay.paging import Paging, distinct, name_of
from adapters.qpay.session import Calls
from adapters.qpay.wire import PageBody, read_body

ROUNDS_MAX = 3
"""How often pages are read from the first on. Twice is enough if payments come no faster than they can be read."""

log = structlog.get_logger()


async def read_rows(calls: Calls, external_id: str, *, pages_max: int) -> tuple[list[object], bool]:
    """Return all rows, in QPay's order and as often as QPay gives them, and whether it has told of all it counts.

    A row that comes or goes while pages are read moves the others: the new one, or one that moved, is on a page that
    was read before. A count that changes on the way, or more than there are payments, is the sign of it; then pages
    are read again, and rows that only an earlier round has seen are kept. A round that brings nothing new is the last.

    Raises:
        GatewayUnreadableError: the pages have no end, or one cannot be read.
        GatewayError: as `Calls.call`.

    """
    rows, paging = await _read_round(calls, external_id, pages_max=pages_max)
    rounds = 1
    while rounds < ROUNDS_MAX and paging.pages > 1 and (paging.moved or len(distinct(rows)) < (paging.count or 0)):
        again, paging = await _read_round(calls, external_id, pages_max=pages_max)
        rounds += 1
        had, told_again = distinct(rows), distinct(again)
        rows = [*again, *(row for row in rows if name_of(row) not in told_again)]
        if told_again <= had:
            break
    if (missing := (paging.count or 0) - len(distinct(rows))) > 0:
        log.warning("qpay.rows_missing", external_id=external_id, count=paging.count, missing=missing, rounds=rounds)
    return rows, not paging.missing  # a row that comes twice is counted twice, and hides none


async def _read_round(calls: Calls, external_id: str, *, pages_max: int) -> tuple[list[object], Paging]:
    rows: list[object] = []
    paging = Paging(called="payment/check", pages_max=pages_max)
    while paging:
        body: dict[str, object] = {"object_type": "INVOICE", "object_id": external_id, "offset": paging.offset}
        request = Request(endpoint="POST payment/check", method="POST", path="/payment/check", body=body)
        page = read_body(PageBody, (await calls.call(request)).body)
        paging.take(page)
        rows += page.rows
    return rows, paging
