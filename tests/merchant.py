"""A merchant's application that takes notifications: it verifies each with the library that merchants use."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_SECRET = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One request that was verified."""

    id: str
    payload: dict[str, Any]
    body: bytes
    headers: dict[str, str]
    path: str
    began_s: float
    ended_s: float
    status: int

    @property
    def type(self) -> str:
        return str(self.payload["type"])

    @property
    def sequence(self) -> int:
        return int(self.payload["data"]["sequence"])

    @property
    def invoice(self) -> str:
        return str(self.payload["data"]["invoice"]["id"])


Answer = tuple[int, dict[str, str], bytes]


@dataclass(slots=True)
class Application:
    """What was told, and how it is answered."""

    url: str
    secret: str = SECRET
    answer: Callable[[dict[str, Any]], Answer] = lambda _: (204, {}, b"")
    told: list[Told] = field(default_factory=list)
    """In the order in which it was answered."""
    refused: list[str] = field(default_factory=list)
    """Why the signature of a request was not right."""
    at_once: int = 0
    at_once_max: int = 0
    released: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    def taken(self) -> list[Told]:
        """What was answered with a 2xx."""
        with self._lock:
            return [one for one in self.told if 200 <= one.status < 300]

    def take(self, handler: BaseHTTPRequestHandler, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        began_s = time.monotonic()
        try:
            payload = Webhook(self.secret).verify(body, headers)
        except Exception as error:  # noqa: BLE001 - whatever the library says
            self.refused.append(f"{type(error).__name__}: {error}")
            return 400, {}, b"bad signature"
        with self._lock:
            self.at_once += 1
            self.at_once_max = max(self.at_once, self.at_once_max)
        status, more, text = self.answer(payload)
        with self._lock:
            self.at_once -= 1
            self.told.append(
                Told(
                    id=headers["webhook-id"],
                    payload=payload,
                    body=body,
                    headers=headers,
                    path=handler.path,
                    began_s=began_s,
                    ended_s=time.monotonic(),
                    status=status,
                )
            )
        return status, more, text


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    application: Application

    def handle_error(self, *_: Any) -> None:
        """Keep quiet: a client may hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, text = self.server.application.take(self, body)
        self.send_response(status)
        for name, value in ({} if status == 204 else {"Content-Length": str(len(text))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def an_application(*, port: int = 0, tls: ssl.SSLContext | None = None, secret: str = SECRET) -> Iterator[Application]:
    """Serve one on this machine until the context ends."""
    with _Server(("127.0.0.1", port), _Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if tls is None else "https"
        server.application = Application(f"{scheme}://127.0.0.1:{server.server_port}/tootsoo/notifications/", secret)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.application
        finally:
            server.application.released.set()
            server.shutdown()
            thread.join()
