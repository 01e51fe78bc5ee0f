"""Ring: wake workers for whatever is due in PostgreSQL, so that a lost message costs seconds and no payment."""

from collections.abc import Callable
from uuid import UUID

import structlog

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.redis.doorbell import CLOSE_ACTOR, Doorbell, DoorbellError

log = structlog.get_logger()

Ring = Callable[[UUID, float], None]
"""Wakes a worker for a gateway invoice, in so many seconds, as well as it can: never raises."""

PAGE = 500
"""Rung in one statement: large enough to catch up quickly, small enough to hold its locks for milliseconds."""

WAITING_MAX = 10_000
"""No more is rung while so many messages wait: without workers they would pile up in Redis, all saying the same."""


def ring_due(check_requests: CheckRequests, gateway_invoices: GatewayInvoices, doorbell: Doorbell) -> int:
    """Ring for checks that are due and QRs that are to be closed, and return how many checks that was.

    Nothing is rung while workers have enough to do.

    Raises:
        DoorbellError: Redis did not take a message; what was not rung is due again in seconds.

    """
    rung = 0
    pages = max(0, WAITING_MAX - doorbell.waiting()) // PAGE
    if pages:
        doorbell.ring(gateway_invoices.take_closing(page=PAGE), actor=CLOSE_ACTOR)
    for _ in range(pages):
        due = check_requests.ring_due(page=PAGE)
        doorbell.ring(due)
        rung += len(due)
        if len(due) < PAGE:
            break
    if rung:
        log.info("ring.due", count=rung)
    return rung


def ring_quietly(doorbell: Doorbell) -> Ring:
    """Return a bell whose silence is only logged: what is due is in PostgreSQL, and is rung again from there."""

    def ring(gateway_invoice_id: UUID, wait_s: float) -> None:
        try:
            doorbell.ring([gateway_invoice_id], wait_s=wait_s)
        except DoorbellError as error:
            log.warning("doorbell.silent", reason=str(error), consequence="the scheduler rings when Redis is back")

    return ring
