"""The control API's payments: what happened to each, what the wire tells of it, and how to make it tell otherwise."""

from decimal import Decimal
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from simulator.book import Book
from simulator.clock import rfc3339
from simulator.facts import PAID, REFUNDED, Payment
from simulator.problems import invalid, problem
from simulator.telling import TRUTH, Telling, tell
from simulator.world import world_of

AMOUNT_MAX = 10**15
"""In tögrög: beyond all the money there is, and still exact as a JSON number."""
ROWS_MAX = 1_000

router = APIRouter(prefix="/simulator")
log = structlog.get_logger()

Word = Annotated[str, Field(min_length=1, max_length=45)]
WholeAmount = Annotated[int, Field(strict=True, ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
TextAmount = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,2})?$")]


class TellOrder(BaseModel):
    """What to tell of a payment. What is left out, or null, is told as it happened."""

    model_config = ConfigDict(extra="forbid")

    status: Word | None = None
    amount: WholeAmount | TextAmount | None = None
    currency: Word | None = None
    hidden: bool = False
    duplicated: Annotated[int, Field(strict=True, ge=1, le=ROWS_MAX)] = 1
    garbled: bool = False

    def telling(self) -> Telling:
        """Read the order as what is told from now on."""
        return Telling(
            status=self.status,
            amount=None if self.amount is None else Decimal(self.amount),
            currency=self.currency,
            hidden=self.hidden,
            duplicated=self.duplicated,
            garbled=self.garbled,
        )


class RefundOrder(BaseModel):
    """How to give a payment back. Whether QPay announces that is not known: by default it does not."""

    model_config = ConfigDict(extra="forbid")

    callback: Literal["send", "drop"] = "drop"


@router.post("/payments/{payment_id}")
async def tell_payment(request: Request, payment_id: str) -> JSONResponse:
    """Tell of a payment something else than before; no callback is sent.

    The body is a TellOrder, whatever content type it claims, and replaces the one before: `{}` tells the truth again.
    The facts stay as they are, with one exception: `status` REFUNDED on a payment that is PAID does give it back, a
    bank transfer as well, as QPay's staff could. Any other status, and whatever follows, is only told.
    200 with the fact and what is told; 404 PAYMENT_NOT_FOUND; 422 INVALID.
    """
    world = world_of(request)
    try:
        order = TellOrder.model_validate_json(await request.body())
    except ValidationError as problems:
        return invalid(problems)
    with world.book.lock:
        payment = world.book.payment(payment_id)
        if payment is None:
            return problem(404, "PAYMENT_NOT_FOUND", "no such payment was made here")
        world.book.set_telling(payment, order.telling())
        if order.status == REFUNDED and payment.status == PAID:
            payment = world.book.refund(payment)
        fact = payment_fact(world.book, payment)
    log.info("simulator.telling", payment_id=payment_id, told=fact["told"])
    return JSONResponse(fact)


@router.post("/payments/{payment_id}/refund")
async def refund_payment(request: Request, payment_id: str) -> JSONResponse:
    """Give a payment back whole, a bank transfer as well, as QPay's staff could.

    The body is a RefundOrder, or nothing. 200 with the fact; 404 PAYMENT_NOT_FOUND; 409 NOT_PAID; 422 INVALID.
    """
    world = world_of(request)
    try:
        order = RefundOrder.model_validate_json(await request.body() or b"{}")
    except ValidationError as problems:
        return invalid(problems)
    with world.book.lock:
        payment = world.book.payment(payment_id)
        invoice = None if payment is None else world.book.invoice(payment.invoice_id)
        if payment is None or invoice is None:
            return problem(404, "PAYMENT_NOT_FOUND", "no such payment was made here")
        if payment.status != PAID:
            return problem(409, "NOT_PAID", f"the payment is {payment.status}: only what is paid can be given back")
        payment = world.book.refund(payment)
        fact = payment_fact(world.book, payment)
    if order.callback == "send":
        world.callbacks.send(payment, invoice, times=1)
    log.info("simulator.refunded", payment_id=payment_id, invoice_id=payment.invoice_id, amount=payment.amount)
    return JSONResponse(fact)


def payment_fact(book: Book, payment: Payment) -> dict[str, object]:
    """Describe what happened, in whole tögrög, and under `told` what the wire tells of it: null if that is the same."""
    return {
        "paymentId": payment.payment_id,
        "invoiceId": payment.invoice_id,
        "amount": payment.amount,
        "fee": payment.fee,
        "type": payment.type.value,
        "status": payment.status,
        "paidAt": rfc3339(payment.paid_at),
        "told": _told(payment, telling=book.telling(payment)),
    }


def _told(payment: Payment, *, telling: Telling) -> dict[str, object] | None:
    told = tell(payment, telling=telling)
    as_it_happened = told == tell(payment, telling=TRUTH)
    if as_it_happened and not telling.hidden and telling.hidden_until is None and telling.duplicated == 1:
        return None
    return {
        "status": told.status,
        "amount": f"{told.amount:.2f}",
        "currency": told.currency,
        "hidden": telling.hidden,
        "duplicated": telling.duplicated,
        "garbled": telling.garbled,
        **({} if telling.hidden_until is None else {"hiddenUntil": rfc3339(telling.hidden_until)}),
    }
