"""Ring: wake workers for whatever is due in PostgreSQL, so that a lost message costs seconds and no payment."""

from collections.abc import Callable
from uuid import UUID

import structlog

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.ledger import Appended
from adapters.postgres.notifications import Notifications
from adapters.redis.doorbell import CLOSE_ACTOR, Doorbell, DoorbellError
from domain.delivery import Lane

log = structlog.get_logger()

Ring = Callable[[str, UUID, float], None]
"""Wakes a worker for a gateway's QR, in so many seconds, as well as it can: never raises."""

PAGE = 500
"""Rung in one statement: large enough to catch up quickly, small enough to hold its locks for milliseconds."""

AT_ONCE_MAX = 20
"""An append about more invoices is an import; the scheduler rings for those, a page at a time."""

WAITING_MAX = 2_000
"""No more of a gateway is rung while so many of its messages wait: a thousand a second at most, and without workers
they would pile up in Redis, all saying the same."""


def ring_due(check_requests: CheckRequests, gateway_invoices: GatewayInvoices, doorbell: Doorbell) -> int:
    """Ring for checks that are due and QRs that are to be closed, and return how many checks that was.

    Creates that were not answered in time are given up first, where they can be cancelled all the same.

    Gateways take turns, page by page, and each has a queue of its own: however much is due at one, the others are rung
    as if it were not there. Of one whose workers have enough to do nothing is rung.

    Raises:
        DoorbellError: Redis did not take a message; what was not rung is due again in seconds.

    """
    rung = 0
    turns: dict[str, int] = {}
    for gateway in gateway_invoices.gateways():
        check_requests.mend_waits(gateway, page=PAGE)
        gateway_invoices.give_up_overdue(gateway, page=PAGE)
        turns[gateway] = max(0, WAITING_MAX - doorbell.waiting(gateway)) // PAGE
        if turns[gateway]:
            doorbell.ring(gateway_invoices.take_closing(gateway, page=PAGE), gateway=gateway, actor=CLOSE_ACTOR)
    while turns := {gateway: left for gateway, left in turns.items() if left}:
        for gateway in turns:
            due = check_requests.ring_due(gateway, page=PAGE)
            doorbell.ring(due, gateway=gateway)
            rung += len(due)
            turns[gateway] = turns[gateway] - 1 if len(due) == PAGE else 0
    if rung:
        log.info("ring.due", count=rung)
    return rung


def ring_quietly(doorbell: Doorbell) -> Ring:
    """Return a bell whose silence is only logged: what is due is in PostgreSQL, and is rung again from there."""

    def ring(gateway: str, gateway_invoice_id: UUID, wait_s: float) -> None:
        try:
            doorbell.ring([gateway_invoice_id], gateway=gateway, wait_s=wait_s)
        except DoorbellError as error:
            log.warning("doorbell.silent", reason=str(error), consequence="the scheduler rings when Redis is back")

    return ring


def ring_lanes(notifications: Notifications, doorbell: Doorbell) -> int:
    """Ring for notifications that are due, and return for how many lanes. What nobody tried for days is left unsent.

    Raises:
        DoorbellError: Redis did not take a message; what was not rung is due again in seconds.

    """
    if left := notifications.leave_unsent(page=PAGE):
        log.warning("notify.left_unsent", count=left)
    if parked := notifications.park_overdue(page=PAGE):
        log.error("notify.parked", count=parked, reason="workers died over them")
    rung = 0
    for _ in range(max(0, WAITING_MAX - doorbell.waiting_lanes()) // PAGE):
        due = notifications.ring_due(page=PAGE)
        doorbell.ring_lanes(due)
        rung += len(due)
        if len(due) < PAGE:
            break
    if rung:
        log.info("notify.rung", count=rung)
    return rung


def ring_for_told(doorbell: Doorbell) -> Callable[[Appended], None]:
    """Return what wakes a worker for what an append has staged; its silence is only logged.

    Questions and unmatched money are of no invoice: they wait for the scheduler's next tick.
    """

    def ring(appended: Appended) -> None:
        invoices = dict.fromkeys(event.invoice_id for event in appended.events if event.invoice_id is not None)
        if len(invoices) > AT_ONCE_MAX:
            return
        try:
            doorbell.ring_lanes(Lane(invoice_id=invoice_id) for invoice_id in invoices)
        except DoorbellError as error:
            log.warning("doorbell.silent", reason=str(error), consequence="the scheduler rings when Redis is back")

    return ring
