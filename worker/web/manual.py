"""The route by which payments come in that no gateway tells of."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from domain.invoice import require_invoice_id
from domain.manual import ManualPayment, Method
from worker.web.authentication import Writer
from worker.web.errors import errors
from worker.web.exact_json import ExactRoute
from worker.web.fields import Given, Line, MoneyIn, Shape, TimeIn, read_money
from worker.web.invoices import InvoiceId
from worker.web.keyed import IdempotencyKey
from worker.web.parts import Parts
from worker.web.shapes import PaymentOut, payment_out

router = APIRouter(prefix="/v2/invoices", tags=["payments"], route_class=ExactRoute)

REFERENCE_MAX, NOTE_MAX = 100, 800
"""In characters; with the method both stand in one line that explains the event."""


class ManualPaymentIn(Given):
    """How much was paid, how and when; without a time it is now."""

    amount: MoneyIn
    method: Method
    paid_at: TimeIn | None = None
    reference: Annotated[Line, Field(min_length=1, max_length=REFERENCE_MAX)] | None = None
    note: Annotated[Line, Field(min_length=1, max_length=NOTE_MAX)] | None = None


class WarningOut(Shape):
    """What a person should look at, although the payment was recorded."""

    code: str = Field(examples=["REFERENCE_SEEN_BEFORE"])
    message: str


class ManualPaymentOut(PaymentOut):
    """The payment as it is recorded."""

    warnings: list[WarningOut]


@router.post("/{id}/manual-payment", status_code=201, responses=errors(404, 409, 413))
def record_payment(
    id: InvoiceId,  # noqa: A002 - the path's name for it
    body: ManualPaymentIn,
    key: IdempotencyKey,
    parts: Parts,
    caller: Writer,
) -> ManualPaymentOut:
    """Record a payment that no gateway tells of. The same key with the same body is one payment, answered the same."""
    recorded = parts.record(
        ManualPayment(
            key=key,
            who=caller,
            invoice_id=require_invoice_id(id),
            amount=read_money(body.amount, field="amount"),
            method=body.method,
            paid_at=body.paid_at,
            reference=body.reference,
            note=body.note,
        )
    )
    warnings = [WarningOut(code=one.code, message=one.message) for one in recorded.warnings]
    return ManualPaymentOut(**payment_out(recorded.event).model_dump(), warnings=warnings)
