"""A small HTTP server for the metrics of processes that serve nothing else: worker and scheduler."""

import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import SecretStr

from worker.metrics.access import is_let_in
from worker.settings import SettingsError
from worker.starting import StartError

log = structlog.get_logger()

REQUEST_S = 5.0
"""From the connection to the end of the answer; a client that drips is cut off then."""

CONNECTIONS_MAX = 8
"""At once: more than there are Prometheus servers. Who comes on top is closed at once."""


@contextmanager
def serving_metrics(
    registry: CollectorRegistry, *, host: str, port: int | None, tokens: Sequence[SecretStr]
) -> Iterator[int | None]:
    """Serve GET /metrics until the context ends, and give the port; without a port nothing is served.

    Raises:
        SettingsError: others than this machine could read it without a token.
        StartError: the address is taken or is none of this machine.

    """
    if port is None:
        yield None
        return
    if not tokens and not _is_loopback(host):
        raise SettingsError("METRICS_TOKEN is missing: metrics on an address that others reach need one")
    try:
        server = _Server((host, port), registry=registry, tokens=tokens)
    except OSError as error:
        raise StartError(f"metrics cannot be served on {host}:{port}: {error.strerror}") from None
    with server:
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        bound: int = server.server_address[1]
        log.info("metrics.served", address=f"http://{host}:{bound}/metrics")
        try:
            yield bound
        finally:
            server.shutdown()
            thread.join()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], *, registry: CollectorRegistry, tokens: Sequence[SecretStr]) -> None:
        self.registry = registry
        self.tokens = tokens
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(address, _Handler)

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - the library's
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - the library's
        cut = threading.Timer(REQUEST_S, _cut, [request])
        cut.daemon = True
        cut.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._places.release()

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG002 - the library's
        log.debug("metrics.unanswered", exc_info=sys.exception())


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, b"not here: /metrics\n")
        elif self.server.tokens and not is_let_in(self.headers.get("Authorization"), self.server.tokens):
            self._answer(HTTPStatus.UNAUTHORIZED, b"send Authorization: Bearer and a METRICS_TOKEN\n")
        else:
            self._answer(HTTPStatus.OK, generate_latest(self.server.registry), kind=CONTENT_TYPE_PLAIN_0_0_4)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name for it
        """Say nothing: a line for each scrape tells nobody anything."""

    def version_string(self) -> str:
        return "tootsoo"

    def _answer(self, status: HTTPStatus, body: bytes, *, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
