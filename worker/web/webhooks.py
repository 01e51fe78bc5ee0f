"""Callbacks of the gateways: verify token or checksum, write down that a check is due, wake a worker, answer."""

from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse

from domain.payment_event import Source
from worker.settings import SOCIALPAY_WEBHOOK
from worker.web.errors import ApiError, plain_errors
from worker.web.parts import Parts, WebParts
from worker.web.plain_route import PlainRoute
from worker.webhook_token import PROBE_ID

log = structlog.get_logger()

router = APIRouter(tags=["webhooks"], route_class=PlainRoute)

QPAY_SUCCESS = "SUCCESS"
"""QPay v2 takes this body and no other as an acknowledgement."""

SOCIALPAY_TAKEN = "OK"
"""What SocialPay wants to read is not known; its status is 200."""

_LOST = "The request could not be written down: send it again."
_TOO_LARGE, _TOO_SLOW = "The body is too large.", "The body did not come in time."
_RESPONSES = plain_errors(s404="Not a token of ours.", s408=_TOO_SLOW, s413=_TOO_LARGE, s503=_LOST)


@router.get(
    "/v2/qpay/webhook/{token}",
    operation_id="qpay_webhook_get",
    response_class=PlainTextResponse,
    responses=_RESPONSES,
)
def qpay_callback(token: str, request: Request, parts: Parts) -> PlainTextResponse:
    """Take a callback of QPay. Nothing in it is believed: it only makes us ask QPay."""
    return _take(token, dict(request.query_params), parts=parts, gateway="qpay")


@router.post(
    "/v2/qpay/webhook/{token}",
    operation_id="qpay_webhook_post",
    response_class=PlainTextResponse,
    responses=_RESPONSES,
)
def qpay_callback_posted(token: str, request: Request, parts: Parts) -> PlainTextResponse:
    """Take a callback of QPay that was posted; its body is not read."""
    return _take(token, dict(request.query_params), parts=parts, gateway="qpay")


def _take(token: str, query: dict[str, str], *, parts: WebParts, gateway: str) -> PlainTextResponse:
    gateway_invoice_id = parts.tokens.read(token)
    if gateway_invoice_id is None:
        log.warning("callback.refused", gateway=gateway, reason="not a token of ours")
        raise ApiError(404, "INVALID_TOKEN", "not a token of ours")
    if gateway_invoice_id == PROBE_ID:
        return _probe(parts)
    reader = parts.gateways.get(gateway)
    announced = None if reader is None else reader.read_callback(query)
    if not _request(gateway_invoice_id, announced, parts=parts):
        log.warning("callback.refused", gateway=gateway, reason="a token of another database")
        raise ApiError(404, "INVALID_TOKEN", "not a token of ours")
    return PlainTextResponse(QPAY_SUCCESS)  # a bare str FastAPI would validate, in another thread, for each callback


def _probe(parts: WebParts) -> PlainTextResponse:
    """Answer whoever asks with a token of ours whether callbacks arrive: as a callback is answered, without effect."""
    if not parts.see().is_ready:
        raise ApiError(503, "NOT_READY", "callbacks cannot be written down")
    log.info("callback.probed")
    return PlainTextResponse(QPAY_SUCCESS)


async def _read_body(request: Request) -> bytes:
    return await request.body()


@router.post(
    SOCIALPAY_WEBHOOK,
    operation_id="socialpay_webhook",
    response_class=PlainTextResponse,
    responses=plain_errors(
        s401="Not signed by SocialPay for our terminal.",
        s404="There is no SocialPay here.",
        s408=_TOO_SLOW,
        s413=_TOO_LARGE,
        s503=_LOST,
    ),
)
def socialpay_push(body: Annotated[bytes, Depends(_read_body)], parts: Parts) -> PlainTextResponse:
    """Take a push of SocialPay. Its checksum is tried, and then nothing in it is believed: we ask SocialPay."""
    gateway = "socialpay"
    read = parts.pushes.get(gateway)
    if read is None:
        raise ApiError(404, "UNKNOWN_GATEWAY", "there is no SocialPay here")
    push = read(body)
    if push is None:
        log.warning("callback.refused", gateway=gateway, reason="not signed for our terminal")
        raise ApiError(401, "BAD_CHECKSUM", "the checksum is not SocialPay's for our terminal")
    gateway_invoice_id = parts.check_requests.id_of_number(gateway, push.number)
    if gateway_invoice_id is None or not _request(gateway_invoice_id, push.payment_id, parts=parts):
        log.info("callback.ignored", gateway=gateway, number=push.number, reason="no QR of ours")
    return PlainTextResponse(SOCIALPAY_TAKEN)


def _request(gateway_invoice_id: UUID, announced: str | None, *, parts: WebParts) -> bool:
    """Write down that a check is due, and wake a worker; False when there is no such gateway invoice."""
    requested = parts.check_requests.request(gateway_invoice_id, source=Source.CALLBACK, awaited_payment_id=announced)
    if requested is None:
        return False
    log.info(
        "callback.taken",
        gateway=requested.gateway,
        invoice=requested.invoice_id,
        gateway_invoice=str(gateway_invoice_id),
        announced_payment=announced,
    )
    if requested.rings:
        parts.ring(requested.gateway, gateway_invoice_id, requested.wait_s)
    return True
