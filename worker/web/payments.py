"""Routes of payments: what was recorded, page by page."""

from typing import Annotated

from fastapi import APIRouter, Query

from domain.invoice import INVOICE_ID_PATTERN
from worker.web.authentication import Caller
from worker.web.errors import ErrorEnvelope
from worker.web.parts import Parts
from worker.web.shapes import PaymentsOut, TimeIn, payment_out

router = APIRouter(prefix="/v2/payments", tags=["payments"])

PAGE = 100

Cursor = Annotated[str, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before.")]


@router.get("", responses={422: {"model": ErrorEnvelope}})
def list_payments(
    *,
    parts: Parts,
    caller: Caller,  # noqa: ARG001 - a key is asked for
    invoice: Annotated[str | None, Query(pattern=f"^{INVOICE_ID_PATTERN}$")] = None,
    occurred_from: Annotated[TimeIn | None, Query(alias="from")] = None,
    occurred_to: Annotated[TimeIn | None, Query(alias="to")] = None,
    gateway: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None,
    unmatched: Annotated[
        bool, Query(description="Only what still has no invoice, with what was moved away or given back of it.")
    ] = False,
    cursor: Cursor = "0",
) -> PaymentsOut:
    """Read recorded payments in the order of recording; `from` is inclusive, `to` exclusive."""
    found = parts.ledger.payments(
        after=int(cursor),
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
