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

CONNECTION = "simulator.connection"
"""Where the scope of a call holds the connection that it came by."""


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, handing itself on with each call, so that a fault can reset the connection."""

    stalls: bool = False
    """Whether the call under way is made to wait by a fault: nothing that a server's end should wait for."""

    def on_message_begin(self) -> None:
        """Begin a call as uvicorn does."""
        super().on_message_begin()
        self.stalls = False
        self.scope[CONNECTION] = self  # type: ignore[literal-required]  # ours, beside ASGI's own

    def reset(self) -> None:
        """Close the connection so that the other side sees a reset, not an end."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            with socket.socket(fileno=os.dup(connection.fileno())) as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class NoAnswer(Response):
    """Nothing is answered for so many seconds or until the caller goes away; then the connection is reset."""

    def __init__(self, *, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Wait, then reset."""
        connection = _connection(scope)
        connection.stalls = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await _gone(receive)
        connection.reset()
        await _gone(receive)


class Dripping(StreamingResponse):
    """The same answer as another, one byte at a time."""

    def __init__(self, answer: Response, *, every_s: float) -> None:
        super().__init__(
            _bytes(bytes(answer.body), every_s=every_s), status_code=answer.status_code, headers=dict(answer.headers)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream as Starlette does."""
        _connection(scope).stalls = True
        await super().__call__(scope, receive, send)


async def _bytes(body: bytes, *, every_s: float) -> AsyncIterator[bytes]:
    for position in range(len(body)):
        yield body[position : position + 1]
        await asyncio.sleep(every_s)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _connection(scope: Scope) -> Protocol:
    connection = scope.get(CONNECTION)
    if not isinstance(connection, Protocol):
        raise TypeError("connections are spoiled only where simulator.server serves them")
    return connection
