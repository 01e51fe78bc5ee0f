"""The payments of a list that were paid within bounds, by what their rows tell: what most tests of lists ask for."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from domain.gateway import PaymentGateway
from domain.payment_row import FoundPayment, UnreadableRow

ROOM = timedelta(minutes=10)
"""A payment may be listed by a time that is so far from the one that it tells."""


def found_within(
    gateway: PaymentGateway, *, since: datetime, until: datetime
) -> Iterator[FoundPayment | UnreadableRow]:
    told: set[str] = set()
    for page in gateway.discover(since=since - ROOM, until=until + ROOM):
        for found in page.found:
            if isinstance(found, UnreadableRow):
                yield found
            elif found.row.payment_id not in told and _is_within(found, since=since, until=until):
                told.add(found.row.payment_id)
                yield found


def _is_within(found: FoundPayment, *, since: datetime, until: datetime) -> bool:
    return found.row.paid_at is None or since <= found.row.paid_at < until
