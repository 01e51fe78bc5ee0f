"""Routes of invoices: put one, read it, and get a QR for what is outstanding."""

from functools import partial
from typing import Annotated

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Request, Response

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from adapters.postgres.invoices import Put
from domain.invoice import InvoiceTerms, require_invoice_id
from worker.web.authentication import Reader, Writer
from worker.web.entity import entity
from worker.web.errors import ApiError, errors
from worker.web.exact_json import ExactRoute
from worker.web.fields import INVOICE_ID_SCHEMA
from worker.web.keyed import OptionalKey, answered_once
from worker.web.parts import Parts, WebParts
from worker.web.plain_route import PlainRoute
from worker.web.shapes import AskPayLink, InvoiceOut, PayLinkOut, PutInvoice, invoice_out, pay_link_out

log = structlog.get_logger()

_PAY_LINK_THREADS = CapacityLimiter(32)
"""Pay-links wait for gateways, so they have threads of their own: a slow gateway must not keep callbacks waiting."""

router = APIRouter(prefix="/v2/invoices", tags=["invoices"], route_class=ExactRoute)
often = APIRouter(prefix="/v2/invoices", tags=["invoices"], route_class=PlainRoute)
"""What checkouts ask every second."""

InvoiceId = Annotated[
    str,
    Path(description="The merchant's own id.", examples=["rent-2026-11"], json_schema_extra=dict(INVOICE_ID_SCHEMA)),
]

_TAGGED = {"headers": {"ETag": {"description": "Changes with the invoice.", "schema": {"type": "string"}}}}


@router.put(
    "/{id}",
    response_model=InvoiceOut,
    responses={200: _TAGGED, 201: {"model": InvoiceOut, "description": "It is new.", **_TAGGED}, **errors(409, 413)},
)
def put_invoice(id: InvoiceId, body: PutInvoice, request: Request, parts: Parts, caller: Writer) -> Response:  # noqa: A002 - the path's name for it
    """Make an invoice, or change what it asks for before anything is paid on it."""
    invoice_id, terms = require_invoice_id(id), body.terms()
    put = parts.invoices.put(invoice_id, terms=terms, now=parts.clock(), who=caller)
    _log_put(put, invoice_id, terms)
    return entity(read_invoice(parts, invoice_id), request, status=201 if put is Put.CREATED else 200)


@often.get(
    "/{id}",
    response_model=InvoiceOut,
    responses={200: _TAGGED, 304: {"description": "It is as the ETag in If-None-Match says."}, **errors(404)},
)
def get_invoice(id: InvoiceId, request: Request, parts: Parts, caller: Reader) -> Response:  # noqa: A002, ARG001 - the path's name; a key is asked for
    """Read an invoice with its balance and its QRs. Cheap enough to be asked every second by a checkout."""
    return entity(read_invoice(parts, require_invoice_id(id)), request)


@router.post("/{id}/pay-link", response_model=PayLinkOut, responses=errors(404, 409, 413, 502, 503, 504))
async def ask_pay_link(
    id: InvoiceId,  # noqa: A002 - the path's name for it
    body: AskPayLink,
    parts: Parts,
    caller: Writer,  # noqa: ARG001 - a key is asked for
    key: OptionalKey = None,
) -> Response:
    """Get a QR for what is outstanding: the open one, or a new one in place of one that is no longer right."""
    invoice_id = require_invoice_id(id)
    if body.gateway not in parts.gateways:
        known = ", ".join(sorted(parts.gateways))
        raise ApiError(404, "UNKNOWN_GATEWAY", f"the gateways here are: {known}", field="gateway")

    def issue() -> PayLinkOut:
        qr = parts.issue(invoice_id, gateway=body.gateway)
        return pay_link_out(qr, pay_url=parts.pay_pages.address(invoice_id, qr_expires_at=qr.expires_at))

    once = partial(answered_once, parts, key, issue, verb="pay-link", invoice=invoice_id, gateway=body.gateway)
    return await to_thread.run_sync(once, limiter=_PAY_LINK_THREADS)


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
