"""A SocialPay that is told what to answer, and a gateway that asks it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moneyed import Money
from pydantic import SecretStr

from adapters.socialpay.config import SocialPayConfig
from adapters.socialpay.gateway import SocialPayGateway
from domain.gateway import GatewayInvoiceRef
from tests.adapters.qpay.scripted import Reply, ScriptedQPay, answer, serving

SECRET = "socialpay-test-secret"
RENT = GatewayInvoiceRef(number="rent-2026-03-1", external_id="rent-2026-03-1", amount=Money(1_500_000, "MNT"))
CHECK = "POST /pos/invoice/check"
CANCEL = "POST /pos/invoice/cancel"
CREATE = "POST /pos/invoice/qr"


def fixture(name: str) -> Any:
    return json.loads((Path(__file__).parent / "fixtures" / f"{name}.json").read_text(encoding="utf-8"))


def paid(**changed: object) -> Reply:
    """Answer a check as it was recorded, but for some fields; None leaves one out."""
    body = fixture("check_200_paid")
    response = body["body"]["response"] | changed
    body["body"]["response"] = {key: value for key, value in response.items() if value is not None}
    return answer(200, body)


def refused(kind: str = "", words: str = "", *, status: int = 200, code: object = 500) -> Reply:
    error = {"errorDesc": words, "errorType": kind}
    return answer(status, {"header": {"status": "ERROR", "code": code}, "body": {"response": {}, "error": error}})


@pytest.fixture
def socialpay() -> Iterator[ScriptedQPay]:
    with serving() as scripted:
        yield scripted


@pytest.fixture
def config(socialpay: ScriptedQPay) -> SocialPayConfig:
    return SocialPayConfig(base_url=socialpay.base_url, terminal="95000059", secret=SecretStr(SECRET))


@pytest.fixture
def gateway(config: SocialPayConfig, redis_url: str) -> Iterator[SocialPayGateway]:
    with SocialPayGateway(config, redis_url=redis_url, now=time.time) as gateway:
        yield gateway
