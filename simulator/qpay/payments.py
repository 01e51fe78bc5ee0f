"""QPay's payments on the wire: what has been paid on an invoice, one payment by its id, and giving it back."""

from decimal import Decimal

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulator.facts import PAID, REFUNDED, Merchant, Payment, PaymentType
from simulator.qpay import answers
from simulator.qpay.auth import LoggedIn
from simulator.qpay.errors import QPayError
from simulator.qpay.gate import QPayRoute
from simulator.qpay.invoices import own_invoice
from simulator.qpay.requests import CheckPayment, GiveBack, body_of
from simulator.tampering import rearranged
from simulator.world import World, world_of

router = APIRouter(prefix="/v2", route_class=QPayRoute)
log = structlog.get_logger()


@router.post("/payment/check")
async def check_payment(request: Request, merchant: LoggedIn) -> JSONResponse:
    """List the payments of an invoice as they are told, page by page; in which order is a switch."""
    world = world_of(request)
    asked = await body_of(request, CheckPayment)
    if asked.object_type != "INVOICE":
        raise QPayError.refused(400, "INVALID_OBJECT_TYPE")
    invoice = own_invoice(world, merchant, asked.object_id)
    payments = rearranged(request, world.book.told_of(invoice, now=world.clock()))
    if world.switches.check_newest_first:
        payments.reverse()
    start = (asked.offset.page_number - 1) * asked.offset.page_limit
    body = answers.check_body(
        payments[start : start + asked.offset.page_limit],
        count=len(payments),
        paid_total=sum((payment.amount for payment in payments if payment.status == PAID), start=Decimal(0)),
        older_shape=world.switches.check_rows_are_older,
    )
    return JSONResponse(body)


@router.get("/payment/{payment_id}")
async def get_payment(request: Request, payment_id: str, merchant: LoggedIn) -> JSONResponse:
    """Describe a payment as it is told."""
    world = world_of(request)
    told = world.book.told(_own_payment(world, merchant, payment_id), now=world.clock())
    if told is None:
        raise _not_found()
    return JSONResponse(answers.payment_body(told))


@router.delete("/payment/refund/{payment_id}")
async def refund_payment(request: Request, payment_id: str, merchant: LoggedIn) -> JSONResponse:
    """Give a card payment back, whole."""
    wanted = await body_of(request, GiveBack)
    return _give_back(world_of(request), merchant, payment_id, callback_url=wanted.callback_url)


@router.delete("/payment/cancel/{payment_id}")
async def cancel_payment(request: Request, payment_id: str, merchant: LoggedIn) -> JSONResponse:
    """Cancel a card payment: the same as a refund, for QPay has no other status for money that went back."""
    wanted = await body_of(request, GiveBack)
    return _give_back(world_of(request), merchant, payment_id, callback_url=wanted.callback_url)


def _give_back(world: World, merchant: Merchant, payment_id: str, *, callback_url: str | None) -> JSONResponse:
    """Judge by what happened, not by what is told of it; a hidden payment is given back as well."""
    with world.book.lock:
        payment = _own_payment(world, merchant, payment_id)
        if payment.status == REFUNDED:
            raise QPayError.refused(400, "PAYMENT_ALREADY_CANCELED")
        if payment.status != PAID:
            raise QPayError.refused(400, "PAYMENT_NOT_PAID")
        if payment.type is not PaymentType.CARD:
            raise QPayError.refused(400, "PAYMENT_SETTLED")
        payment = world.book.refund(payment)
    if callback_url is not None and world.switches.refund_is_called_back:
        invoice = world.book.invoice(payment.invoice_id)
        if invoice is not None:
            world.callbacks.send(payment, invoice, times=1, url=callback_url)
    log.info("simulator.refunded", payment_id=payment_id, invoice_id=payment.invoice_id, amount=payment.amount)
    return JSONResponse({})


def _own_payment(world: World, merchant: Merchant, payment_id: str) -> Payment:
    payment = world.book.payment(payment_id)
    invoice = None if payment is None else world.book.invoice(payment.invoice_id)
    if payment is None or invoice is None or invoice.merchant != merchant.username:
        raise _not_found()
    return payment


def _not_found() -> QPayError:
    return QPayError.refused(422, "PAYMENT_NOTFOUND")
