"""The real sandbox answers as the recorded answers say; rehearsed at the simulator on every run of the tests."""

import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from adapters.qpay.config import QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import GatewayError
from simulator.facts import Merchant
from simulator.server import serving
from tests.sandbox.tour import Seen, compare, take

SANDBOX = "https://merchant-sandbox.qpay.mn"
PRODUCTION_HOST = "merchant.qpay.mn"
NEEDED = ("QPAY_USERNAME", "QPAY_PASSWORD", "QPAY_INVOICE_CODE")


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, redis_url: str) -> Iterator[QPayGateway]:
    if "sandbox" not in request.config.option.markexpr:
        pytest.skip("it calls the real sandbox of QPay: make sandbox")
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        pytest.skip(f"no credentials for QPay's sandbox: set {', '.join(missing)} (docs/qpay.md says how to get them)")
    base_url = os.environ.get("QPAY_BASE_URL") or SANDBOX
    if urlsplit(base_url).hostname == PRODUCTION_HOST:
        pytest.skip("QPAY_BASE_URL is production, where invoices are real: leave it out, or name the sandbox")
    with opened(
        base_url=base_url,
        username=os.environ["QPAY_USERNAME"],
        password=os.environ["QPAY_PASSWORD"],
        invoice_code=os.environ["QPAY_INVOICE_CODE"],
        redis_url=redis_url,
    ) as gateway:
        yield gateway


@pytest.mark.sandbox
def test_sandbox_answers_as_recorded(sandbox: QPayGateway, capsys: pytest.CaptureFixture[str]) -> None:
    seen = Seen()

    with seen.listening():
        tour(sandbox)

    gone, new = seen.differences()
    with capsys.disabled():
        summary = f"{len(gone)} fields gone or changed, {len(new)} new"
        sys.stdout.write("\n".join(["", *gone, *new, summary, ""]))
    assert not gone


def test_a_tour_that_fails_says_why_and_shows_no_password(redis_url: str) -> None:
    merchant = Merchant(username="TEST_MERCHANT", password="p", invoice_code="TEST_INVOICE")

    with (
        serving(merchants=[merchant], clock=lambda: datetime.now(UTC)) as simulator,
        opened(
            base_url=simulator.url,
            username=merchant.username,
            password="another-pass",
            invoice_code=merchant.invoice_code,
            redis_url=redis_url,
        ) as gateway,
        pytest.raises(pytest.fail.Exception, match="QPay answered 401 AUTHENTICATION_FAILED") as failed,
    ):
        tour(gateway)

    assert not failed.value.pytrace  # else pytest prints the arguments of the calls that failed, password included


def test_the_tour_is_rehearsed_at_the_simulator(redis_url: str) -> None:
    merchant = Merchant(username="TEST_MERCHANT", password="p", invoice_code="TEST_INVOICE")
    seen = Seen()

    with (
        serving(merchants=[merchant], clock=lambda: datetime.now(UTC)) as simulator,
        opened(
            base_url=simulator.url,
            username=merchant.username,
            password=merchant.password,
            invoice_code=merchant.invoice_code,
            redis_url=redis_url,
        ) as gateway,
        seen.listening(),
    ):
        take(gateway)

    assert seen.differences() == ([], [])


@pytest.mark.parametrize(
    ("recorded", "told", "lines"),
    [
        ({"a": 1}, {"a": "1"}, []),
        ({"a": None}, {"a": [1]}, []),
        ({"a": [{"b": 1}]}, {"a": []}, []),
        ({"a": 1}, {}, ["x.a is gone"]),
        ({}, {"a": 1}, ["x.a is new"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, ["x.a[].c is new"]),
        ({"a": {"b": 1}}, {"a": "text"}, ["x.a is str, and was dict"]),
        ({"a": 1}, None, []),
    ],
)
def test_shapes_differ_by_what_is_gone_new_or_of_another_kind(recorded: object, told: object, lines: list[str]) -> None:
    assert list(compare(recorded, told, at="x")) == lines


def tour(gateway: QPayGateway) -> None:
    """Take the tour; what stops it fails the test in QPay's words, or ours, without a traceback and its arguments."""
    try:
        take(gateway)
    except GatewayError as error:
        why = f"{type(error).__name__}: {error.message}"
    else:
        return
    pytest.fail(why, pytrace=False)


def opened(*, base_url: str, username: str, password: str, invoice_code: str, redis_url: str) -> QPayGateway:
    config = QPayConfig(
        base_url=base_url,
        username=username,
        password=SecretStr(password),
        invoice_code=invoice_code,
        allow_partial=False,
    )
    return QPayGateway(config, redis_url=redis_url, now=time.time)
