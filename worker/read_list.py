"""Reads a window of a gateway's list to its end, and once more when it moved while it was read."""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from domain.gateway import PaymentGateway
from domain.payment_row import FoundPayment, UnreadableRow

log = structlog.get_logger()

READS_MAX = 2
"""A list that moves again is taken as it is: what is missing from it is checked before anybody believes that."""

Rows = Sequence[FoundPayment | UnreadableRow]


def read_list(
    gateway: PaymentGateway,
    *,
    since: datetime,
    until: datetime,
    take: Callable[[Rows], None],
    after_page: Callable[[int], None],
) -> int:
    """Hand each page's rows to `take`, which must not mind rows that come again, and return how many pages came.

    `after_page` hears how many rows a page had; it may wait. Errors as in `discover`.
    """
    pages = 0
    for _ in range(READS_MAX):
        totals: set[int] = set()
        seen: set[str] = set()
        rows = 0
        for page in gateway.discover(since=since, until=until):
            take(page.found)
            totals.update(() if page.total is None else (page.total,))
            ids = {one.payment_id for one in page.found}
            # One that moved onto a second page may have pushed another one off both.
            rows += len(page.found) - len(ids & seen)
            seen.update(one for one in ids if one is not None)
            pages += 1
            after_page(len(page.found))
        if len(totals) <= 1 and max(totals, default=0) <= rows:
            break
        log.info("reconcile.list_moved", gateway=gateway.name, totals=sorted(totals), rows=rows)
    return pages
