"""Routes by which a person's decisions about money come in: refund, void."""

from typing import Annotated

from fastapi import APIRouter, Response
from moneyed import Money
from pydantic import Field, StrictStr

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from domain.command import Command
from domain.invoice import InvalidInvoiceError, require_invoice_id
from domain.payment_event import Kind
from worker.web.authentication import Writer
from worker.web.errors import errors
from worker.web.exact_json import ExactRoute
from worker.web.fields import Given, Line, MoneyIn, read_money
from worker.web.invoices import InvoiceId, read_invoice
from worker.web.keyed import IdempotencyKey, OptionalKey, answered_once
from worker.web.parts import Parts
from worker.web.shapes import InvoiceOut, PaymentOut, payment_out

router = APIRouter(prefix="/v2/invoices", tags=["corrections"], route_class=ExactRoute)

PAYMENT_PATTERN = r"^[a-z_]{1,40}:[!-~]{1,100}$"

Reason = Annotated[Line, Field(min_length=1, max_length=1000)]


class AskRefund(Given):
    """What was given back, of which payment, and why; without an amount all that is left of it on the invoice."""

    payment: Annotated[StrictStr, Field(pattern=PAYMENT_PATTERN, examples=["qpay:100000000000001"])]
    amount: MoneyIn | None = None
    reason: Reason


class AskVoid(Given):
    """Why nothing is due any more."""

    reason: Reason


@router.post("/{id}/refund", status_code=201, responses=errors(404, 409, 413))
def refund(id: InvoiceId, body: AskRefund, key: IdempotencyKey, parts: Parts, caller: Writer) -> PaymentOut:  # noqa: A002 - the path's name for it
    """Record that money was given back. The same key with the same body is done once and answered the same."""
    invoice_id = require_invoice_id(id)
    if parts.invoices.read(invoice_id) is None:
        raise UnknownInvoiceError
    gateway, _, payment_id = body.payment.partition(":")
    parts.correct.refund(
        Command(key=key, who=caller, reason=body.reason),
        (gateway, payment_id),
        invoice_id=invoice_id,
        amount=_more_than_nothing(read_money(body.amount, field="amount")) if body.amount else None,
    )
    return payment_out(parts.ledger.event(gateway, payment_id, kind=Kind.REFUNDED, ref=key))


@router.post("/{id}/void", response_model=InvoiceOut, responses=errors(404, 409, 413))
def void(id: InvoiceId, body: AskVoid, parts: Parts, caller: Writer, key: OptionalKey = None) -> Response:  # noqa: A002 - the path's name for it
    """Let nothing be due on an invoice any more. What it has received stays on it, and is a question for a person."""
    invoice_id = require_invoice_id(id)

    def do() -> InvoiceOut:
        parts.correct.void(invoice_id, who=caller, reason=body.reason)
        return read_invoice(parts, invoice_id)

    return answered_once(parts, key, do, verb="void", invoice=invoice_id, reason=body.reason)


def _more_than_nothing(amount: Money) -> Money:
    if amount.amount <= 0:
        raise InvalidInvoiceError("amount.amount", "must be more than 0")
    return amount
