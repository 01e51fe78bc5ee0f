"""The simulator as one ASGI application: the wire, the control API, the pages, and what holds for all of them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator import callbacks_api, control_api, pages, payments_api, settings_api
from simulator.clock import Clock
from simulator.facts import Merchant, Terminal
from simulator.problems import problem
from simulator.qpay import api as qpay
from simulator.socialpay import api as socialpay
from simulator.world import Switches, World

SAYS_SO = ("X-Simulator", "tootsoo")
"""The header of every answer, so that nobody takes this for the real one."""
MAX_BODY_BYTES = 1_000_000
CONTROLS = (control_api.router, payments_api.router, callbacks_api.router, settings_api.router)
"""What tests and people do with the simulator, apart from the wire."""

log = structlog.get_logger()


def create_app(
    *,
    merchants: Iterable[Merchant],
    clock: Clock,
    switches: Switches | None = None,
    call_anywhere: bool = False,
    seed: int = 0,
    terminals: Iterable[Terminal] = (),
) -> FastAPI:
    """Make a simulator with these merchants and terminals and nothing issued yet; `app.state.world` holds it.

    `clock` tells the time in UTC. Callbacks to other machines are refused unless `call_anywhere`; they are sent only
    while the application's lifespan runs. Faults, of which there are none at first, are drawn from `seed`.
    """
    world = World(
        merchants,
        clock=clock,
        switches=switches or Switches(),
        call_anywhere=call_anywhere,
        seed=seed,
        terminals=terminals,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with world.callbacks.running():
            yield

    app = FastAPI(
        title="Payment simulator",
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY_BYTES,
        exception_handlers={
            HTTPException: _refuse,
            Exception: _confess,
        },
    )
    app.state.world = world
    for router in (*qpay.ROUTERS, *socialpay.ROUTERS, *CONTROLS, *pages.ROUTERS):
        app.include_router(router)
    app.add_middleware(SaysSo)
    return app


class SaysSo:
    """Adds the simulator's header to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, and the answer back with its header."""

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append(*SAYS_SO)
            await send(message)

        await self._app(scope, receive, send_with_header)


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    """Refuse what no route takes."""
    if not isinstance(error, HTTPException):
        raise error
    answer = problem(error.status_code, str(error.detail).upper().replace(" ", "_"), str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _confess(_: Request, error: Exception) -> JSONResponse:
    """Answer for a mistake of the simulator itself; the server logs it."""
    log.error("simulator.broken", error=type(error).__name__)
    answer = problem(500, "SIMULATOR_BROKEN", "the simulator made a mistake; its log says more")
    answer.headers.append(*SAYS_SO)  # this answer goes round the middleware
    return answer
