"""A call to the application: bounded in time and bytes, never redirected, and only to an address that was looked at."""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import trustme
from standardwebhooks import Webhook

from adapters.merchant.application import BODY_MAX_BYTES, MerchantApplication
from adapters.merchant.network import Resolve, resolve
from domain.delivery import Reply, TooLateError
from tests.merchant import SECRET, Application, an_application
from tests.waiting import BUSY_S
from worker.clock import utc_now

BODY = b'{"type":"invoice.paid"}'


@pytest.fixture
def application() -> Iterator[Application]:
    with an_application() as running:
        yield running


def headers(body: bytes = BODY) -> dict[str, str]:
    now = utc_now()
    signature = Webhook(SECRET).sign("msg_1", now, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
        "Content-Type": "application/json",
    }


def post(
    url: str,
    *,
    within_s: float = 5,
    allow_private: bool = True,
    resolves_to: list[list[str]] | None = None,
    trusting: ssl.SSLContext | None = None,
    times: int = 1,
) -> Reply:
    names = resolve if resolves_to is None else a_name_server(resolves_to)
    with MerchantApplication(url, allow_private=allow_private, resolve=names, ssl_context=trusting) as merchant:
        for _ in range(times):
            reply = merchant.post(BODY, headers=headers(), until_s=time.monotonic() + within_s)
    return reply


def a_name_server(answers: list[list[str]]) -> Resolve:
    """A name server whose answers differ from one question to the next; the last stays."""

    async def answer(_host: str, _port: int) -> Iterable[str]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return answer


@contextmanager
def scripted(*chunks: bytes, every_s: float = 0.0, count: int = 1) -> Iterator[str]:
    """A server that reads a request and then writes what it is told, without any regard for HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            for _ in range(count):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65_536)
                        for chunk in chunks:
                            connection.sendall(chunk)
                            time.sleep(every_s)  # a drip is what is tried
                    except OSError:
                        pass  # the client hung up

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    thread.join(15)


def test_what_is_sent_is_what_was_signed_and_goes_to_the_url_as_it_stands(application: Application) -> None:
    reply = post(f"{application.url}?shop=1")

    assert (reply.status, application.refused) == (204, [])
    assert application.told[0].payload == {"type": "invoice.paid"}
    assert application.told[0].path == "/tootsoo/notifications/?shop=1"


def test_one_connection_serves_several_calls(application: Application) -> None:
    assert post(application.url, times=3).status == 204
    assert len(application.told) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(application: Application, status: int) -> None:
    with an_application() as elsewhere:
        application.answer = lambda _: (status, {"Location": elsewhere.url}, b"")

        reply = post(application.url)

    assert reply.status == status
    assert "redirect" in reply.reason
    assert elsewhere.told == []


def test_a_drip_ends_with_the_deadline() -> None:
    with scripted(*[b"H"] * 1_000, every_s=0.1) as url:
        begun_s = time.monotonic()
        reply = post(url, within_s=1)

    assert (reply.status, reply.reason) == (None, "no answer in time")
    assert time.monotonic() - begun_s < BUSY_S


def test_a_status_counts_even_if_the_rest_of_the_answer_never_ends() -> None:
    with scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 100, every_s=0.1) as url:
        assert post(url, within_s=1).status == 200


def test_of_a_large_answer_only_the_beginning_is_read() -> None:
    head = b"HTTP/1.1 500 Oops\r\nContent-Length: 5000000000\r\n\r\n"
    with scripted(head, *[b"e" * BODY_MAX_BYTES] * 1_000) as url:
        reply = post(url)

    assert reply.status == 500
    assert len(reply.reason) < 250


def test_words_of_the_application_are_one_line_that_no_terminal_obeys(application: Application) -> None:
    application.answer = lambda _: (422, {}, "no\r\n\x1b[2Jsuch \u202eorder".encode())

    assert post(application.url).reason == "answered 422: no [2Jsuch order"


@pytest.mark.parametrize(
    ("value", "low_s", "high_s"),
    [
        ("120", 120, 120),
        ("0", 0, 0),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 10**9, 10**10),
        ("soon", None, None),
        ("-5", None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    application: Application, value: str, low_s: float | None, high_s: float | None
) -> None:
    application.answer = lambda _: (429, {"Retry-After": value}, b"")

    asked_s = post(application.url).retry_after_s

    assert (
        (asked_s is None) if low_s is None or high_s is None else (asked_s is not None and low_s <= asked_s <= high_s)
    )


@pytest.mark.parametrize(
    "junk", [b"", b"\r\n\r\n", b"<html>", b"HTTP/1.1 999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000]
)
def test_what_is_no_http_is_no_answer(junk: bytes) -> None:
    with scripted(junk) as url:
        assert post(url).status is None


def test_nobody_there_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    reply = post(f"http://127.0.0.1:{port}/")

    assert reply.status is None
    assert reply.reason.startswith("cannot be reached")


def test_after_its_time_nothing_is_sent(application: Application) -> None:
    with MerchantApplication(application.url, allow_private=True) as merchant:
        merchant.post(BODY, headers=headers(), until_s=time.monotonic() + 5)  # the connection is open now
        with pytest.raises(TooLateError):
            merchant.post(BODY, headers=headers(), until_s=time.monotonic() - 1)

    assert len(application.told) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "2130706433", "127.1", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_not_called_however_it_is_written(application: Application, host: str) -> None:
    port = application.url.rpartition(":")[2].partition("/")[0]

    reply = post(f"https://{host}:{port}/", allow_private=False)

    assert reply.status is None
    assert "no public address" in reply.reason or "cannot be reached" in reply.reason
    assert application.told == []


def test_the_name_is_asked_once_and_the_address_that_was_looked_at_is_called(application: Application) -> None:
    port = application.url.rpartition(":")[2].partition("/")[0]

    reply = post(f"http://shop.example.mn:{port}/", resolves_to=[["127.0.0.1"], ["169.254.169.254"]])

    assert reply.status == 204
    assert application.told[0].headers["host"] == f"shop.example.mn:{port}"


def test_a_name_that_has_moved_to_where_nobody_may_call_is_not_called(application: Application) -> None:
    port = application.url.rpartition(":")[2].partition("/")[0]

    reply = post(f"http://shop.example.mn:{port}/", resolves_to=[["127.0.0.1", "169.254.169.254"]])

    assert reply.reason == "not called: 169.254.169.254 is no address that may be called"
    assert application.told == []


def test_the_next_address_is_tried_when_one_does_not_answer(application: Application) -> None:
    port = application.url.rpartition(":")[2].partition("/")[0]

    assert post(f"http://shop.example.mn:{port}/", resolves_to=[["::1", "127.0.0.1"]]).status == 204


def test_the_certificate_must_be_the_names_and_not_the_addresses() -> None:
    authority = trustme.CA()
    trusting, tls = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(trusting)
    authority.issue_cert("shop.example.mn").configure_cert(tls)
    with an_application(tls=tls) as application:
        port = application.url.rpartition(":")[2].partition("/")[0]
        at_home = [["127.0.0.1"]]

        right = post(f"https://shop.example.mn:{port}/", resolves_to=at_home, trusting=trusting)
        other = post(f"https://other.example.mn:{port}/", resolves_to=at_home, trusting=trusting)
        unknown = post(f"https://shop.example.mn:{port}/", resolves_to=at_home)

    assert right.status == 204
    assert (other.status, unknown.status) == (None, None)
    assert "certificate" in other.reason.lower()
    assert len(application.told) == 1
