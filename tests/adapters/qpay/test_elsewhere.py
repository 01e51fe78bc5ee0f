"""Another program that logs in with our credentials costs few logins, and somebody is told of it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import redis

from adapters.qpay.config import QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import GatewayBusyError, GatewayHeldBackError, GatewayUnauthorisedError
from tests.adapters.qpay.scripted import Exchange, ScriptedQPay, answer, fixture, only_with, rows
from tests.adapters.qpay.token_in_redis import half_a_minute_after_a_login, half_a_minute_later, login_key, token_key
from tests.adapters.refs import ref
from tests.waiting import wait_until

CHECK = "POST /v2/payment/check"
SPELLINGS = ["NO_CREDENTIALS", "NO_CREDENDIALS"]
"""Both are seen."""


class Told:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def gateway(qpay: ScriptedQPay, config: QPayConfig, redis_url: str, told: Told) -> Iterator[QPayGateway]:
    """A gateway that has logged in a while ago and tells of others who do."""
    with QPayGateway(config, redis_url=redis_url, now=time.time, on_credentials_used_elsewhere=told) as gateway:
        qpay.will(CHECK, rows())
        gateway.check(ref("i-1"))
        yield gateway


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_token_that_another_login_killed_is_told_of_and_replaced(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", told: Told, spelling: str
) -> None:
    half_a_minute_later(shared)
    qpay.will(CHECK, answer(401, {"error": spelling, "message": spelling}), only_with("access-2", rows()))

    assert gateway.check(ref("i-1")).rows == ()
    gateway.check(ref("i-1"))

    assert (told.times, len(qpay.logins)) == (1, 2)


def test_it_is_told_after_a_call_also_when_the_login_had_to_wait(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", told: Told
) -> None:
    qpay.will(CHECK, only_with("access-2", rows()))
    with pytest.raises(GatewayHeldBackError):
        gateway.check(ref("i-1"))
    assert told.times == 0
    half_a_minute_later(shared)

    gateway.check(ref("i-1"))

    assert told.times == 1


def test_one_of_many_calls_tells(qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", told: Told) -> None:
    half_a_minute_later(shared)
    qpay.will(CHECK, only_with("access-2", rows()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: gateway.check(ref("i-1")), range(24)))

    assert (told.times, len(qpay.logins)) == (1, 2)


def test_credentials_that_are_refused_altogether_are_nobody_elses_doing(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", told: Told
) -> None:
    half_a_minute_later(shared)
    qpay.will(CHECK, answer(401, fixture("unauthorized_401")))

    with pytest.raises(GatewayUnauthorisedError):
        gateway.check(ref("i-1"))

    assert told.times == 0


def test_expired_token_is_nobody_elses_doing(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", told: Told
) -> None:
    half_a_minute_later(shared)
    shared.delete(token_key(shared))

    gateway.check(ref("i-1"))

    assert (told.times, len(qpay.logins)) == (0, 2)


@pytest.mark.parametrize("login", ["id-of-who-is-renewing", "failed"])
def test_token_that_our_own_renewal_may_have_killed_is_nobody_elses_doing(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", told: Told, login: str
) -> None:
    shared.set(login_key(shared), login, px=300)
    qpay.will(CHECK, only_with("access-2", rows()))

    def checked() -> bool:
        try:
            return gateway.check(ref("i-1")).rows == ()
        except GatewayBusyError:
            return False

    wait_until(checked)

    assert told.times == 0


def test_telling_that_fails_does_not_stop_the_call(
    qpay: ScriptedQPay, config: QPayConfig, redis_url: str, shared: "redis.Redis"
) -> None:
    def no_database() -> None:
        raise ConnectionError

    with QPayGateway(config, redis_url=redis_url, now=time.time, on_credentials_used_elsewhere=no_database) as gateway:
        qpay.will(CHECK, rows())
        gateway.check(ref("i-1"))
        half_a_minute_later(shared)
        qpay.will(CHECK, only_with("access-2", rows()))

        assert gateway.check(ref("i-1")).rows == ()


class Rivals:
    """QPay with one live token, and a rival who logs in after every third call that was answered."""

    def __init__(self, qpay: ScriptedQPay) -> None:
        self._qpay = qpay
        self._live = ""
        self._answered = 0

    def login(self, exchange: Exchange) -> None:
        self._live = f"access-{len(self._qpay.logins)}"
        answer(200, {"access_token": self._live, "expires_in": 86_400})(exchange)

    def check(self, exchange: Exchange) -> None:
        if exchange.headers["Authorization"] != f"Bearer {self._live}":
            answer(401, fixture("unauthorized_401"))(exchange)
            return
        self._answered += 1
        if self._answered % 3 == 0:
            self._live = "of the rival"
        rows()(exchange)


def test_rival_who_logs_in_all_the_time_costs_one_login_in_a_spacing_and_all_is_checked(
    qpay: ScriptedQPay, config: QPayConfig, redis_url: str, shared: "redis.Redis", told: Told
) -> None:
    rivals = Rivals(qpay)
    qpay.will("POST /v2/auth/token", rivals.login)
    qpay.will(CHECK, rivals.check)
    spacings: list[bool] = []

    with ExitStack() as stack:
        gateways = [
            stack.enter_context(
                QPayGateway(config, redis_url=redis_url, now=time.time, on_credentials_used_elsewhere=told)
            )
            for _ in range(2)
        ]

        def until_checked(number: int) -> None:
            def checked() -> bool:
                try:
                    return gateways[number % 2].check(ref("i-1")).rows == ()
                except (GatewayBusyError, GatewayUnauthorisedError):  # the rival was quicker than the repeated call
                    if half_a_minute_after_a_login(shared):
                        spacings.append(True)
                    return False

            wait_until(checked)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(until_checked, range(15)))

    assert len(qpay.logins) <= 1 + len(spacings)
    assert told.times >= 3
