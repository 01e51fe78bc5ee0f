"""QPay's payment/list on the wire: every payment in a window of time, whoever announced it."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulator.facts import Invoice, Merchant
from simulator.qpay import answers
from simulator.qpay.auth import LoggedIn
from simulator.qpay.errors import QPayError
from simulator.qpay.gate import QPayRoute
from simulator.qpay.requests import ListPayments, body_of
from simulator.tampering import rearranged
from simulator.telling import ToldPayment
from simulator.world import World, world_of

LOCAL = ZoneInfo("Asia/Ulaanbaatar")
TOO_LONG_PAGE = 695
"""Pages of about so many rows and more answer 500."""

router = APIRouter(prefix="/v2", route_class=QPayRoute)


@router.post("/payment/list")
async def list_payments(request: Request, merchant: LoggedIn) -> JSONResponse:
    """List the merchant's payments in a window, both ends included, page by page."""
    world = world_of(request)
    asked = await body_of(request, ListPayments)
    if asked.offset.page_limit >= TOO_LONG_PAGE:
        raise QPayError.refused(500, "SYSTEM_BUSY")
    rows = rearranged(request, _in_window(world, _invoices(world, merchant, asked), asked))
    if world.switches.list_newest_first:
        rows.reverse()
    start = (asked.offset.page_number - 1) * asked.offset.page_limit
    page = rows[start : start + asked.offset.page_limit]
    body = answers.list_body(
        page,
        count=len(page if world.switches.list_count_is_of_page else rows),
        object_id=world.switches.list_object_id,
        with_qr_code=not world.switches.list_without_qr_code,
    )
    return JSONResponse(body)


def _invoices(world: World, merchant: Merchant, asked: ListPayments) -> list[Invoice]:
    """Find whose payments are asked for: the merchant's, those of an invoice code, or those of one QR."""
    own = [invoice for invoice in world.book.invoices() if invoice.merchant == merchant.username]
    if asked.object_type == "MERCHANT":
        if asked.object_id != merchant.merchant_id:
            raise QPayError.refused(403, "PERMISSION_DENIED")
        return own
    if asked.object_type == "INVOICE":
        if asked.object_id != merchant.invoice_code:
            raise QPayError.refused(400, "INVOICE_CODE_INVALID")
        return own
    if asked.object_type == "QR":
        return [invoice for invoice in own if invoice.qr_text == asked.object_id]
    raise QPayError.refused(400, "INVALID_OBJECT_TYPE")


def _in_window(world: World, invoices: list[Invoice], asked: ListPayments) -> list[tuple[Invoice, ToldPayment]]:
    """Tell the payments in the window, oldest first."""
    zone = LOCAL if world.switches.list_window_is_local else UTC
    start, end = _moment(asked.start_date, zone=zone), _moment(asked.end_date, zone=zone)
    paid = {payment.invoice_id for payment in world.book.payments() if start <= payment.paid_at <= end}
    told = [
        (invoice, payment)
        for invoice in invoices
        if invoice.invoice_id in paid  # most are not, and a day has ten thousand
        for payment in world.book.told_of(invoice, now=world.clock())
    ]
    return sorted(
        (one for one in told if start <= one[1].paid_at <= end), key=lambda one: (one[1].paid_at, one[1].payment_id)
    )


def _moment(value: datetime, *, zone: tzinfo) -> datetime:
    return value.replace(tzinfo=zone) if value.tzinfo is None else value
