"""Look: have a QR checked from now on and wait for it, by ourselves or by a worker."""

import time
from uuid import UUID

from adapters.postgres.check_requests import CheckRequests
from domain.payment_event import Source
from worker.settle import Settle, Settled

LOOK_S = 6.0
"""How long a check that somebody waits for may take: spacing, and most checks."""

PATIENT_LOOK_S = 20.0
"""Where nobody waits: so long that a check which was begun and never finished loses its lease, and is made again."""

_LOOK_EVERY_S = 0.1


def look_now(
    gateway_invoice_id: UUID,
    *,
    check_requests: CheckRequests,
    settle: Settle,
    source: Source = Source.COMMAND,
    within_s: float = LOOK_S,
) -> bool:
    """Have a check answered that begins from now on; False when none was in `within_s`: it stays requested.

    Raises:
        LookupError: there is no such gateway invoice.

    """
    request = check_requests.request(gateway_invoice_id, source=source)
    if request is None:
        raise LookupError(f"no gateway invoice {gateway_invoice_id}")
    until = time.monotonic() + within_s
    while True:
        settled = settle(gateway_invoice_id)
        if settled is Settled.FAILED:
            return False
        if check_requests.has_served(gateway_invoice_id, requested=request.requested):
            return True
        if time.monotonic() > until:
            return False
        if settled is Settled.NOT_DUE:
            time.sleep(_LOOK_EVERY_S)
