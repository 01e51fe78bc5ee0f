"""Poll: have QRs looked at, ever more rarely, at gateways that may be asked and do not tell by themselves."""

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.polls import DuePoll, Polls
from domain.payment_event import Source
from domain.polling import next_poll
from worker.ring import Ring

PAGE = 500

PAGES_MAX = 20
"""Of one gateway in one tick; what is left is due at the next."""


def poll_due(polls: Polls, gateway_invoices: GatewayInvoices, check_requests: CheckRequests, ring: Ring) -> int:
    """Ask for a check of each QR that is due to be looked at, ring for it, and return how many that were.

    Where QRs are not polled nothing is due. The next look is written down first: killed in between, one look is lost
    and none is made twice, whoever else does this. What was missed while nobody did is one look.

    Raises:
        PoolTimeout, psycopg.Error: PostgreSQL is away; what is due is asked for at the next tick.

    """
    asked = 0
    for gateway in gateway_invoices.gateways():
        for _ in range(PAGES_MAX):
            due = polls.due(gateway, page=PAGE)
            asked += sum(_take(gateway, poll, polls, check_requests, ring) for poll in due)
            if len(due) < PAGE:
                break
    return asked


def _take(gateway: str, poll: DuePoll, polls: Polls, check_requests: CheckRequests, ring: Ring) -> bool:
    rung = next_poll(poll.age, lifetime=poll.lifetime)
    check_is_due = polls.take(poll, next_in=None if rung is None else rung - poll.age)
    if check_is_due is not False:
        return False
    requested = check_requests.request(poll.id, source=Source.SWEEP)
    if requested is None:
        return False
    if requested.rings:
        ring(gateway, poll.id, requested.wait_s)
    return True
