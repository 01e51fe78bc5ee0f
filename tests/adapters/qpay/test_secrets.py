"""Passwords, tokens and callback URLs stay out of logs, messages, tracebacks and reprs, even when QPay repeats them."""

import base64
import logging
import traceback

import pytest
import structlog
from pydantic import SecretStr

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import GatewayError, GatewayRefusedError, InvoiceToIssue
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import Reply, ScriptedQPay, answer, echo, fixture, half_an_answer, hang, reset, rows
from tests.adapters.refs import ref

REPLIES: dict[str, Reply] = {
    **{str(status): echo(status) for status in (200, 400, 401, 403, 429, 500)},
    "reset": reset,
    "half": half_an_answer,
    "silence": hang,
}
BAD = {
    f"{endpoint} {kind}": (f"POST /v2/{endpoint}", reply)
    for endpoint in ("auth/token", "invoice")
    for kind, reply in REPLIES.items()
}


@pytest.fixture
def secrets(config: QPayConfig) -> list[str]:
    basic = base64.b64encode(f"{config.username}:s3cret-pass".encode()).decode()
    return ["s3cret-pass", basic, "access-1", "access-2", "c4llback-t0ken"]


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


def ask(gateway: QPayGateway, rent: InvoiceToIssue) -> str:
    with pytest.raises(GatewayError) as raised:
        gateway.issue(rent)
    assert raised.value.__cause__ is None
    return told(raised.value)


@pytest.fixture(params=list(BAD.values()), ids=list(BAD))
def misbehaving(qpay: ScriptedQPay, request: pytest.FixtureRequest) -> ScriptedQPay:
    endpoint, reply = request.param
    qpay.will(endpoint, reply)
    return qpay


@pytest.mark.usefixtures("misbehaving")
def test_no_failure_tells_a_secret(
    open_gateway: OpenGateway, rent: InvoiceToIssue, secrets: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = open_gateway(limits=Limits(issue_timeout_s=0.4, login_timeout_s=0.2))

    with structlog.testing.capture_logs() as logged:
        shown = ask(gateway, rent)

    everything = shown + str(logged) + caplog.text + repr(gateway) + repr(vars(gateway))
    assert logged
    assert not [secret for secret in secrets if secret in everything]


def test_echo_is_shown_with_the_secrets_hidden(qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue) -> None:
    qpay.will("POST /v2/invoice", answer(400, {"error": "BAD", "message": f"cannot call {rent.callback_url} back"}))

    with pytest.raises(GatewayRefusedError) as refused:
        gateway.issue(rent)

    assert refused.value.message == "QPay answered 400 BAD: cannot call [hidden] back"


def test_success_is_logged_without_a_secret(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue, secrets: list[str]
) -> None:
    qpay.will("POST /v2/invoice", answer(200, fixture("invoice_create_200")))
    qpay.will("POST /v2/payment/check", rows())

    with structlog.testing.capture_logs() as logged:
        gateway.issue(rent)
        gateway.check(ref("i-1"))

    assert [(each["event"], each.get("endpoint"), each.get("status")) for each in logged] == [
        ("gateway.call", "POST auth/token", 200),
        ("qpay.logged_in", None, None),
        ("gateway.call", "POST invoice", 200),
        ("gateway.call", "POST payment/check", 200),
    ]
    assert all(each["duration_ms"] >= 0 for each in logged if each["event"] == "gateway.call")
    assert not [secret for secret in secrets if secret in str(logged)]


@pytest.mark.parametrize(
    "base_url",
    ["", "merchant.qpay.mn", "ftp://merchant.qpay.mn", "https://", "https://u:hunter2@q.mn", "https://q.mn/?x=hunter2",
     "https://q.mn/#hunter2", "https://q.mn/v2", "https://q.mn/v2/", "https://hunter2\x00.mn"],
)  # fmt: skip
def test_base_url_that_is_none_is_refused_without_repeating_it(config: QPayConfig, base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as refused:
        QPayConfig(
            base_url=base_url, username="u", password=config.password, invoice_code="TEST_INVOICE", allow_partial=False
        )

    assert "hunter2" not in told(refused.value)


@pytest.mark.parametrize("redis_url", ["localhost:6379", "http://:hunter2@localhost", "redis://:hunter2@host:port/0"])
def test_redis_url_that_is_none_is_refused_without_repeating_it(config: QPayConfig, redis_url: str) -> None:
    with pytest.raises(ValueError, match="redis_url") as refused:
        QPayGateway(config, redis_url=redis_url, now=lambda: 0.0)

    assert "hunter2" not in told(refused.value)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000//"])
def test_slash_at_the_end_of_the_base_url_does_not_matter(base_url: str) -> None:
    config = QPayConfig(
        base_url=base_url, username="u", password=SecretStr("p"), invoice_code="TEST_INVOICE", allow_partial=False
    )

    assert config.api_url == "http://127.0.0.1:8000/v2"


def test_login_must_fit_into_its_spacing() -> None:
    with pytest.raises(ValueError, match="login_spacing_s"):
        Limits(login_spacing_s=1, login_timeout_s=2)
