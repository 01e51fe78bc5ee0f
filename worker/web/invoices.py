"""Routes of invoices: put one, read it, and get a QR for what is outstanding."""

from functools import partial
from typing import Annotated

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Response

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from adapters.postgres.invoices import Put
from domain.invoice import InvoiceTerms, require_invoice_id
from worker.web.authentication import Caller
from worker.web.errors import ApiError, ErrorEnvelope
from worker.web.parts import Parts, WebParts
from worker.web.shapes import AskPayLink, InvoiceOut, PayLinkOut, PutInvoice, invoice_out, pay_link_out

log = structlog.get_logger()

_PAY_LINK_THREADS = CapacityLimiter(32)
"""Pay-links wait for gateways, so they have threads of their own: a slow gateway must not keep callbacks waiting."""

router = APIRouter(prefix="/v2/invoices", tags=["invoices"])

InvoiceId = Annotated[str, Path(description="The merchant's own id.", examples=["rent-2026-11"])]


@router.put(
    "/{id}", responses={201: {"model": InvoiceOut}, 409: {"model": ErrorEnvelope}, 422: {"model": ErrorEnvelope}}
)
def put_invoice(id: InvoiceId, body: PutInvoice, response: Response, parts: Parts, caller: Caller) -> InvoiceOut:  # noqa: A002 - the path's name for it
    """Make an invoice, or change what it asks for before anything is paid on it."""
    invoice_id, terms = require_invoice_id(id), body.terms()
    put = parts.invoices.put(invoice_id, terms=terms, now=parts.clock(), who=caller)
    _log_put(put, invoice_id, terms)
    if put is Put.CREATED:
        response.status_code = 201
    return read_invoice(parts, invoice_id)


@router.get("/{id}", responses={404: {"model": ErrorEnvelope}})
def get_invoice(id: InvoiceId, parts: Parts, caller: Caller) -> InvoiceOut:  # noqa: A002, ARG001 - the path's name; a key is asked for
    """Read an invoice with its balance and its QRs."""
    return read_invoice(parts, require_invoice_id(id))


@router.post("/{id}/pay-link", responses={code: {"model": ErrorEnvelope} for code in (404, 409, 422, 502, 503, 504)})
async def ask_pay_link(id: InvoiceId, body: AskPayLink, parts: Parts, caller: Caller) -> PayLinkOut:  # noqa: A002, ARG001 - the path's name; a key is asked for
    """Get a QR for what is outstanding: the open one, or a new one in place of one that is no longer right."""
    invoice_id = require_invoice_id(id)
    if body.gateway not in parts.gateways:
        known = ", ".join(sorted(parts.gateways))
        raise ApiError(404, "UNKNOWN_GATEWAY", f"the gateways here are: {known}", field="gateway")
    issue = partial(parts.issue, invoice_id, gateway=body.gateway)
    return pay_link_out(await to_thread.run_sync(issue, limiter=_PAY_LINK_THREADS))


def read_invoice(parts: WebParts, invoice_id: str) -> InvoiceOut:
    """Return an invoice as it stands.

    Raises:
        UnknownInvoiceError: there is none of that id.

    """
    invoice = parts.invoices.read(invoice_id)
    if invoice is None:
        raise UnknownInvoiceError
    return invoice_out(invoice)


def _log_put(put: Put, invoice_id: str, terms: InvoiceTerms) -> None:
    log.info("invoice.put", invoice=invoice_id, outcome=put, amount=str(terms.amount.amount))
