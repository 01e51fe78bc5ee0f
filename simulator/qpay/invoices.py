"""QPay's invoices on the wire: issue, look, cancel."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulator.facts import Invoice, Line, Merchant
from simulator.qpay import answers
from simulator.qpay.auth import LoggedIn
from simulator.qpay.errors import QPayError
from simulator.qpay.gate import QPayRoute
from simulator.qpay.qr import bank_links, new_qr_text, png_base64
from simulator.qpay.requests import CreateInvoice, body_of
from simulator.world import World, world_of

MAX_AMOUNT = 10**12
"""In whole tögrög; QPay has some limit per merchant, this one keeps a QR readable."""

router = APIRouter(prefix="/v2", route_class=QPayRoute)
log = structlog.get_logger()


@router.post("/invoice")
async def create_invoice(request: Request, merchant: LoggedIn) -> JSONResponse:
    """Issue a QR. A repeated sender_invoice_no makes a second one."""
    world = world_of(request)
    wanted = await body_of(request, CreateInvoice, text_amounts=not world.switches.text_amounts_are_refused)
    if wanted.invoice_code != merchant.invoice_code:
        raise QPayError.refused(400, "INVOICE_CODE_INVALID")
    if wanted.amount > MAX_AMOUNT:
        raise QPayError.refused(400, "MAX_AMOUNT_ERR")
    invoice = _invoice(wanted, merchant, world=world)
    world.book.add_invoice(invoice)
    log.info("simulator.invoice_created", invoice_id=invoice.invoice_id, number=invoice.number, amount=invoice.amount)
    base_url = str(request.base_url).rstrip("/")
    return JSONResponse(
        {
            "invoice_id": invoice.invoice_id,
            "qr_text": invoice.qr_text,
            "qr_image": "" if world.switches.qr_image_is_empty else png_base64(invoice.qr_text),
            "qPay_shortUrl": f"{base_url}/s/{invoice.invoice_id}",
            "urls": bank_links(invoice.qr_text, logos_url=f"{base_url}/logo"),
        }
    )


@router.get("/invoice/{invoice_id}")
async def get_invoice(request: Request, invoice_id: str, merchant: LoggedIn) -> JSONResponse:
    """Describe an invoice."""
    world = world_of(request)
    invoice = own_invoice(world, merchant, invoice_id)
    return JSONResponse(_described(world, invoice))


@router.delete("/invoice/{invoice_id}")
async def cancel_invoice(request: Request, invoice_id: str, merchant: LoggedIn) -> JSONResponse:
    """Cancel an invoice that has not been paid, or not wholly; whether QPay cancels a partly paid one is a switch."""
    world = world_of(request)
    with world.book.lock:
        invoice = own_invoice(world, merchant, invoice_id)
        if invoice.canceled_at is not None:
            raise QPayError.refused(400, "INVOICE_ALREADY_CANCELED", "Нэхэмжлэл цуцлагдсан байна.")
        if world.book.paid_total(invoice) >= (1 if world.switches.partly_paid_stays_open else invoice.amount):
            raise QPayError.refused(world.switches.invoice_paid_status, "INVOICE_PAID", "Нэхэмжлэл төлөгдсөн байна.")
        world.book.cancel(invoice, now=world.clock())
    log.info("simulator.invoice_canceled", invoice_id=invoice_id, number=invoice.number)
    return JSONResponse({})


def own_invoice(world: World, merchant: Merchant, invoice_id: str) -> Invoice:
    """Find an invoice of this merchant. Raises QPayError 422."""
    invoice = world.book.invoice(invoice_id)
    if invoice is None or invoice.merchant != merchant.username:
        raise QPayError.refused(422, "INVOICE_NOTFOUND", "Нэхэмжлэл олдсонгүй.")
    return invoice


def _described(world: World, invoice: Invoice) -> answers.Body:
    return answers.invoice_body(
        invoice, state=world.book.state(invoice, now=world.clock()), expired_status=world.switches.expired_status
    )


def _expires_at(wanted: CreateInvoice, *, world: World) -> datetime | None:
    if wanted.enable_expiry:
        return wanted.expiry_date
    hours = world.switches.default_expiry_h
    return None if hours is None else world.clock() + timedelta(hours=hours)


def _invoice(wanted: CreateInvoice, merchant: Merchant, *, world: World) -> Invoice:
    whole = Line(
        description=wanted.invoice_description,
        quantity=Decimal(1),
        unit_price=Decimal(wanted.amount),
        tax_product_code=None,
        note="",
    )
    lines = [
        Line(
            description=line.line_description,
            quantity=line.line_quantity,
            unit_price=line.line_unit_price,
            tax_product_code=line.tax_product_code,
            note=line.note or "",
        )
        for line in wanted.lines
    ]
    return Invoice(
        gateway="qpay",
        invoice_id=str(uuid4()),
        merchant=merchant.username,
        invoice_code=merchant.invoice_code,
        number=wanted.sender_invoice_no,
        description=wanted.invoice_description,
        amount=wanted.amount,
        callback_url=wanted.callback_url,
        qr_text=new_qr_text(wanted.amount),
        created_at=world.clock(),
        expires_at=_expires_at(wanted, world=world),
        has_own_expiry=wanted.enable_expiry,
        allow_partial=wanted.allow_partial,
        minimum_amount=wanted.minimum_amount,
        allow_exceed=wanted.allow_exceed,
        maximum_amount=wanted.maximum_amount,
        branch_code=wanted.sender_branch_code,
        due_date=wanted.invoice_due_date,
        note=wanted.note,
        lines=tuple(lines) or (whole,),
    )
