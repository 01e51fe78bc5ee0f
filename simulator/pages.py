"""Plain pages for people: what is open, and one invoice with its QR and a button that pays it."""

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from simulator.facts import PAID, Invoice, InvoiceState, PaymentType
from simulator.paying import NotPayableError, pay
from simulator.qpay.qr import BANKS, png_base64
from simulator.world import World, world_of

LISTED = 100
"""So many open invoices are listed, newest first."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
}
STYLE = "body{font:1rem/1.5 sans-serif;max-width:44rem;margin:2rem auto}td,th{padding:.2rem .8rem;text-align:left}"

router = APIRouter()


@router.get("/")
async def front(request: Request) -> HTMLResponse:
    """List the open invoices."""
    world = world_of(request)
    now = world.clock()
    still_open = [one for one in reversed(world.book.invoices()) if world.book.state(one, now=now) is InvoiceState.OPEN]
    rows = "".join(
        f'<tr><td><a href="/s/{escape(one.invoice_id)}">{escape(one.number)}</a></td>'
        f"<td>{one.amount:,} ₮</td><td>{InvoiceState.OPEN.value}</td></tr>"
        for one in still_open[:LISTED]
    )
    table = f"<table><tr><th>Number</th><th>Amount</th><th>State</th></tr>{rows}</table>"
    return _page(f"<p>{len(still_open)} open invoices.</p>{table if rows else ''}")


@router.get("/s/{invoice_id}")
async def short_link(request: Request, invoice_id: str) -> HTMLResponse:
    """Show one invoice with its QR, and a button while it can be paid."""
    world = world_of(request)
    invoice = world.book.invoice(invoice_id)
    return _not_found() if invoice is None else _invoice_page(world, invoice)


@router.post("/s/{invoice_id}/pay")
async def pay_in_full(request: Request, invoice_id: str) -> Response:
    """Pay what is outstanding as a bank transfer, send the callback, and show the invoice again."""
    world = world_of(request)
    invoice = world.book.invoice(invoice_id)
    if invoice is None:
        return _not_found()
    try:
        payment = pay(
            world.book,
            invoice,
            amount=None,
            payment_type=PaymentType.P2P,
            status=PAID,
            force=False,
            now=world.clock(),
        )
    except NotPayableError as refusal:
        return _page(f"<p>Not paid: {escape(str(refusal))}.</p>", status_code=409)
    world.callbacks.send(payment, invoice, times=1)
    return RedirectResponse(f"/s/{invoice.invoice_id}", status_code=303)


@router.get("/logo/{scheme}.svg")
async def logo(scheme: str) -> Response:
    """Draw the first letter of a bank, so that no page asks the internet for its logo."""
    name = next((name for name, _, known in BANKS if known == scheme), None)
    if name is None:
        return _not_found()
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" rx="10" '
        'fill="#2b6cb0"/><text x="24" y="33" font-family="sans-serif" font-size="26" fill="#fff" '
        f'text-anchor="middle">{escape(name[0].upper())}</text></svg>'
    )
    return Response(picture, media_type="image/svg+xml")


def _invoice_page(world: World, invoice: Invoice) -> HTMLResponse:
    state = world.book.state(invoice, now=world.clock())
    button = (
        f'<form method="post" action="/s/{escape(invoice.invoice_id)}/pay"><button>Pay in full</button></form>'
        if state is InvoiceState.OPEN
        else ""
    )
    return _page(
        f"<h2>{escape(invoice.number)}</h2><p>{escape(invoice.description)}</p>"
        f"<p>{invoice.amount:,} ₮, paid {world.book.paid_total(invoice):,} ₮, {state.value}</p>"
        f'<img alt="QR" src="data:image/png;base64,{png_base64(invoice.qr_text)}">{button}'
    )


def _not_found() -> HTMLResponse:
    return _page("<p>There is no such thing here.</p>", status_code=404)


def _page(content: str, *, status_code: int = 200) -> HTMLResponse:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>QPay simulator</title><style>{STYLE}</style></head><body><h1>QPay simulator</h1>"
        f"<p><strong>This is a simulator. No money moves here.</strong></p>{content}</body></html>"
    )
    return HTMLResponse(html, status_code=status_code, headers=HEADERS)
