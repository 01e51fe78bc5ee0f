"""Count requests, callbacks and their times, by route."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.metrics.instruments import Metrics
from worker.settings import SOCIALPAY_WEBHOOK

UNKNOWN_ROUTE = "none"
"""Of paths that lead nowhere: there is no end of them."""

_GATEWAY_OF = {"/v2/qpay/webhook/{token}": "qpay", SOCIALPAY_WEBHOOK: "socialpay"}
"""The routes that callbacks come by."""

_BROKEN = 500


class Measure:
    """Sits outside of everything else, so that what is refused early is counted too."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and count how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = _BROKEN

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started_s = time.perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            self._count(scope, status=status, duration_s=time.perf_counter() - started_s)

    def _count(self, scope: Scope, *, status: int, duration_s: float) -> None:
        route: str = getattr(scope.get("route"), "path", UNKNOWN_ROUTE)
        self._metrics.request_answered(method=scope["method"], route=route, status=status, duration_s=duration_s)
        gateway = _GATEWAY_OF.get(route)
        if gateway is not None:
            self._metrics.callback_answered(gateway, status)
