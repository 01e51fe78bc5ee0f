"""Limits on what a request may bring, before anything reads it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.errors import ApiError, answer

MAX_BODY_BYTES = 64 * 1024
"""An invoice with every field at its longest has less than 2 KB."""


class BodyLimit:
    """Refuses bodies over `MAX_BODY_BYTES`, whether their length was announced or not, in the API's own envelope.

    FastAPI's `max_body_size` answers an announced length in plain text, where no handler of ours can reach it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read_body(scope, receive)
        if body is None:
            error = ApiError(413, "BODY_TOO_LARGE", f"a body may have {MAX_BODY_BYTES} bytes")
            await answer(error, headers={"Connection": "close"})(scope, receive, send)
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
