"""SocialPay's invoices on the wire: make one, check it, cancel it."""

from base64 import b64encode
from decimal import Decimal
from secrets import token_bytes
from uuid import uuid4

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulator.facts import PAID, Invoice, InvoiceState, Terminal
from simulator.socialpay import answers
from simulator.socialpay.errors import Problem, SocialPayError, refused
from simulator.socialpay.gate import SocialPayRoute
from simulator.socialpay.requests import AboutInvoice, ToPhone, signed_body
from simulator.tampering import rearranged
from simulator.world import World, world_of

SENT_TO_PHONE = "Нэхэмжлэл илгээгдлээ"

router = APIRouter(prefix="/pos", route_class=SocialPayRoute)
log = structlog.get_logger()


@router.post("/invoice/qr")
async def create_qr(request: Request) -> JSONResponse:
    """Make an invoice whose QR is to be shown; the text is a deeplink as well."""
    return await _create(request)


@router.post("/invoice/qr/deeplink")
async def create_deeplink(request: Request) -> JSONResponse:
    """Make an invoice that is opened by a link."""
    return await _create(request)


@router.post("/invoice/phone")
async def create_for_phone(request: Request) -> JSONResponse:
    """Make an invoice that the customer's application shows by itself."""
    body, terminal = await signed_body(request, ToPhone)
    _made(world_of(request), body, terminal)
    return answers.done(answers.created(SENT_TO_PHONE), switches=world_of(request).switches)


@router.post("/invoice/check")
async def check(request: Request) -> JSONResponse:
    """Tell whether an invoice is paid; the newest payment, where somebody paid more than once."""
    world = world_of(request)
    body, terminal = await signed_body(request, AboutInvoice)
    invoice = _find(world, body, terminal)
    told = rearranged(request, world.book.told_of(invoice, now=world.clock()))
    paid = [payment for payment in told if payment.status == PAID]
    if not paid:
        return _unpaid(world, invoice, terminal)
    response = answers.payment(paid[-1], number=invoice.number, terminal=terminal, switches=world.switches)
    if world.switches.socialpay_check_unsigned:
        del response["checksum"]
    return answers.done(response, switches=world.switches)


@router.post("/invoice/cancel")
async def cancel(request: Request) -> JSONResponse:
    """Cancel an invoice that has not been paid. Nobody has seen what a partly paid one answers: there are none."""
    world = world_of(request)
    body, terminal = await signed_body(request, AboutInvoice)
    with world.book.lock:
        invoice = _find(world, body, terminal)
        if invoice.canceled_at is not None:
            forgotten = world.switches.socialpay_cancelled_is_forgotten
            raise SocialPayError(Problem.INVOICE_NOT_FOUND if forgotten else Problem.INVOICE_CANCELED)
        if world.book.paid_total(invoice) > 0:
            raise SocialPayError(Problem.INVOICE_PAID)
        world.book.cancel(invoice, now=world.clock())
    log.info("simulator.invoice_canceled", invoice_id=invoice.invoice_id, number=invoice.number)
    return answers.done({"desc": "Амжилттай", "status": "SUCCESS"}, switches=world.switches)


async def _create(request: Request) -> JSONResponse:
    body, terminal = await signed_body(request, AboutInvoice)
    world = world_of(request)
    return answers.done(answers.created(_made(world, body, terminal).qr_text), switches=world.switches)


def _made(world: World, body: AboutInvoice, terminal: Terminal) -> Invoice:
    amount = Decimal(body.amount)
    if amount <= 0 or amount != int(amount):
        raise SocialPayError(Problem.INVALID_REQUEST)
    with world.book.lock:
        known = _known(world, body, terminal)
        if known is not None:
            same = known.amount == int(amount) and known.canceled_at is None
            if world.switches.socialpay_number_again == "again" and same:
                return known
            raise SocialPayError(Problem.INVOICE_DUPLICATED)
        invoice = Invoice(
            gateway="socialpay",
            invoice_id=str(uuid4()),
            merchant=terminal.terminal,
            invoice_code="",
            number=body.invoice,
            description="SocialPay",
            amount=int(amount),
            callback_url=terminal.push_url,
            qr_text=f"socialpay-payment://key={b64encode(token_bytes(48)).decode()}",
            created_at=world.clock(),
            expires_at=None,
            has_own_expiry=False,
        )
        world.book.add_invoice(invoice)
    log.info("simulator.invoice_created", invoice_id=invoice.invoice_id, number=invoice.number, amount=invoice.amount)
    return invoice


def _known(world: World, body: AboutInvoice, terminal: Terminal) -> Invoice | None:
    found = world.book.newest(body.invoice, now=world.clock())
    if found is None or (found.gateway, found.merchant) != ("socialpay", terminal.terminal):
        return None
    return found


def _find(world: World, body: AboutInvoice, terminal: Terminal) -> Invoice:
    """Find an invoice by its number and its own amount: without that nothing is found."""
    invoice = _known(world, body, terminal)
    if invoice is None or Decimal(body.amount) != invoice.amount:
        raise SocialPayError(Problem.INVOICE_NOT_FOUND)
    return invoice


def _unpaid(world: World, invoice: Invoice, terminal: Terminal) -> JSONResponse:
    """Say that nothing has been paid, in one of the ways in which that may be said."""
    switches = world.switches
    state = world.book.state(invoice, now=world.clock())
    problem = Problem.INVOICE_CANCELED if state is InvoiceState.CANCELED else Problem.NOT_PAID
    match switches.socialpay_unpaid:
        case "error":
            return refused(problem, switches=switches, status_code=200)
        case "code":
            response = answers.unpaid(invoice.number, invoice.amount, terminal=terminal)
            return answers.done(response, switches=switches)
        case "status":
            return refused(problem, switches=switches, status_code=500)
        case "silence":
            return JSONResponse({"header": {"status": "ERROR", "code": 500}, "body": {"response": {}, "error": {}}})
