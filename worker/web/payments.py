"""Routes of payments: what was recorded, page by page."""

import time
from typing import Annotated

from fastapi import APIRouter, Query

from domain.invoice import INVOICE_ID_PATTERN
from worker.web.authentication import Reader
from worker.web.errors import ApiError, errors
from worker.web.fields import TimeIn
from worker.web.parts import Parts, WebParts
from worker.web.shapes import PaymentsOut, payment_out

router = APIRouter(prefix="/v2/payments", tags=["payments"])

PAGE = 100

WRITERS_AWAITED_S = 2.0
"""An event takes its position before it is committed: a page waits for whoever was writing when it was asked for."""

_LOOK_EVERY_S = 0.005

Cursor = Annotated[str, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before.")]


@router.get("", responses=errors())
def list_payments(
    *,
    parts: Parts,
    caller: Reader,  # noqa: ARG001 - a key is asked for
    invoice: Annotated[str | None, Query(pattern=f"^{INVOICE_ID_PATTERN}$")] = None,
    occurred_from: Annotated[TimeIn | None, Query(alias="from")] = None,
    occurred_to: Annotated[TimeIn | None, Query(alias="to")] = None,
    gateway: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None,
    unmatched: Annotated[
        bool, Query(description="Only what still has no invoice, with what was moved away or given back of it.")
    ] = False,
    cursor: Cursor = "0",
) -> PaymentsOut:
    """Read recorded payments in the order of recording; `from` is inclusive, `to` exclusive.

    Whoever follows `next` from page to page, while others are recorded, misses none that was recorded when they began.
    """
    complete_to = _complete_to(parts)
    found = parts.ledger.payments(
        after=int(cursor),
        up_to=complete_to,
        page=PAGE + 1,
        invoice_id=invoice,
        gateway=gateway,
        occurred_from=occurred_from,
        occurred_to=occurred_to,
        unmatched=unmatched,
    )
    page = found[:PAGE]
    more = str(page[-1].position) if len(found) > PAGE else None
    return PaymentsOut(payments=[payment_out(payment) for payment in page], next=more)


def _complete_to(parts: WebParts) -> int:
    """Return a position up to which no event is still to be committed; appends take milliseconds.

    Raises:
        ApiError: 503, somebody has been writing for longer than a reader wants to wait.

    """
    horizon = parts.horizons.read()
    until = time.monotonic() + WRITERS_AWAITED_S
    while parts.horizons.any_writes(horizon):
        if time.monotonic() > until:
            headers = {"Retry-After": "2"}
            raise ApiError(
                503, "DATABASE_DOWN", "payments are being recorded and do not end: try again", headers=headers
            )
        time.sleep(_LOOK_EVERY_S)
    return horizon.position
