"""A merchant's limit on requests holds for all processes together; without one nobody waits."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from adapters.qpay.config import Limits
from adapters.qpay.gateway import QPayGateway
from domain.gateway import GatewayHeldBackError
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import ScriptedQPay, rows
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"


def test_without_a_limit_redis_is_not_asked_for_a_turn(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis"
) -> None:
    qpay.will(CHECK, rows())

    gateway.check(ref("i-1"))

    assert shared.keys("tootsoo:qpay:pace:*") == []


def test_requests_of_all_processes_are_spread_over_time(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    limits = Limits(calls_per_s=20)
    gateways = [open_gateway(limits=limits) for _ in range(3)]
    qpay.will(CHECK, rows())
    started_s = time.monotonic()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: gateways[number % 3].check(ref("i-1")), range(45)))

    took_s = time.monotonic() - started_s
    assert len(qpay.seen) == 46  # a login, and the checks
    assert took_s >= (46 - 20) / 20  # a second's worth may come at once


def test_call_that_would_wait_too_long_gives_its_thread_back(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    qpay.will(CHECK, rows())
    open_gateway().check(ref("i-1"))  # logs in
    gateway = open_gateway(limits=Limits(calls_per_s=0.1))
    gateway.check(ref("i-1"))
    before = len(qpay.seen)

    with pytest.raises(GatewayHeldBackError, match=r"0\.1 times a second") as held:
        gateway.check(ref("i-1"))

    assert held.value.retry_after_s is not None
    assert 5 < held.value.retry_after_s <= 10
    assert len(qpay.seen) == before
    assert shared.ttl(shared.keys("tootsoo:qpay:pace:*")[0]) <= 12


def test_turn_that_was_not_taken_is_left_to_others(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    qpay.will(CHECK, rows())
    open_gateway().check(ref("i-1"))
    gateway = open_gateway(limits=Limits(calls_per_s=0.1))
    gateway.check(ref("i-1"))
    waits = []

    for _ in range(3):
        with pytest.raises(GatewayHeldBackError) as held:
            gateway.check(ref("i-1"))
        waits.append(held.value.retry_after_s or 0)

    assert waits == sorted(waits, reverse=True)


@pytest.mark.parametrize("calls_per_s", [0, -1])
def test_limit_of_nothing_is_refused(calls_per_s: float) -> None:
    with pytest.raises(ValueError, match="calls_per_s"):
        Limits(calls_per_s=calls_per_s)


def test_turn_that_is_impossibly_far_off_is_the_work_of_a_clock_that_was_put_back(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    qpay.will(CHECK, rows())
    gateway = open_gateway(limits=Limits(calls_per_s=10))
    gateway.check(ref("i-1"))
    (pace,) = shared.keys("tootsoo:qpay:pace:*")
    shared.set(pace, int((time.time() + 3_600) * 1_000_000), ex=3_600)

    assert gateway.check(ref("i-1")).rows == ()
