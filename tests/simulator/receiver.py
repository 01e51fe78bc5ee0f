"""A merchant's server that takes callbacks, and does with them what a test wants."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
SECRET = "s3cret-token-of-the-path"


class Receiver:
    """What was called, and how it is answered. `released` is set at the end, for answers that hang."""

    def __init__(self, url: str) -> None:
        self.callback_url = f"{url}/v2/qpay/webhook/{SECRET}"
        self.seen: list[str] = []
        self.methods: list[str] = []
        self.bodies: list[bytes] = []
        self.released = Event()
        self.answer: Callable[[str], Answer] = lambda _: (200, {}, b"SUCCESS")


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        receiver = self.server.receiver
        receiver.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        receiver.methods.append(self.command)
        receiver.seen.append(self.path)
        status, headers, body = receiver.answer(self.path)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.receiver
        finally:
            server.receiver.released.set()
            server.shutdown()
            thread.join()
