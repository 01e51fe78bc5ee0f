"""No call takes longer or reads more than its limits, however QPay misbehaves, and who was not asked did not act."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayOutcomeUnknownError,
    GatewayUnreadableError,
    InvoiceToIssue,
)
from tests.adapters.qpay.conftest import OpenGateway, elsewhere
from tests.adapters.qpay.scripted import Reply, ScriptedQPay, answer, drip, hang, rows, when
from tests.adapters.refs import ref
from tests.waiting import BUSY_S, wait_until

CHECK = "POST /v2/payment/check"
TOTAL_S = 0.25
SHORT = Limits(
    check_timeout_s=TOTAL_S,
    issue_timeout_s=TOTAL_S,
    cancel_timeout_s=TOTAL_S,
    refund_timeout_s=TOTAL_S,
    connect_timeout_s=0.15,
)
DRIPS = {
    "body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", b" "),
    "chunked body": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "headers": drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "one header": drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
    "interim answers": drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}
CALLS: dict[str, tuple[str, Callable[[QPayGateway, InvoiceToIssue], object]]] = {
    "check": (CHECK, lambda gateway, _rent: gateway.check(ref("i-1"))),
    "issue": ("POST /v2/invoice", lambda gateway, rent: gateway.issue(rent)),
    "cancel": ("DELETE /v2/invoice/i-1", lambda gateway, _rent: gateway.cancel(ref("i-1"))),
    "refund": ("DELETE /v2/payment/refund/p-1", lambda gateway, _rent: gateway.refund("p-1", note="returned")),
}


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    started_s = time.monotonic()
    yield
    assert time.monotonic() - started_s < limit_s


@pytest.fixture
def hurried(qpay: ScriptedQPay, open_gateway: OpenGateway) -> QPayGateway:
    """A gateway with little time, started and logged in."""
    qpay.will(CHECK, rows())
    open_gateway().check(ref("i-1"))
    gateway = open_gateway(limits=SHORT)

    def checked() -> bool:
        try:
            return gateway.check(ref("i-1")).rows == ()
        except GatewayError:  # on a busy machine the start takes longer than that
            return False

    wait_until(checked)
    return gateway


@pytest.mark.parametrize(
    ("call", "drip"),
    [
        *(("check", drip) for drip in DRIPS),
        ("issue", "body"),
        ("issue", "headers"),
        ("cancel", "body"),
        ("refund", "body"),
    ],
)
def test_drip_of_bytes_is_bounded_in_total_time(
    qpay: ScriptedQPay, hurried: QPayGateway, rent: InvoiceToIssue, call: str, drip: str
) -> None:
    endpoint, ask = CALLS[call]
    qpay.will(endpoint, DRIPS[drip])

    with within(TOTAL_S + BUSY_S), pytest.raises(GatewayOutcomeUnknownError) as unknown:
        ask(hurried, rent)

    assert unknown.value.message == "QPay did not answer within 0.25 s"


def test_silence_is_bounded_and_leaves_the_outcome_unknown(qpay: ScriptedQPay, hurried: QPayGateway) -> None:
    qpay.will(CHECK, hang)

    with within(TOTAL_S + BUSY_S), pytest.raises(GatewayOutcomeUnknownError):
        hurried.check(ref("i-1"))


def test_all_pages_share_one_limit(qpay: ScriptedQPay, hurried: QPayGateway) -> None:
    slow = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + b'{"count": 9, "rows": [1]}', b" ")
    qpay.will(CHECK, slow)

    with within(TOTAL_S + BUSY_S), pytest.raises(GatewayError):
        hurried.check(ref("i-1"))


def test_gateway_answers_again_after_a_time_out(qpay: ScriptedQPay, hurried: QPayGateway) -> None:
    qpay.will(CHECK, hang, rows())
    with pytest.raises(GatewayOutcomeUnknownError):
        hurried.check(ref("i-1"))

    assert hurried.check(ref("i-1")).rows == ()


@pytest.mark.parametrize("drip", [*DRIPS.values(), hang], ids=[*DRIPS, "silence"])
def test_login_counts_into_the_limit_and_the_call_was_not_sent(
    qpay: ScriptedQPay, open_gateway: OpenGateway, rent: InvoiceToIssue, drip: Reply
) -> None:
    qpay.will("POST /v2/auth/token", drip)
    gateway = open_gateway(limits=SHORT)

    with within(TOTAL_S + BUSY_S), pytest.raises(GatewayBusyError):
        gateway.issue(rent)

    assert qpay.calls("POST /v2/invoice") == []


def test_refused_connection_was_not_acted_upon(
    qpay: ScriptedQPay, open_gateway: OpenGateway, config: QPayConfig
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = elsewhere(config, f"http://127.0.0.1:{unused.getsockname()[1]}")
        gateway = open_gateway(config=nobody)

        with pytest.raises(GatewayBusyError, match="ConnectionRefusedError"):
            gateway.check(ref("i-1"))

    assert qpay.seen == []


def test_broken_encryption_was_not_acted_upon_and_is_called_so(
    qpay: ScriptedQPay, open_gateway: OpenGateway, config: QPayConfig
) -> None:
    gateway = open_gateway(config=elsewhere(config, qpay.base_url.replace("http:", "https:")))

    with pytest.raises(GatewayBusyError, match="SSLError"):
        gateway.check(ref("i-1"))

    assert qpay.seen == []


def test_unknown_host_was_not_acted_upon(open_gateway: OpenGateway, config: QPayConfig) -> None:
    gateway = open_gateway(config=elsewhere(config, "http://no..such..host"))

    with pytest.raises(GatewayBusyError):
        gateway.check(ref("i-1"))


def test_connect_time_out_was_not_acted_upon(
    open_gateway: OpenGateway, config: QPayConfig, rent: InvoiceToIssue
) -> None:
    with socket.socket() as deaf, ExitStack() as fillers:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # a full backlog lets further connects hang
            filler = fillers.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(deaf.getsockname())
        gateway = open_gateway(config=elsewhere(config, f"http://127.0.0.1:{deaf.getsockname()[1]}"), limits=SHORT)

        with within(TOTAL_S + BUSY_S), pytest.raises(GatewayBusyError):
            gateway.issue(rent)


def test_body_beyond_the_limit_is_not_read(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, answer(200, b'{"count": 0, "rows": [' + b" " * 6_000_000 + b"]}"))

    with pytest.raises(GatewayUnreadableError, match="too large"):
        gateway.check(ref("i-1"))


def test_error_page_beyond_the_limit_is_not_read_either(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, answer(502, b"x" * 6_000_000))

    with pytest.raises(GatewayUnreadableError, match="too large"):
        gateway.check(ref("i-1"))


def test_calls_from_many_threads_do_not_wait_for_one_another(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, when(lambda: len(qpay.checks) >= 10, rows()))

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: gateway.check(ref("i-1")).rows, range(10)))

    assert answers == [()] * 10


def test_closing_twice_is_once_and_a_closed_gateway_makes_no_call(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, rows())
    gateway.check(ref("i-1"))

    gateway.close()
    gateway.close()

    with pytest.raises(RuntimeError, match="closed"):
        gateway.check(ref("i-1"))


def test_gateway_that_was_never_called_closes(gateway: QPayGateway) -> None:
    gateway.close()


def test_unreachable_redis_is_named_and_nothing_is_sent(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    gateway = open_gateway(redis_url="redis://:hunter2@127.0.0.1:1/0")

    with pytest.raises(GatewayBusyError, match="Redis") as busy:
        gateway.check(ref("i-1"))

    assert "hunter2" not in busy.value.message
    assert qpay.seen == []


def test_silent_redis_is_bounded(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gateway = open_gateway(
            redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0", limits=Limits(redis_timeout_s=0.2)
        )

        with within(0.2 + BUSY_S), pytest.raises(GatewayBusyError, match="Redis"):
            gateway.check(ref("i-1"))

    assert qpay.seen == []
