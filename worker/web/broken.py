"""Whatever nobody expected: logged once with its trace, and answered like every other error, without it."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.errors import ApiError, answer

log = structlog.get_logger()


class Broken:
    """Sits inside of what adds headers and counts. Starlette's own handler is outside, and hangs up on the client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on; what breaks after its answer was begun is raised, so that the connection ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            log.exception("web.broken", route=getattr(scope.get("route"), "path", None))
            if begun:
                raise
            await answer(ApiError(500, "INTERNAL", "something went wrong here; it was logged"))(scope, receive, send)
