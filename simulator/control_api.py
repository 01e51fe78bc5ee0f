"""What tests and people do with the simulator: pay, look at what really happened, start afresh. JSON, camelCase."""

from datetime import timedelta
from typing import Annotated, Literal, Self

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from simulator.clock import rfc3339
from simulator.facts import PAID, Invoice, PaymentType
from simulator.paying import NotPayableError, pay
from simulator.payments_api import payment_fact
from simulator.problems import invalid, problem
from simulator.qpay.endpoints import CANCEL_INVOICE, CANCEL_PAYMENT, CHECK, GET_INVOICE, GET_PAYMENT, REFUND_PAYMENT
from simulator.socialpay import endpoints as socialpay
from simulator.world import World, world_of

DELAY_MAX_S = 86_400 * 30

router = APIRouter(prefix="/simulator")
log = structlog.get_logger()


class WhichInvoice(BaseModel):
    """An invoice, by its number (the newest open one), its id, or the text of its QR, as a phone reads it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    number: str | None = None
    invoice_id: str | None = None
    qr_text: str | None = None

    @model_validator(mode="after")
    def _names_one_invoice(self) -> Self:
        if [self.number, self.invoice_id, self.qr_text].count(None) != 2:  # noqa: PLR2004 - one of three
            raise PydanticCustomError("which", "name the invoice by one of number, invoiceId and qrText")
        return self


class PayOrder(WhichInvoice):
    """What to pay and how; `amount` is in whole tögrög."""

    amount: Annotated[int, Field(strict=True, gt=0)] | None = None
    type: PaymentType = PaymentType.P2P
    status: Annotated[str, Field(min_length=1, max_length=45)] = PAID
    callback: Literal["send", "drop", "hold"] = "send"
    """Held ones go out when they are released, in any order: see /simulator/callbacks/release."""
    callback_delay_s: Annotated[float, Field(ge=0, le=DELAY_MAX_S)] = 0
    """In real seconds, however the clock is set."""
    repeat: Annotated[int, Field(ge=1, le=1_000)] = 1
    paid_at: AwareDatetime | None = None
    """When it was paid; now, unless it is given."""
    row_delay_s: Annotated[float, Field(ge=0, le=DELAY_MAX_S)] = 0
    """So long, by the simulator's clock, the wire does not show the payment: its callback is there before its row."""
    force: bool = False


@router.post("/pay")
async def pay_invoice(request: Request) -> JSONResponse:
    """Pay an invoice, by its number (the newest open one), its id or its QR, and send the callbacks.

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
            paid_at=order.paid_at,
            row_delay=timedelta(seconds=order.row_delay_s),
        )
    except NotPayableError as refusal:
        return problem(409, refusal.code, str(refusal))
    if order.callback == "send":
        world.callbacks.send(payment, invoice, times=order.repeat, delay_s=order.callback_delay_s)
    elif order.callback == "hold":
        world.callbacks.hold(payment, invoice, times=order.repeat)
    body = {"paymentId": payment.payment_id, "invoiceId": invoice.invoice_id, "amount": payment.amount}
    return JSONResponse(body, status_code=201)


@router.post("/expire")
async def expire_invoice(request: Request) -> JSONResponse:
    """Let an invoice run out now. The body is a WhichInvoice. 200; 404 INVOICE_NOT_FOUND; 422 INVALID."""
    world = world_of(request)
    try:
        order = WhichInvoice.model_validate_json(await request.body())
    except ValidationError as problems:
        return invalid(problems)
    invoice = _find(world, order)
    if invoice is None:
        return problem(404, "INVOICE_NOT_FOUND", "no such invoice was issued here")
    now = world.clock()
    world.book.expire(invoice, now=now)
    return JSONResponse({"invoiceId": invoice.invoice_id, "expiresAt": rfc3339(now)})


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
                "gateway": invoice.gateway,
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
            "checks": counted.by_invoice(CHECK) | counted.by_invoice(socialpay.CHECK),
            "gets": counted.by_invoice(GET_INVOICE),
            "cancels": counted.by_invoice(CANCEL_INVOICE) | counted.by_invoice(socialpay.CANCEL),
            "paymentGets": counted.by_invoice(GET_PAYMENT),
            "refunds": counted.by_invoice(REFUND_PAYMENT),
            "paymentCancels": counted.by_invoice(CANCEL_PAYMENT),
        }
    )


@router.post("/reset")
async def reset(request: Request) -> JSONResponse:
    """Forget everything, tokens as well; faults end, and callbacks under way are given up.

    The clock tells the real time again. Switches and merchants stay.
    """
    await world_of(request).reset()
    log.info("simulator.reset")
    return JSONResponse({})


def _find(world: World, order: WhichInvoice) -> Invoice | None:
    if order.number is not None:
        return world.book.newest(order.number, now=world.clock())
    if order.qr_text is not None:
        return world.book.by_qr(order.qr_text)
    return world.book.invoice(order.invoice_id or "")
