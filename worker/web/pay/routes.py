"""Routes of the pay page: the page, what it asks whether it is still right, and the button for a QR."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode

import psycopg
import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from psycopg_pool import PoolTimeout

from adapters.postgres.invoices import InvoiceRecord
from domain.balance import Status
from domain.gateway import GatewayBusyError, GatewayError, GatewayOutcomeUnknownError
from worker.issue import PayLinkRefusedError
from worker.web.errors import ApiError
from worker.web.parts import Parts, WebParts
from worker.web.pay.rendering import language_of, message, page
from worker.web.pay.view import View, choose_gateway, live_at, tag_of, view_of

log = structlog.get_logger()

_ASSETS = Path(__file__).parent / "assets"
_ASSET_HEADERS = {"Cache-Control": "public, max-age=300"}

_ISSUING = CapacityLimiter(16)
"""Customers who wait for a gateway have threads of their own: a slow one must not keep callbacks waiting."""

TOO_MANY = 429


class _TellsInHtml(APIRoute):
    """A route whose errors a customer reads, not a program."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def telling(request: Request) -> Response:
            language = language_of(request.query_params.get("lang"))
            try:
                return await handle(request)
            except _NoPageError as no:
                return message(no.word, language=language, status=no.status)
            except ApiError as error:
                word = "too_many" if error.status == TOO_MANY else "down"
                return message(word, language=language, status=error.status)
            except (PoolTimeout, psycopg.OperationalError) as error:
                log.warning("pay_page.unavailable", error=type(error).__name__)
                return message("down", language=language, status=503)
            except Exception:
                log.exception("pay_page.broken")
                return message("down", language=language, status=500)

        return telling


class _NoPageError(Exception):
    """There is no page at this address, or no more."""

    def __init__(self, word: str, *, status: int) -> None:
        super().__init__(word)
        self.word = word
        self.status = status


router = APIRouter(prefix="/pay", tags=["pay page"], route_class=_TellsInHtml, include_in_schema=False)

Wish = Annotated[str | None, Query()]
"""Whatever it is: what is none of ours is as none."""

FORM_FIELDS_MAX = 10


@router.get("/assets/{name}")
def asset(name: str) -> Response:
    """Send the page's style or script."""
    known = {"pay.css": "text/css", "pay.js": "text/javascript"}
    if name not in known:
        raise _NoPageError("not_found", status=404)
    return FileResponse(_ASSETS / name, media_type=known[name], headers=_ASSET_HEADERS)


@router.head("/{token}")
@router.get("/{token}")
def show(token: str, request: Request, parts: Parts, gateway: Wish = None, lang: Wish = None) -> Response:
    """Show what is due, and the QR that there is. Asks no gateway: a link that is only looked at makes nothing."""
    return _show(token, request, parts, wish=gateway, lang=lang)


@router.get("/{token}/status")
def status(token: str, request: Request, parts: Parts) -> Response:
    """Tell the tag of the page as it would be now."""
    invoice = _invoice_of(token, request, parts)
    return JSONResponse({"tag": tag_of(invoice, now=parts.clock()), "status": invoice.status})


@router.post("/{token}")
async def ask_for_qr(token: str, request: Request, parts: Parts, lang: Wish = None) -> Response:
    """Get a QR at the gateway that the form names, and show the page with it."""
    body = await request.body()

    def get() -> Response:
        invoice = _invoice_of(token, request, parts)
        gateway = _gateway_in(body)
        if gateway is None or gateway not in parts.gateways:
            raise _NoPageError("not_found", status=404)
        problem, code = _issue(parts, invoice.id, gateway)
        if problem is None:
            query = urlencode({"lang": language_of(lang), "gateway": gateway})
            return RedirectResponse(f"{request.url.path}?{query}", status_code=303)
        return _show(token, request, parts, wish=gateway, lang=lang, problem=problem, code=code)

    return await to_thread.run_sync(get, limiter=_ISSUING)


def _gateway_in(body: bytes) -> str | None:
    try:
        return dict(parse_qsl(body.decode(errors="replace"), max_num_fields=FORM_FIELDS_MAX)).get("gateway")
    except ValueError:  # more fields than that
        return None


def _issue(parts: WebParts, invoice_id: str, gateway: str) -> tuple[str | None, int]:
    """Get a QR; return the word of what is wrong and its status, or no word when it is there or no longer needed."""
    try:
        parts.issue(invoice_id, gateway=gateway)
    except PayLinkRefusedError:
        return None, 200
    except GatewayBusyError:
        return "gateway_down", 503
    except GatewayOutcomeUnknownError:
        return "gateway_unknown", 504
    except GatewayError:
        return "gateway_refused", 502
    return None, 200


def _show(
    token: str,
    request: Request,
    parts: WebParts,
    *,
    wish: str | None,
    lang: str | None,
    problem: str | None = None,
    code: int = 200,
) -> Response:
    invoice = _invoice_of(token, request, parts)
    gateways = sorted(parts.gateways)
    gateway = choose_gateway(invoice, gateways, wish=wish)
    summary = live_at(invoice, gateway)
    live = parts.gateway_invoices.read(summary.id) if summary and invoice.outstanding_minor > 0 else None
    view = view_of(
        invoice,
        live,
        gateways=gateways,
        gateway=gateway,
        whole_units=parts.gateways[gateway].capabilities.whole_units,
        now=parts.clock(),
    )
    return page(
        "pay.html",
        language=language_of(lang),
        status=code,
        view=view,
        state=_state_of(view),
        merchant=parts.pay_pages.merchant_name,
        zone=parts.pay_pages.zone,
        problem=problem,
        status_path=f"/pay/{token}/status",
    )


def _state_of(view: View) -> str:
    """Return the word of the page's state; a part that was given back of what is held in full is still paid."""
    if view.status is Status.PARTIALLY_REFUNDED:
        return "partially_paid" if view.is_payable else "paid"
    return view.status.value


def _invoice_of(token: str, request: Request, parts: WebParts) -> InvoiceRecord:
    told = parts.pay_pages.read(token)
    if told is None:
        parts.rates.count_stranger(request)
        raise _NoPageError("not_found", status=404)
    parts.rates.count_customer(told.invoice_id)
    if parts.clock() >= told.holds_until:
        raise _NoPageError("gone", status=410)
    invoice = parts.invoices.read(told.invoice_id)
    if invoice is None:
        raise _NoPageError("not_found", status=404)
    return invoice
