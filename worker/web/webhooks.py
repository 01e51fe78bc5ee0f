"""Callbacks of the gateways: verify the token, write down that a check is due, wake a worker, answer."""

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from domain.payment_event import Source
from worker.web.errors import ApiError, plain_errors
from worker.web.parts import Parts, WebParts

log = structlog.get_logger()

router = APIRouter(tags=["webhooks"])

QPAY_SUCCESS = "SUCCESS"
"""QPay v2 takes this body and no other as an acknowledgement."""

_RESPONSES = plain_errors(s404="Not a token of ours.", s503="The request could not be written down: send it again.")


@router.get(
    "/v2/qpay/webhook/{token}",
    operation_id="qpay_webhook_get",
    response_class=PlainTextResponse,
    responses=_RESPONSES,
)
def qpay_callback(token: str, request: Request, parts: Parts) -> str:
    """Take a callback of QPay. Nothing in it is believed: it only makes us ask QPay."""
    return _take(token, dict(request.query_params), parts=parts, gateway="qpay")


@router.post(
    "/v2/qpay/webhook/{token}",
    operation_id="qpay_webhook_post",
    response_class=PlainTextResponse,
    responses=_RESPONSES,
)
def qpay_callback_posted(token: str, request: Request, parts: Parts) -> str:
    """Take a callback of QPay that was posted; its body is not read."""
    return _take(token, dict(request.query_params), parts=parts, gateway="qpay")


def _take(token: str, query: dict[str, str], *, parts: WebParts, gateway: str) -> str:
    gateway_invoice_id = parts.tokens.read(token)
    if gateway_invoice_id is None:
        log.warning("callback.refused", gateway=gateway, reason="not a token of ours")
        raise ApiError(404, "INVALID_TOKEN", "not a token of ours")
    announced = parts.gateways[gateway].read_callback(query)
    requested = parts.check_requests.request(gateway_invoice_id, source=Source.CALLBACK, awaited_payment_id=announced)
    if requested is None:
        log.warning("callback.refused", gateway=gateway, reason="a token of another database")
        raise ApiError(404, "INVALID_TOKEN", "not a token of ours")
    log.info(
        "callback.taken",
        gateway=gateway,
        invoice=requested.invoice_id,
        gateway_invoice=str(gateway_invoice_id),
        announced_payment=announced,
    )
    if requested.rings:
        parts.ring(requested.gateway, gateway_invoice_id, requested.wait_s)
    return QPAY_SUCCESS
