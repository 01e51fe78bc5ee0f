"""Who may call the API, and what every answer carries."""

import contextlib
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from adapters.postgres.api_keys import Scope
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from worker.clock import utc_now
from worker.compose.database import open_keys
from worker.web import heads, limits

BODY = {"amount": {"amount": 100, "currency": "MNT"}, "description": "An order"}


@pytest.fixture
def client_with(stack: Stack) -> Callable[..., httpx.Client]:
    def make(*scopes: Scope) -> httpx.Client:
        with open_keys(stack.groups.database) as keys:
            key = keys.create("another", now=utc_now(), scopes=scopes)
        return httpx.Client(
            base_url=stack.api.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False
        )

    return make


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_key_does_no_more_than_its_scopes_allow(stack: Stack, client_with: Callable[..., httpx.Client]) -> None:
    stack.put()
    with client_with(Scope.READ) as reader, client_with(Scope.WRITE) as writer:
        assert reader.get("/v2/invoices/order-1").status_code == 200
        assert reader.get("/v2/payments").status_code == 200
        assert writer.put("/v2/invoices/order-2", json=BODY).status_code == 201
        forbidden = [
            reader.put("/v2/invoices/order-1", json=BODY),
            reader.post("/v2/invoices/order-1/pay-link", json={"gateway": "qpay"}),
            reader.post("/v2/invoices/order-1/void", json={"reason": "x"}),
            reader.post("/v2/invoices/unknown/void", json={"reason": "x"}),
            writer.get("/v2/invoices/order-1"),
            writer.get("/v2/invoices/unknown"),
            writer.get("/v2/payments"),
        ]

    assert {code_of(answer) for answer in forbidden} == {(403, "FORBIDDEN")}
    assert stack.invoice()["balance"]["due"]["amount"] == "1500000.00"


def test_a_revoked_key_is_refused_without_a_restart(stack: Stack, client_with: Callable[..., httpx.Client]) -> None:
    stack.put()
    with client_with(Scope.READ) as reader:
        before = reader.get("/v2/invoices/order-1").status_code
        with open_keys(stack.groups.database) as keys:
            (key,) = [key for key in keys.list() if key.name == "another"]
            keys.revoke(key.id, now=utc_now())
        wait_until(lambda: reader.get("/v2/invoices/order-1").status_code == 401)

    assert before == 200
    assert key.last_used_at is not None


@pytest.mark.parametrize("path", ["/v2/invoices/order-1", "/healthz", "/nowhere", "/v2/qpay/webhook/forged"])
def test_every_answer_carries_the_security_headers(stack: Stack, path: str) -> None:
    answer = httpx.get(f"{stack.api.base_url}{path}", trust_env=False)

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_body_that_drips_is_given_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_WITHIN_S", 0.2)
    address = urlsplit(str(stack.api.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=10) as slow:
        slow.sendall(b"PUT /v2/invoices/order-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = slow.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"BODY_TOO_SLOW" in answer


def _until_closed(stack: Stack, *pieces: bytes) -> bytes:
    """Send these, and return all that comes before the other side closes."""
    address = urlsplit(str(stack.api.base_url))
    received = b""
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65_536):
                received += piece
    return received


ASKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (ASKED, b"X: ", *[b"a" * 100_000] * 100),
        (ASKED, *[b"X: a\r\n" * 10_000] * 100),
        (b"GET /", *[b"a" * 100_000] * 100),
        (ASKED, b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", *[b"X: a\r\n" * 10_000] * 100),
    ],
    ids=["one long header", "many headers", "a long path", "trailers"],
)
def test_a_head_without_an_end_is_not_read_to_it(stack: Stack, pieces: tuple[bytes, ...]) -> None:
    answer = _until_closed(stack, *pieces)

    assert b"HTTP/1.1 431" in answer or answer == b""  # lost where we were still writing
    assert stack.api.get("/healthz").status_code == 200


@pytest.mark.parametrize("sent", [b"", ASKED, b"\r\n"], ids=["nothing", "half", "blank"])
def test_a_head_that_does_not_come_is_given_up(stack: Stack, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(heads, "HEAD_WITHIN_S", 0.2)

    assert _until_closed(stack, sent) == b""


def test_a_second_head_that_does_not_come_is_given_up_too(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "HEAD_WITHIN_S", 0.5)
    address = urlsplit(str(stack.api.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(ASKED + b"\r\n")
        answer = connection.recv(65_536)
        connection.sendall(ASKED)
        after = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 200")
    assert after == b""


def test_an_invoice_that_has_not_changed_is_not_sent_again(stack: Stack) -> None:
    put = stack.api.put("/v2/invoices/order-1", json=BODY)
    first = stack.api.get("/v2/invoices/order-1")
    tag = first.headers["ETag"]

    same = stack.api.get("/v2/invoices/order-1", headers={"If-None-Match": f'"other", W/{tag}'})
    other = stack.api.get("/v2/invoices/order-1", headers={"If-None-Match": '"other"'})
    stack.api.put("/v2/invoices/order-1", json={**BODY, "description": "Another"})
    changed = stack.api.get("/v2/invoices/order-1", headers={"If-None-Match": tag})

    assert put.headers["ETag"] == tag
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert (other.status_code, changed.status_code) == (200, 200)
    assert changed.headers["ETag"] != tag
