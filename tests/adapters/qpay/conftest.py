"""A scripted QPay, and gateways that are closed when their test is over."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

import pytest
import redis
from moneyed import Money
from pydantic import SecretStr

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import InvoiceToIssue
from tests.adapters.qpay.scripted import ScriptedQPay, rows, serving
from tests.adapters.refs import ref


class OpenGateway(Protocol):
    def __call__(
        self, *, config: QPayConfig | None = None, limits: Limits | None = None, redis_url: str | None = None
    ) -> QPayGateway: ...


@pytest.fixture
def qpay() -> Iterator[ScriptedQPay]:
    with serving() as scripted:
        yield scripted


@pytest.fixture
def config(qpay: ScriptedQPay) -> QPayConfig:
    return QPayConfig(
        base_url=qpay.base_url,
        username=f"TEST_{uuid4().hex}",
        password=SecretStr("s3cret-pass"),
        invoice_code="TEST_INVOICE",
        allow_partial=False,
    )


@pytest.fixture
def open_gateway(config: QPayConfig, redis_url: str) -> Iterator[OpenGateway]:
    own_config, own_redis_url = config, redis_url
    with ExitStack() as stack:

        def open_one(
            *, config: QPayConfig | None = None, limits: Limits | None = None, redis_url: str | None = None
        ) -> QPayGateway:
            return stack.enter_context(
                QPayGateway(
                    config or own_config, redis_url=redis_url or own_redis_url, now=time.time, limits=limits or Limits()
                )
            )

        yield open_one


@pytest.fixture
def gateway(open_gateway: OpenGateway) -> QPayGateway:
    return open_gateway()


@pytest.fixture
def shared(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def logged_in(qpay: ScriptedQPay, gateway: QPayGateway) -> QPayGateway:
    """A gateway that has just logged in and checked."""
    qpay.will("POST /v2/payment/check", rows())
    gateway.check(ref("i-1"))
    return gateway


@pytest.fixture
def rent() -> InvoiceToIssue:
    return InvoiceToIssue(
        number="rent-2026-03-g2",
        amount=Money(1_500_000, "MNT"),
        description="Түрээс",
        receiver_code="terminal",
        callback_url="https://pay.example.mn/v1/webhooks/qpay/c4llback-t0ken",
        expires_at=datetime(2026, 3, 18, 5, 0, 0, 250_000, tzinfo=UTC),
    )


def elsewhere(config: QPayConfig, base_url: str) -> QPayConfig:
    return replace(config, base_url=base_url)
