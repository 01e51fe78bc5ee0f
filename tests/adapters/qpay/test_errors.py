"""Each failure comes out as the port's error that says whether trying again can help."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from adapters.calls.answers import read_retry_after
from adapters.qpay.gateway import QPayGateway
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnreadableError,
    InvoiceToIssue,
)
from tests.adapters.qpay.scripted import (
    Reply,
    ScriptedQPay,
    answer,
    fixture,
    half_an_answer,
    reset,
)
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"
CREATE = "POST /v2/invoice"
Fail = Callable[[Reply], GatewayError]


@pytest.fixture
def fail(qpay: ScriptedQPay, gateway: QPayGateway) -> Fail:
    """The error that a check comes to when QPay answers so."""

    def check(reply: Reply) -> GatewayError:
        qpay.will(CHECK, reply)
        with pytest.raises(GatewayError) as raised:
            gateway.check(ref("i-1"))
        return raised.value

    return check


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b'{"error": "INVOICE_CODE_INVALID", "message": "x"}', "INVOICE_CODE_INVALID"),
        (403, b'{"error": "PERMISSION_DENIED", "message": "x"}', "PERMISSION_DENIED"),
        (409, b'{"error": "SOMETHING_NEW", "message": "x"}', "SOMETHING_NEW"),
        (422, b'{"error": "INVOICE_NOTFOUND", "message": "x"}', "INVOICE_NOTFOUND"),
        (400, b'{"error": "INVOICE_PAID", "message": {"a": {"message": "b"}}}', "INVOICE_PAID"),
        (400, b'{"message": {"a": "b"}}', "VALIDATION"),
        (404, b"<html>not here</html>", "HTTP_404"),
        (400, b"", "HTTP_400"),
        (400, b"[1]", "HTTP_400"),
        (400, b'{"error": 7, "message": null}', "HTTP_400"),
        (400, b'{"error": "", "message": "words"}', "HTTP_400"),
        (418, b"\xff\xfe", "HTTP_418"),
    ],
)
def test_other_4xx_is_a_refusal_with_a_code(fail: Fail, status: int, body: bytes, code: str) -> None:
    error = fail(answer(status, body))

    assert isinstance(error, GatewayRefusedError)
    assert error.code == code


def test_business_error_keeps_the_gateways_words(fail: Fail) -> None:
    error = fail(answer(400, fixture("invoice_already_canceled_400")))

    assert error.message == "QPay answered 400 INVOICE_ALREADY_CANCELED: Нэхэмжлэл цуцлагдсан байна."


def test_validation_error_names_the_fields(fail: Fail) -> None:
    error = fail(answer(400, fixture("validation_400")))

    assert isinstance(error, GatewayRefusedError)
    assert error.code == "VALIDATION"
    assert "object_type: Required!; object_id: Required!" in error.message


@pytest.mark.parametrize("fault", ["Required!", {"message": "Required!"}, {"type": "Required!"}])
def test_validation_faults_are_read_in_each_form(fail: Fail, fault: object) -> None:
    assert "amount: Required!" in fail(answer(400, {"error": {"amount": fault}})).message


def test_words_are_cut_short_and_cleaned(fail: Fail) -> None:
    error = fail(answer(400, {"error": "E\n" * 500, "message": "bell \x07 escape \x1b[31m\n\ttab " + "x" * 100_000}))

    assert isinstance(error, GatewayRefusedError)
    assert len(error.message) <= 200
    assert len(error.code) <= 64
    assert error.message.isprintable()
    assert error.code.isprintable()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [fixture("system_busy_500"), b"<html><h1>502 Bad Gateway</h1></html>", b""])
def test_5xx_leaves_the_outcome_unknown(fail: Fail, status: int, body: bytes) -> None:
    error = fail(answer(status, body))

    assert type(error) is GatewayOutcomeUnknownError
    assert error.retry_after_s is None


def test_5xx_passes_on_what_it_asks_to_wait(fail: Fail) -> None:
    error = fail(answer(503, headers={"Retry-After": "7"}))

    assert isinstance(error, GatewayOutcomeUnknownError)
    assert error.retry_after_s == 7


def test_429_was_not_acted_upon_and_says_how_long_to_wait(fail: Fail) -> None:
    error = fail(answer(429, headers={"Retry-After": "120"}))

    assert isinstance(error, GatewayBusyError)
    assert error.retry_after_s == 120


def test_429_may_name_a_moment_instead(fail: Fail) -> None:
    in_a_minute = format_datetime(datetime.fromtimestamp(time.time() + 60, tz=UTC), usegmt=True)

    error = fail(answer(429, headers={"Retry-After": in_a_minute}))

    assert isinstance(error, GatewayBusyError)
    assert error.retry_after_s == pytest.approx(60, abs=3)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("-5", None),
        ("1e9", None),
        ("0", 0),
        (" 30 ", 30),
        ("999999999", 3_600),
        ("Tue, 15 Nov 2022 12:45:26 GMT", 60),
        ("Tue, 15 Nov 2022 12:45:26 -0000", 60),
        ("Tue, 15 Nov 2022 12:40:26 GMT", 0),
        ("Tue, 15 Nov 2099 12:45:26 GMT", 3_600),
        ("Tue, 99 Nov 2022 12:45:26 GMT", None),
    ],
)
def test_retry_after_is_read_within_reason(header: str | None, wait_s: float | None) -> None:
    now_s = datetime(2022, 11, 15, 12, 44, 26, tzinfo=UTC).timestamp()

    assert read_retry_after(header, now_s=now_s) == wait_s


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(qpay: ScriptedQPay, fail: Fail, status: int) -> None:
    error = fail(answer(status, headers={"Location": f"{qpay.base_url}/elsewhere"}))

    assert isinstance(error, GatewayUnreadableError)
    assert not [seen for seen in qpay.seen if seen.path == "/elsewhere"]


@pytest.mark.parametrize("broken", [reset, half_an_answer], ids=lambda reply: str(reply.__name__))
def test_connection_lost_after_sending_leaves_the_outcome_unknown(fail: Fail, broken: Reply) -> None:
    error = fail(broken)

    assert type(error) is GatewayOutcomeUnknownError


def test_create_whose_answer_was_lost_is_not_repeated(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue
) -> None:
    qpay.will(CREATE, reset, answer(200, fixture("invoice_create_200")))

    with pytest.raises(GatewayOutcomeUnknownError):
        gateway.issue(rent)

    assert len(qpay.calls(CREATE)) == 1


def test_compressed_answer_is_not_unpacked(fail: Fail) -> None:
    error = fail(answer(200, b"\x1f\x8b", headers={"Content-Encoding": "gzip"}))

    assert isinstance(error, GatewayUnreadableError)
