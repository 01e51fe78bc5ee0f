"""What QPay offers as a gateway, and what its tokens say of themselves that nobody may believe."""

import json
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest
import redis

from adapters.qpay.config import QPayConfig
from adapters.qpay.gateway import QPayGateway
from tests.adapters.qpay.conftest import OpenGateway, elsewhere
from tests.adapters.qpay.scripted import ScriptedQPay, answer, rows
from tests.adapters.qpay.token_in_redis import token_key
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"


def test_qpay_may_not_be_polled(gateway: QPayGateway) -> None:
    assert not gateway.capabilities.may_be_polled
    assert gateway.capabilities.lists


def test_qpay_takes_whole_togrog_cancels_and_refunds(gateway: QPayGateway) -> None:
    can = gateway.capabilities

    assert (can.whole_units, can.cancels, can.refunds) == (True, True, True)


@pytest.mark.parametrize("enable_expiry", [True, False])
def test_expiry_is_taken_where_it_is_sent(
    open_gateway: OpenGateway, config: QPayConfig, *, enable_expiry: bool
) -> None:
    gateway = open_gateway(config=replace(config, enable_expiry=enable_expiry))

    assert gateway.capabilities.takes_expiry is enable_expiry


@pytest.mark.parametrize("exp", [0, 1, 3_534_000_000])
def test_end_that_the_token_tells_of_itself_is_not_believed(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", exp: int
) -> None:
    parts = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "x"}, {"exp": exp})]
    jwt = ".".join([*parts, "signature"])
    qpay.will("POST /v2/auth/token", answer(200, {"access_token": jwt, "expires_in": 3_600}))
    qpay.will(CHECK, rows())

    gateway.check(ref("i-1"))
    gateway.check(ref("i-1"))

    assert len(qpay.logins) == 1
    assert 3_500 < shared.ttl(token_key(shared)) <= 3_540


def test_two_addresses_do_not_share_a_token(
    qpay: ScriptedQPay, open_gateway: OpenGateway, config: QPayConfig, shared: "redis.Redis"
) -> None:
    qpay.will(CHECK, rows())

    open_gateway().check(ref("i-1"))
    open_gateway(config=elsewhere(config, qpay.base_url.replace("127.0.0.1", "localhost"))).check(ref("i-1"))

    assert len(shared.keys("tootsoo:qpay:token:*")) == 2
