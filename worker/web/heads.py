"""Limits on the head of a request, which uvicorn reads before any of our code: how long it is, how long it takes."""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_MAX_BYTES = 64 * 1024
"""Request line and headers. What is read at once, up to four times as much, is looked at when it is there."""

HEAD_WITHIN_S = 10.0
"""A head takes milliseconds; whoever sends it byte by byte, or nothing at all, holds a connection for nothing."""

_REFUSED = STATUS_LINE[431] + b"content-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's own, which bounds neither: anybody could fill the memory with one header, or keep every socket.

    Trailers behind a body count as a head. Bodies are `limits`' part.
    """

    _unread_bytes = 0
    """What came since the last part of a request that was whole: a head, or a piece of a body."""

    _head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_expecting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless it has become too much."""
        self._unread_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread_bytes > HEAD_MAX_BYTES:
            self.logger.warning("The head of a request is too long.")
            self.transport.write(_REFUSED)
            self.transport.close()
        elif self._is_answering():
            self._stop_expecting()
        elif self._head_due is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Take note that a head is whole."""
        self._unread_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take note that a piece of a body came."""
        self._unread_bytes = 0
        super().on_body(body)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(HEAD_WITHIN_S, self._give_up)

    def _stop_expecting(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _give_up(self) -> None:
        self._head_due = None
        if not self._is_answering():
            self.transport.close()
