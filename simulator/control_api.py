"""What tests and people do with the simulator: pay, look at what really happened, start afresh. JSON, camelCase."""

from typing import Annotated, Literal, Self

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from simulator.clock import rfc3339
from simulator.facts import PAID, Invoice, PaymentType
from simulator.paying import NotPayableError, pay
from simulator.payments_api import payment_fact
from simulator.problems import invalid, problem
from simulator.qpay.gate import CANCEL_INVOICE, CANCEL_PAYMENT, CHECK, GET_INVOICE, GET_PAYMENT, REFUND_PAYMENT
from simulator.world import World, world_of

router = APIRouter(prefix="/simulator")
log = structlog.get_logger()


class PayOrder(BaseModel):
    """What to pay and how. `number` or `invoiceId` names the invoice; `amount` is in whole tögrög."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    number: str | None = None
    invoice_id: str | None = None
    amount: Annotated[int, Field(strict=True, gt=0)] | None = None
    type: PaymentType = PaymentType.P2P
    status: Annotated[str, Field(min_length=1, max_length=45)] = PAID
    callback: Literal["send", "drop"] = "send"
    repeat: Annotated[int, Field(ge=1, le=1_000)] = 1
    force: bool = False

    @model_validator(mode="after")
    def _names_one_invoice(self) -> Self:
        if (self.number is None) == (self.invoice_id is None):
            raise PydanticCustomError("which", "name the invoice by either number or invoiceId")
        return self


@router.post("/pay")
async def pay_invoice(request: Request) -> JSONResponse:
    """Pay an invoice, by its number (the newest open one) or its id, and send the callbacks.

    The body is a PayOrder, whatever content type it claims. 201 with the payment; 404 INVOICE_NOT_FOUND; 409 with the
    reason why the invoice does not take the payment, unless `force`; 422 INVALID.
    """
    world = world_of(request)
    try:
        order = PayOrder.model_validate_json(await request.body())
    except ValidationError as problems:
        return invalid(problems)
    invoice = _find(world, order)
    if invoice is None:
        return problem(404, "INVOICE_NOT_FOUND", "no such invoice was issued here")
    try:
        payment = pay(
            world.book,
            invoice,
            amount=order.amount,
            payment_type=order.type,
            status=order.status,
            force=order.force,
            now=world.clock(),
        )
    except NotPayableError as refusal:
        return problem(409, refusal.code, str(refusal))
    if order.callback == "send":
        world.callbacks.send(payment, invoice, times=order.repeat)
    body = {"paymentId": payment.payment_id, "invoiceId": invoice.invoice_id, "amount": payment.amount}
    return JSONResponse(body, status_code=201)


@router.get("/facts")
async def facts(request: Request) -> JSONResponse:
    """Tell what really happened: every invoice and every payment, oldest first, amounts in whole tögrög.

    Beside each payment stands what the wire tells of it, where a test has made that something else.
    """
    world = world_of(request)
    now = world.clock()
    with world.book.lock:
        invoices = [
            {
                "invoiceId": invoice.invoice_id,
                "number": invoice.number,
                "amount": invoice.amount,
                "state": world.book.state(invoice, now=now).value,
                "paidTotal": world.book.paid_total(invoice),
                "createdAt": rfc3339(invoice.created_at),
            }
            for invoice in world.book.invoices()
        ]
        payments = [payment_fact(world.book, payment) for payment in world.book.payments()]
    return JSONResponse({"invoices": invoices, "payments": payments})


@router.get("/calls")
async def calls(request: Request) -> JSONResponse:
    """Tell how often the wire was called: per endpoint, and per invoice where a call is about one."""
    counted = world_of(request).calls
    endpoints = counted.by_endpoint()
    return JSONResponse(
        {
            "endpoints": endpoints,
            "logins": endpoints.get("POST /v2/auth/token", 0),
            "checks": counted.by_invoice(CHECK),
            "gets": counted.by_invoice(GET_INVOICE),
            "cancels": counted.by_invoice(CANCEL_INVOICE),
            "paymentGets": counted.by_invoice(GET_PAYMENT),
            "refunds": counted.by_invoice(REFUND_PAYMENT),
            "paymentCancels": counted.by_invoice(CANCEL_PAYMENT),
        }
    )


@router.get("/callbacks")
async def callbacks(request: Request) -> JSONResponse:
    """Tell what became of each callback, and how many are still under way."""
    world = world_of(request)
    sent = [
        {
            "paymentId": one.payment_id,
            "invoiceId": one.invoice_id,
            "attempt": one.attempt,
            "url": one.masked_url,
            "sentAt": rfc3339(one.sent_at),
            "statusCode": one.status_code,
            "body": one.body,
            "error": one.error,
        }
        for one in world.book.callbacks()
    ]
    return JSONResponse({"callbacks": sent, "pending": world.callbacks.pending})


@router.post("/reset")
async def reset(request: Request) -> JSONResponse:
    """Forget everything, tokens as well; callbacks under way are given up."""
    await world_of(request).reset()
    log.info("simulator.reset")
    return JSONResponse({})


def _find(world: World, order: PayOrder) -> Invoice | None:
    if order.number is not None:
        return world.book.newest(order.number, now=world.clock())
    return world.book.invoice(order.invoice_id or "")
