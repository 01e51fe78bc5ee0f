"""Answers that no well-behaved server gives: none at all, a reset, one byte at a time."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "simulator.transport"
"""Where the scope of a call holds the connection that it came by."""


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, handing the connection on with each call, so that a fault can reset it."""

    def on_message_begin(self) -> None:
        """Begin a call as uvicorn does."""
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]  # ours, beside ASGI's own


class NoAnswer(Response):
    """Nothing is answered for so many seconds or until the caller goes away; then the connection is reset."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Wait, then reset."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await _gone(receive)
        _reset(scope)
        await _gone(receive)


def dripping(answer: Response, *, every_s: float) -> Response:
    """Give the same answer one byte at a time."""
    body = bytes(answer.body)

    async def drip() -> AsyncIterator[bytes]:
        for position in range(len(body)):
            yield body[position : position + 1]
            await asyncio.sleep(every_s)

    return StreamingResponse(drip(), status_code=answer.status_code, headers=dict(answer.headers))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _reset(scope: Scope) -> None:
    """Close the connection so that the other side sees a reset, not an end."""
    transport: asyncio.Transport | None = scope.get(TRANSPORT)
    if transport is None:
        raise RuntimeError("connections are reset only where simulator.server serves them")
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        with socket.socket(fileno=os.dup(connection.fileno())) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
