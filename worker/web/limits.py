"""Limits on what a request may bring, and in how much time, before anything reads it."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.errors import ApiError, answer

MAX_BODY_BYTES = 64 * 1024
"""An invoice with every field at its longest has less than 2 KB."""

BODY_WITHIN_S = 10.0
"""A body of that size takes milliseconds; whoever sends it byte by byte holds a connection for nothing."""


_CLOSE = {"Connection": "close"}


class BodyLimit:
    """Refuses bodies over `MAX_BODY_BYTES`, announced or not, or over `BODY_WITHIN_S`, in the API's own envelope.

    FastAPI's `max_body_size` answers an announced length in plain text, where no handler of ours can reach it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            with anyio.fail_after(BODY_WITHIN_S):
                body = await _read_body(scope, receive)
        except TimeoutError:
            error = ApiError(408, "BODY_TOO_SLOW", f"a body must come within {BODY_WITHIN_S:g} s", headers=_CLOSE)
            await answer(error)(scope, receive, send)
            return
        if body is None:
            error = ApiError(413, "BODY_TOO_LARGE", f"a body may have {MAX_BODY_BYTES} bytes", headers=_CLOSE)
            await answer(error)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


async def _read_body(scope: Scope, receive: Receive) -> list[Message] | None:
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
        return None
    read: list[Message] = []
    size = 0
    while True:
        message = await receive()
        read.append(message)
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return read


def _replay(body: list[Message], receive: Receive) -> Receive:
    waiting = iter(body)

    async def next_message() -> Message:
        return next(waiting, None) or await receive()

    return next_message
