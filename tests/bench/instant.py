"""A server that answers at once: QPay as fast as can be, and what the load's own speed is measured against.

Run as a process, with BENCH_PORT and BENCH_AMOUNT. Every invoice is paid, by one payment of so many tögrög.
"""

import asyncio
import json
import os
import re
import time
from typing import cast

import uvloop

from tests.bench.payments import raw_row

ANYTHING = b"SUCCESS"
"""What is answered to everything else than QPay's endpoints."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_OBJECT = re.compile(rb'"object_id": *"([^"]+)"')
_PAYMENT = "THE-PAYMENT"


def payment_of(external_id: str) -> str:
    """Name the payment on an invoice."""
    return f"pay-{external_id}"


class Instant(asyncio.Protocol):
    """One connection."""

    def __init__(self, *, amount: int) -> None:
        self._received = b""
        self._page = json.dumps({"count": 1, "rows": [raw_row(_PAYMENT, f"{amount}.00")]}, ensure_ascii=False).encode()
        lives_until = int(time.time()) + 86_400
        self._login = json.dumps({"token_type": "bearer", "access_token": "A", "expires_in": lives_until}).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if found and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            answer = self._answer(head, body)
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"POST /v2/payment/check ") and (asked := _OBJECT.search(body)):
            return self._page.replace(_PAYMENT.encode(), payment_of(asked[1].decode()).encode())
        return self._login if head.startswith(b"POST /v2/auth/token ") else ANYTHING


async def _serve(port: int, amount: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Instant(amount=amount), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(os.environ["BENCH_PORT"]), int(os.environ["BENCH_AMOUNT"])))
