"""A QPay that does not answer is left alone within seconds, tested by one call at a time, and asked again when back."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis
from redis.asyncio.connection import Connection

from adapters.calls.breaker import PROBING_WAIT_S
from adapters.qpay.config import Limits
from adapters.qpay.gateway import QPayGateway
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayHeldBackError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
)
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import (
    Exchange,
    Reply,
    ScriptedQPay,
    answer,
    half_an_answer,
    hang,
    reset,
    rows,
)
from tests.adapters.refs import ref
from tests.waiting import wait_until

CHECK = "POST /v2/payment/check"
DOWN = answer(500, {"error": "SYSTEM_BUSY", "message": "SYSTEM_BUSY"})
SLOW = Limits(breaker_failures=3, breaker_open_s=30, breaker_open_max_s=60)


def outcome(gateway: QPayGateway) -> type[BaseException] | None:
    try:
        gateway.check(ref("i-1"))
    except GatewayError as error:
        return type(error)
    return None


def key(shared: "redis.Redis", name: str) -> str | None:
    keys = shared.keys(f"tootsoo:qpay:{name}:*")
    assert len(keys) <= 1
    return str(keys[0]) if keys else None


def pause_over(shared: "redis.Redis") -> None:
    """Let the pause be over; the next call is a probe."""
    shared.delete(*shared.keys("tootsoo:qpay:open:*"))


@pytest.fixture
def tripped(qpay: ScriptedQPay, open_gateway: OpenGateway) -> QPayGateway:
    """A gateway whose breaker is open for half a minute."""
    gateway = open_gateway(limits=SLOW)
    qpay.will(CHECK, DOWN)
    for _ in range(3):
        outcome(gateway)
    return gateway


@pytest.mark.parametrize(
    "failure",
    [
        DOWN,
        answer(502, b"<html>"),
        answer(429),
        answer(200, b"<html>"),
        reset,
        half_an_answer,
    ],
    ids=["500", "502", "429", "unreadable", "reset", "half an answer"],
)
def test_failures_in_a_row_stop_the_calls_of_every_process(
    qpay: ScriptedQPay, open_gateway: OpenGateway, failure: Reply
) -> None:
    gateways = [open_gateway(limits=SLOW), open_gateway(limits=SLOW)]
    qpay.will(CHECK, failure)

    outcomes = [outcome(gateways[number % 2]) for number in range(10)]

    assert GatewayHeldBackError not in outcomes[:3]
    assert set(outcomes[3:]) == {GatewayHeldBackError}
    assert len(qpay.checks) == 3


def test_silence_stops_the_calls(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    qpay.will(CHECK, rows())
    open_gateway().check(ref("i-1"))  # logs in
    gateway = open_gateway(limits=replace(SLOW, check_timeout_s=0.5))
    gateway.check(ref("i-1"))  # starts its loop
    qpay.will(CHECK, hang)

    outcomes = [outcome(gateway) for _ in range(5)]

    assert outcomes == [GatewayOutcomeUnknownError] * 3 + [GatewayHeldBackError] * 2


def test_who_is_held_back_is_told_how_long_the_pause_is(tripped: QPayGateway) -> None:
    with pytest.raises(GatewayHeldBackError, match="left alone") as held:
        tripped.check(ref("i-1"))

    assert held.value.retry_after_s is not None
    assert 25 < held.value.retry_after_s <= 30


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_refusal_is_an_answer(qpay: ScriptedQPay, open_gateway: OpenGateway, status: int) -> None:
    gateway = open_gateway(limits=SLOW)
    qpay.will(CHECK, DOWN, DOWN, answer(status), DOWN, DOWN, answer(status), rows())

    outcomes = [outcome(gateway) for _ in range(7)]

    assert GatewayHeldBackError not in outcomes
    assert outcomes[2] is GatewayRefusedError


def test_failures_far_apart_are_not_in_a_row(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateway = open_gateway(limits=SLOW)
    qpay.will(CHECK, DOWN)
    outcome(gateway)

    assert 55 < shared.ttl(str(key(shared, "failures"))) <= 60


def test_one_call_at_a_time_is_the_probe(
    qpay: ScriptedQPay, tripped: QPayGateway, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateways = [tripped, *(open_gateway(limits=SLOW) for _ in range(3))]
    for gateway in gateways:
        outcome(gateway)  # each has started its loop by now
    before = len(qpay.checks)
    others: list[type[BaseException] | None] = []

    def answer_when_the_others_have_asked(exchange: Exchange) -> None:
        wait_until(lambda: len(others) == 15)
        rows()(exchange)

    qpay.will(CHECK, answer_when_the_others_have_asked)
    pause_over(shared)

    def check(number: int) -> type[BaseException] | None:
        ended = outcome(gateways[number % 4])
        if ended is not None:
            others.append(ended)
        return ended

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(check, range(16)))

    assert outcomes.count(None) == 1
    assert outcomes.count(GatewayHeldBackError) == 15
    assert len(qpay.checks) - before == 1


def test_others_wait_no_longer_than_a_moment_for_a_probe(
    qpay: ScriptedQPay, tripped: QPayGateway, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    other = open_gateway(limits=SLOW)
    answered: list[float | None] = []

    def answer_when_another_has_asked(exchange: Exchange) -> None:
        with pytest.raises(GatewayHeldBackError) as held:
            other.check(ref("i-1"))
        answered.append(held.value.retry_after_s)
        rows()(exchange)

    qpay.will(CHECK, answer_when_another_has_asked)
    pause_over(shared)

    tripped.check(ref("i-1"))

    assert answered == [PROBING_WAIT_S]


def test_probe_that_is_answered_lets_everybody_call_again(
    qpay: ScriptedQPay, tripped: QPayGateway, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    qpay.will(CHECK, rows())
    pause_over(shared)

    assert [outcome(each) for each in (tripped, open_gateway(limits=SLOW), tripped)] == [None] * 3
    assert [key(shared, name) for name in ("open", "tripped", "probe", "failures")] == [None] * 4


def test_probe_that_fails_doubles_the_pause_up_to_the_longest(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateway = open_gateway(limits=Limits(breaker_failures=1, breaker_open_s=100, breaker_open_max_s=700))
    qpay.will(CHECK, DOWN)
    pauses = []

    for _ in range(5):
        outcome(gateway)
        pauses.append(round(shared.ttl(str(key(shared, "open"))), -2))
        pause_over(shared)

    assert pauses == [100, 200, 400, 700, 700]


def test_pause_is_as_long_as_the_gateway_asks_within_reason(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateway = open_gateway(limits=replace(SLOW, breaker_failures=1))
    qpay.will(CHECK, answer(429, headers={"Retry-After": "45"}), answer(429, headers={"Retry-After": "86400"}))

    outcome(gateway)
    first_s = shared.ttl(str(key(shared, "open")))
    pause_over(shared)
    outcome(gateway)

    assert 40 < first_s <= 45
    assert 55 < shared.ttl(str(key(shared, "open"))) <= 60


def test_probe_whose_process_died_is_replaced(qpay: ScriptedQPay, tripped: QPayGateway, shared: "redis.Redis") -> None:
    pause_over(shared)
    shared.set(str(key(shared, "tripped")).replace(":tripped:", ":probe:"), "of a process that died", px=200)
    qpay.will(CHECK, rows())

    assert outcome(tripped) is GatewayHeldBackError
    wait_until(lambda: outcome(tripped) is None)


def test_probe_that_could_not_be_sent_proves_nothing_and_frees_its_place(
    qpay: ScriptedQPay, tripped: QPayGateway, shared: "redis.Redis"
) -> None:
    pause_over(shared)
    token = shared.keys("tootsoo:qpay:token:*")[0]
    value = shared.getdel(token)  # with the login spaced, there is no token to probe with
    before = len(qpay.checks)

    assert outcome(tripped) is GatewayHeldBackError
    assert (key(shared, "probe"), len(qpay.checks)) == (None, before)

    shared.set(token, str(value))
    qpay.will(CHECK, rows())
    assert outcome(tripped) is None


def test_late_success_of_a_call_from_before_does_not_end_the_pause(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateway = open_gateway(limits=SLOW)
    qpay.will(CHECK, rows())
    gateway.check(ref("i-1"))

    def answer_when_tripped(exchange: Exchange) -> None:
        wait_until(lambda: key(shared, "open") is not None)
        rows()(exchange)

    qpay.will(CHECK, answer_when_tripped, DOWN)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(outcome, gateway)
        wait_until(lambda: len(qpay.checks) == 2)
        for _ in range(3):
            outcome(gateway)

        assert late.result() is None
    assert outcome(gateway) is GatewayHeldBackError


def test_late_failures_of_calls_from_before_do_not_begin_the_pause_anew(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateway = open_gateway(limits=SLOW)
    qpay.will(CHECK, rows())
    gateway.check(ref("i-1"))
    half_over = threading.Event()

    def fail_when_half_of_the_pause_is_over(exchange: Exchange) -> None:
        half_over.wait(10)
        DOWN(exchange)

    qpay.will(CHECK, *[fail_when_half_of_the_pause_is_over] * 4, DOWN)
    with ThreadPoolExecutor(4) as pool:
        late = [pool.submit(outcome, gateway) for _ in range(4)]
        wait_until(lambda: len(qpay.checks) == 5)
        for _ in range(3):
            outcome(gateway)
        shared.expire(str(key(shared, "open")), 15)
        half_over.set()

        assert {each.result() for each in late} == {GatewayOutcomeUnknownError}
    assert 10 < shared.ttl(str(key(shared, "open"))) <= 15


def test_gateway_that_is_down_for_long_gets_few_calls_and_all_are_made_afterwards(
    qpay: ScriptedQPay, open_gateway: OpenGateway
) -> None:
    """Two minutes at a hundredth: pauses of 0.05 s to 0.6 s stand for 5 s to 60 s."""
    limits = Limits(breaker_failures=5, breaker_open_s=0.05, breaker_open_max_s=0.6)
    gateways = [open_gateway(limits=limits) for _ in range(2)]
    qpay.will(CHECK, rows())
    for gateway in gateways:
        gateway.check(ref("i-1"))
    qpay.will(CHECK, DOWN)
    before = len(qpay.checks)
    back_at_s = time.monotonic() + 1.2

    def until_answered(number: int) -> None:
        wait_until(lambda: outcome(gateways[number % 2]) is None)

    def come_back() -> int:
        while time.monotonic() < back_at_s:
            wait_until(lambda: time.monotonic() >= back_at_s)
        calls = len(qpay.checks) - before
        qpay.will(CHECK, rows())
        return calls

    with ThreadPoolExecutor(9) as pool:
        calls_while_down = pool.submit(come_back)
        answered = [pool.submit(until_answered, number) for number in range(8)]
        for each in answered:
            each.result()

    assert 5 <= calls_while_down.result() < 20 + 8


def test_redis_that_forgot_everything_lets_calls_through(
    qpay: ScriptedQPay, tripped: QPayGateway, shared: "redis.Redis"
) -> None:
    qpay.will(CHECK, rows())
    shared.flushdb()

    assert outcome(tripped) is None


def test_merchants_do_not_share_a_breaker(tripped: QPayGateway, open_gateway: OpenGateway, qpay: ScriptedQPay) -> None:
    qpay.will(CHECK, rows())
    other = open_gateway(config=replace(tripped._config, username="ANOTHER"))  # noqa: SLF001 - the same but for one

    assert outcome(other) is None
    assert outcome(tripped) is GatewayHeldBackError


def test_no_call_is_made_without_redis_so_no_breaker_of_its_own_is_needed(
    qpay: ScriptedQPay, open_gateway: OpenGateway
) -> None:
    gateway = open_gateway(redis_url="redis://127.0.0.1:1/0")

    with pytest.raises(GatewayHeldBackError, match="Redis"):
        gateway.check(ref("i-1"))

    assert qpay.seen == []


def test_a_connection_to_redis_that_is_reset_just_before_it_is_used_holds_one_call_back(
    qpay: ScriptedQPay, logged_in: QPayGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    qpay.will(CHECK, rows())
    looks = Connection.can_read

    async def is_reset_after_the_look(self: Connection) -> bool:
        can_read = await looks(self)
        assert self._writer is not None
        self._writer.transport.abort()
        return can_read

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "can_read", is_reset_after_the_look)
        with pytest.raises(GatewayHeldBackError, match="Redis"):
            logged_in.check(ref("i-1"))

    assert outcome(logged_in) is None


def test_login_that_gets_no_answer_counts_as_a_failure(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateway = open_gateway(limits=replace(SLOW, breaker_failures=1))
    qpay.will("POST /v2/auth/token", answer(503))

    assert outcome(gateway) is GatewayBusyError
    assert key(shared, "open") is not None


@pytest.mark.parametrize(
    "call", [lambda gateway: gateway.cancel(ref("..")), lambda gateway: gateway.refund("", note="x")]
)
def test_wrong_use_is_no_call(tripped: QPayGateway, call: Callable[[QPayGateway], object]) -> None:
    with pytest.raises(ValueError, match="id"):
        call(tripped)


def test_pause_is_no_longer_than_the_longest_though_the_clock_of_redis_was_put_back(
    tripped: QPayGateway, shared: "redis.Redis"
) -> None:
    paused = key(shared, "open")
    assert paused is not None
    shared.expire(paused, 3_600)

    with pytest.raises(GatewayHeldBackError) as held:
        tripped.check(ref("i-1"))

    assert held.value.retry_after_s is not None
    assert 55 < held.value.retry_after_s <= 60
    assert shared.ttl(paused) <= 60


def test_probe_that_died_holds_nobody_for_longer_though_the_clock_of_redis_was_put_back(
    tripped: QPayGateway, shared: "redis.Redis"
) -> None:
    pause_over(shared)
    probing = str(key(shared, "tripped")).replace(":tripped:", ":probe:")
    shared.set(probing, "who-died", ex=3_600)

    assert outcome(tripped) is GatewayHeldBackError
    assert shared.ttl(probing) <= SLOW.longest_call_s + 3
