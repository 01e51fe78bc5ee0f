"""One invoice: as a phone shows it, what its customer can do, and what became of it."""

from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.facts import PAID, Invoice, InvoiceState, Payment, PaymentType
from simulator.pages.assets import SOCIALPAY
from simulator.pages.rendering import message, not_found, page
from simulator.paying import NotPayableError, pay
from simulator.qpay.qr import bank_links, png_base64
from simulator.world import World, world_of

LATE_S = 10
REPEATED = 5
CALLS = 30
FAILED = "FAILED"

router = APIRouter()


class PayForm(BaseModel):
    """What the buttons send; nothing at all pays in full."""

    model_config = ConfigDict(extra="forbid")

    how: Literal["full", "part", "twice", "card", "fail", "again"] = "full"
    amount: Annotated[int, Field(gt=0, le=10**12)] | None = None
    callback: Literal["send", "drop", "repeat", "delay", "early"] = "send"
    force: bool = False

    @model_validator(mode="after")
    def _a_part_says_how_much(self) -> Self:
        if self.how == "part" and self.amount is None:
            raise ValueError("a part needs an amount")
        return self


@router.get("/s/{invoice_id}")
async def short_link(request: Request, invoice_id: str) -> HTMLResponse:
    """Show one invoice with its QR and banks, the customer's buttons, its payments, calls and callbacks."""
    world = world_of(request)
    invoice = world.book.invoice(invoice_id)
    return not_found(request) if invoice is None else _invoice_page(request, world, invoice)


@router.post("/s/{invoice_id}/pay")
async def pay_by_button(request: Request, invoice_id: str) -> Response:
    """Pay as the form says, send the callback as it says, and show the invoice again."""
    world = world_of(request)
    invoice = world.book.invoice(invoice_id)
    if invoice is None:
        return not_found(request)
    try:
        form = PayForm.model_validate(dict(parse_qsl((await request.body()).decode())))
    except (ValidationError, UnicodeDecodeError):
        return message(request, "bad_amount", status_code=422)
    try:
        payments = _pay(world, invoice, form)
    except NotPayableError as refusal:
        return message(request, "not_paid", detail=str(refusal), status_code=409)
    for payment in payments:
        _announce(world, payment, invoice, callback=form.callback)
    return _shown_again(invoice)


@router.post("/s/{invoice_id}/refund/{payment_id}")
async def refund_by_button(request: Request, invoice_id: str, payment_id: str) -> Response:
    """Give a payment back, announce it, and show the invoice again."""
    world = world_of(request)
    with world.book.lock:
        invoice, payment = world.book.invoice(invoice_id), world.book.payment(payment_id)
        if invoice is None or payment is None or payment.invoice_id != invoice_id:
            return not_found(request)
        if payment.status != PAID:
            return message(request, "not_refunded", detail=payment.status, status_code=409)
        payment = world.book.refund(payment)
    world.callbacks.send(payment, invoice, times=1)
    return _shown_again(invoice)


@router.post("/s/{invoice_id}/expire")
async def expire_by_button(request: Request, invoice_id: str) -> Response:
    """Let the invoice run out, and show it again."""
    world = world_of(request)
    invoice = world.book.invoice(invoice_id)
    if invoice is None:
        return not_found(request)
    world.book.expire(invoice, now=world.clock())
    return _shown_again(invoice)


def _pay(world: World, invoice: Invoice, form: PayForm) -> list[Payment]:
    def once(*, force: bool) -> Payment:
        return pay(
            world.book,
            invoice,
            amount=form.amount if form.how == "part" else None,
            payment_type=PaymentType.CARD if form.how == "card" else PaymentType.P2P,
            status=FAILED if form.how == "fail" else PAID,
            force=force,
            now=world.clock(),
            row_delay=timedelta(seconds=LATE_S if form.callback == "early" else 0),
        )

    first = once(force=form.force or form.how == "again")
    return [first, once(force=True)] if form.how == "twice" else [first]


def _announce(world: World, payment: Payment, invoice: Invoice, *, callback: str) -> None:
    if callback != "drop":
        world.callbacks.send(
            payment,
            invoice,
            times=REPEATED if callback == "repeat" else 1,
            delay_s=LATE_S if callback == "delay" else 0,
        )


def _links(invoice: Invoice) -> list[dict[str, str]]:
    if invoice.gateway == "qpay":
        return bank_links(invoice.qr_text, logos_url="/logo")
    name = "SocialPay"
    return [{"name": name, "description": name, "logo": f"/logo/{SOCIALPAY}.svg", "link": invoice.qr_text}]


def _shown_again(invoice: Invoice) -> RedirectResponse:
    return RedirectResponse(f"/s/{invoice.invoice_id}", status_code=303)


def _invoice_page(request: Request, world: World, invoice: Invoice) -> HTMLResponse:
    with world.book.lock:
        state = world.book.state(invoice, now=world.clock())
        paid_total = world.book.paid_total(invoice)
        payments = world.book.payments_of(invoice)
    outstanding = max(0, invoice.amount - paid_total)
    calls = [call for call in world.calls.latest() if call.invoice_id == invoice.invoice_id]
    sent = [one for one in reversed(world.book.callbacks()) if one.invoice_id == invoice.invoice_id]
    return page(
        request,
        "invoice.html",
        invoice=invoice,
        state=state,
        is_open=state is InvoiceState.OPEN,
        paid_total=paid_total,
        outstanding=outstanding,
        half=max(1, outstanding // 2),
        qr=png_base64(invoice.qr_text),
        banks=_links(invoice),
        payments=payments,
        refundable=PAID,
        calls=calls[:CALLS],
        callbacks=sent[:CALLS],
        pending=world.callbacks.pending,
    )
