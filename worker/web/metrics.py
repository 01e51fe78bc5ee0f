"""The route of metrics. It is on the port that the internet reaches, so it is off until there is a token."""

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from worker.metrics.access import is_let_in
from worker.web.errors import ApiError, plain_errors
from worker.web.parts import Parts

router = APIRouter(tags=["health"])

LOOKING = CapacityLimiter(8)
"""Looks wait for servers that may hang, so they have threads of their own: callbacks must not wait for them."""


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=plain_errors(s401="No token, or a wrong one.", s404="METRICS_TOKEN is not set."),
)
async def metrics(request: Request, parts: Parts) -> Response:
    """Tell this process's counters and the state in PostgreSQL, as Prometheus reads them."""
    if not parts.metrics_tokens:
        raise ApiError(404, "METRICS_OFF", "metrics are off: METRICS_TOKEN is not set")
    if not is_let_in(request.headers.get("Authorization"), parts.metrics_tokens):
        raise ApiError(401, "UNAUTHORISED", "send Authorization: Bearer and a METRICS_TOKEN")
    body = await to_thread.run_sync(generate_latest, parts.metrics.registry, limiter=LOOKING)
    return Response(body, media_type=CONTENT_TYPE_PLAIN_0_0_4)
