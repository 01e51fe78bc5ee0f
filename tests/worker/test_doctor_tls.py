"""What the doctor says of the certificate that gateways and customers meet, over real TLS."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import trustme

from tests.worker.doctoring import NAME, a_loaded, findings
from worker.doctor.callback import SUCCESS
from worker.doctor.finding import Finding, Verdict

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


class _Takes(BaseHTTPRequestHandler):
    """Answers a callback as tootsoo web does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(SUCCESS)))
        self.end_headers()
        self.wfile.write(SUCCESS.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A handshake that the other side breaks off is what is tested here."""


@contextmanager
def _behind(certificate: trustme.LeafCert | None) -> Iterator[str]:
    with _Server(("127.0.0.1", 0), _Takes) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _found(certificate: trustme.LeafCert | None, *, ca: trustme.CA | None) -> Finding:
    trusting = None
    if ca is not None:
        trusting = ssl.create_default_context()
        ca.configure_trust(trusting)
    with _behind(certificate) as url:
        (found,) = [
            one
            for one in findings(a_loaded(), only=["callback"], leads_to=url, trusting=trusting)
            if one.check == "callback"
        ]
    return found


def test_a_certificate_that_is_as_it_should_be_is_taken() -> None:
    ca = trustme.CA()

    assert _found(ca.issue_cert(NAME), ca=ca).verdict is Verdict.OK


CERTIFICATES: list[tuple[str, Callable[[trustme.CA], trustme.LeafCert | None], bool, str]] = [
    (
        "of an authority that nobody knows",
        lambda ca: ca.issue_cert(NAME),
        False,
        "unable to get local issuer certificate",
    ),
    ("expired", lambda ca: ca.issue_cert(NAME, not_after=YESTERDAY), True, "certificate has expired"),
    ("of another name", lambda ca: ca.issue_cert("shop.gerel.mn"), True, "Hostname mismatch"),
    ("none at all", lambda _: None, True, "does not speak TLS"),
]


@pytest.mark.parametrize(
    ("issue", "trusted", "says"), [one[1:] for one in CERTIFICATES], ids=[one[0] for one in CERTIFICATES]
)
def test_a_certificate_that_gateways_refuse_is_told_with_what_to_do(
    issue: Callable[[trustme.CA], trustme.LeafCert | None], *, trusted: bool, says: str
) -> None:
    ca = trustme.CA()

    found = _found(issue(ca), ca=ca if trusted else None)

    assert found.verdict is Verdict.WARNING
    assert says in found.says
    assert found.action is not None
    assert "certificate" in found.action
