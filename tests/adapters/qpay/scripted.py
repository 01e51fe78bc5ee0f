"""A scripted QPay over real sockets: it answers what a test told it to, or misbehaves, and remembers what came."""

import base64
import json
import select
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

FIXTURES = Path(__file__).parent / "fixtures"
DRIP_S = 0.02

Reply = Callable[["Exchange"], None]


def fixture(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def basic(self) -> str:
        return base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()


class ScriptedQPay:
    """What each endpoint will answer, in order; the last answer repeats. `auth/token` gives access-1, access-2, …"""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._script: dict[str, list[Reply]] = defaultdict(list)
        self._logins = 0
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self.base_url = ""
        self.will("POST /v2/auth/token", self.fresh_token())

    def will(self, endpoint: str, *replies: Reply) -> None:
        with self._lock:
            self._script[endpoint] = list(replies)

    def fresh_token(self, *, expires_in: int = 86_400) -> Reply:
        def reply(exchange: "Exchange") -> None:
            with self._lock:
                self._logins += 1
                number = self._logins
            answer(200, {"access_token": f"access-{number}", "expires_in": expires_in})(exchange)

        return reply

    def calls(self, endpoint: str) -> list[Seen]:
        with self._lock:
            return [each for each in self.seen if f"{each.method} {each.path}" == endpoint]

    @property
    def logins(self) -> list[Seen]:
        return self.calls("POST /v2/auth/token")

    @property
    def checks(self) -> list[Seen]:
        return self.calls("POST /v2/payment/check")

    def next_reply(self, seen: Seen) -> Reply:
        with self._lock:
            self.seen.append(seen)
            replies = self._script[f"{seen.method} {seen.path}"]
            if not replies:
                return answer(404, b"nothing was scripted")
            return replies.pop(0) if len(replies) > 1 else replies[0]


class Exchange(BaseHTTPRequestHandler):
    """One connection; `qpay` is set on the subclass that a server is started with."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    qpay: ScriptedQPay

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.qpay.next_reply(Seen(self.command, self.path, headers, body, self.client_address))
        with suppress(OSError):  # the client has gone, which is what many tests are about
            reply(self)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_args: object) -> None:
        """Stay quiet: the tests look at what was seen."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, *_args: object) -> None:
        """Stay quiet: connections that break are what the tests ask for."""


@contextmanager
def serving() -> Iterator[ScriptedQPay]:
    qpay = ScriptedQPay()
    with _Server(("127.0.0.1", 0), type("Exchange", (Exchange,), {"qpay": qpay})) as server:
        qpay.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield qpay
        finally:
            qpay.stopping.set()
            server.shutdown()
            thread.join()


# --- Replies ---------------------------------------------------------------------------------------------------------


def answer(status: int, body: object = b"", *, headers: Mapping[str, str] | None = None) -> Reply:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()

    def reply(exchange: Exchange) -> None:
        exchange.send_response(status)
        for name, value in {"Content-Length": str(len(payload)), **(headers or {})}.items():
            exchange.send_header(name, value)
        exchange.end_headers()
        exchange.wfile.write(payload)

    return reply


def when(condition: Callable[[], bool], reply: Reply) -> Reply:
    """Hold the answer back until the condition is true, ten seconds at most."""

    def waiting(exchange: Exchange) -> None:
        wait_until(condition)
        reply(exchange)

    return waiting


def echo(status: int) -> Reply:
    """Answer with an error that repeats everything it was sent, as badly kept servers do."""

    def reply(exchange: Exchange) -> None:
        seen = exchange.qpay.seen[-1]
        words = f"{dict(seen.headers)} {seen.body.decode()}"
        if seen.headers["authorization"].startswith("Basic "):
            words = f"{seen.basic} {words}"
        answer(status, {"error": f"E {words}"[:300], "message": words})(exchange)

    return reply


def only_with(token: str, reply: Reply) -> Reply:
    """Give `reply` to who bears `token`, and 401 to everybody else, as QPay does: one token lives."""

    no_credentials = answer(401, fixture("unauthorized_401"))

    def judging(exchange: Exchange) -> None:
        live = exchange.headers["Authorization"] == f"Bearer {token}"
        (reply if live else no_credentials)(exchange)

    return judging


def rows(*each: object, count: int | None = None) -> Reply:
    return answer(200, {"count": len(each) if count is None else count, "rows": list(each)})


def hang(exchange: Exchange) -> None:
    """Say nothing until the client goes."""
    exchange.close_connection = True
    while not exchange.qpay.stopping.is_set():
        if select.select([exchange.connection], [], [], 0.02)[0]:
            return


def drip(head: bytes, drop: bytes) -> Reply:
    """Send `head`, then `drop` again and again, far more often than any single read would time out."""

    def reply(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.connection.sendall(head)
        while not exchange.qpay.stopping.wait(DRIP_S):
            exchange.connection.sendall(drop)

    return reply


def reset(exchange: Exchange) -> None:
    """Break the connection after the request was read."""
    exchange.close_connection = True
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.connection.close()


def half_an_answer(exchange: Exchange) -> None:
    exchange.close_connection = True
    exchange.connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"count": 1, "ro')
    exchange.connection.shutdown(socket.SHUT_RDWR)
