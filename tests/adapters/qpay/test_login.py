"""A login gives a token for as long as it lives; one that failed is not repeated in quick succession."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from adapters.qpay.login import lifetime_s
from domain.gateway import (
    GatewayBusyError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    InvoiceToIssue,
)
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import (
    Exchange,
    Reply,
    ScriptedQPay,
    answer,
    fixture,
    hang,
    only_with,
    reset,
    rows,
)
from tests.adapters.qpay.token_in_redis import login_key, token_key
from tests.adapters.refs import ref
from tests.waiting import wait_until

CHECK = "POST /v2/payment/check"
LOGIN = "POST /v2/auth/token"
NOW_S = 1_790_000_000.0


def test_login_is_basic_and_has_no_body(qpay: ScriptedQPay, gateway: QPayGateway, config: QPayConfig) -> None:
    qpay.will(CHECK, rows())

    gateway.check(ref("i-1"))

    (login,) = qpay.logins
    assert login.basic == f"{config.username}:s3cret-pass"
    assert login.body == b""
    assert qpay.checks[0].headers["authorization"] == "Bearer access-1"


@pytest.mark.parametrize(
    ("expires_in", "living_s"),
    [
        (1_790_086_400, 86_340),  # absolute, a day from now: what QPay sends
        (1_790_000_100, 90),
        (86_400, 86_340),  # a duration
        (10, 9),
        (999_999_999, 86_340),  # the largest duration
        (9_999_999_999, 86_340),  # absolute, in 2286
        (1_789_999_000, 60),  # absolute and past: a clock is off
        (0, 60),
        (-5, 60),
        pytest.param(10**400, 86_340, id="more than a float holds"),
        pytest.param(-(10**400), 60, id="less than a float holds"),
    ],
)
def test_expires_in_is_absolute_or_a_duration_and_capped_at_a_day(expires_in: int, living_s: float) -> None:
    assert lifetime_s(expires_in, now_s=NOW_S) == living_s


@pytest.mark.parametrize("in_s", [600, 50 * 365 * 86_400])
@pytest.mark.parametrize("form", ["absolute", "duration"])
def test_token_leaves_redis_before_it_expires(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", in_s: int, form: str
) -> None:
    expires_in = min(in_s, 999_999_999) if form == "duration" else int(time.time()) + in_s
    qpay.will(LOGIN, qpay.fresh_token(expires_in=expires_in))
    qpay.will(CHECK, rows())

    gateway.check(ref("i-1"))

    expected_s = min(in_s, 86_400) - 60
    assert expected_s - 5 < shared.ttl(token_key(shared)) <= expected_s


def test_refused_login_is_unauthorised_and_not_hammered(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(LOGIN, answer(401, fixture("auth_token_401")))

    with pytest.raises(GatewayUnauthorisedError, match="AUTHENTICATION_FAILED"):
        gateway.check(ref("i-1"))
    with pytest.raises(GatewayBusyError, match="refused") as busy:
        gateway.check(ref("i-1"))

    assert busy.value.retry_after_s is not None
    assert 25 < busy.value.retry_after_s <= 30
    assert [seen.path for seen in qpay.seen] == ["/v2/auth/token"]


def test_login_that_is_refused_otherwise_is_a_refusal(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(LOGIN, answer(400, {"error": "MERCHANT_INACTIVE", "message": "x"}))

    with pytest.raises(GatewayRefusedError) as refused:
        gateway.check(ref("i-1"))

    assert refused.value.code == "MERCHANT_INACTIVE"


@pytest.mark.parametrize(
    "reply",
    [
        answer(500, fixture("system_busy_500")),
        answer(502, b"<html>"),
        answer(429),
        answer(302, headers={"Location": "/"}),
        answer(200, b"<html>"),
        answer(200, {"access_token": "x"}),
        answer(200, {"access_token": "line\nbreak", "expires_in": 86_400}),
        answer(200, {"access_token": "", "expires_in": 86_400}),
        reset,
        hang,
    ],
)
def test_login_without_a_usable_answer_sent_no_call_and_counts_as_the_login(
    qpay: ScriptedQPay, open_gateway: OpenGateway, rent: InvoiceToIssue, reply: Reply
) -> None:
    qpay.will(LOGIN, reply)
    gateway = open_gateway(limits=Limits(login_timeout_s=0.2))

    for _ in range(2):
        with pytest.raises(GatewayBusyError) as busy:
            gateway.issue(rent)

        assert busy.value.retry_after_s is not None
        assert 25 < busy.value.retry_after_s <= 30
    assert [seen.path for seen in qpay.seen] == ["/v2/auth/token"]


def test_login_may_ask_to_wait_longer_than_our_own_spacing(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(LOGIN, answer(503, headers={"Retry-After": "90"}))

    with pytest.raises(GatewayBusyError) as busy:
        gateway.check(ref("i-1"))

    assert busy.value.retry_after_s == 90


def test_next_login_comes_when_the_spacing_is_over(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    gateway = open_gateway(limits=Limits(login_spacing_s=0.2, login_timeout_s=0.2))
    qpay.will(LOGIN, answer(500), qpay.fresh_token())
    qpay.will(CHECK, rows())

    def checked() -> bool:
        try:
            return gateway.check(ref("i-1")).rows == ()
        except GatewayBusyError:
            return False

    wait_until(checked)

    assert len(qpay.logins) == 2


def test_others_do_not_wait_for_a_login_that_failed(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    gateway = open_gateway(limits=Limits(login_timeout_s=0.3))
    qpay.will(LOGIN, hang)

    def check(_number: int) -> str:
        with pytest.raises(GatewayBusyError) as refused:
            gateway.check(ref("i-1"))
        return refused.value.message

    with ThreadPoolExecutor(5) as pool:
        told = list(pool.map(check, range(5)))

    assert len([message for message in told if "the last login" in message]) == 4
    assert len(qpay.logins) == 1


def test_login_that_came_too_late_does_not_replace_a_newer_token(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis"
) -> None:
    def overtaken(exchange: Exchange) -> None:
        login = login_key(shared)
        shared.set(login, "succeeded", ex=30)
        shared.set(login.replace(":login:", ":token:"), "access-of-another", ex=600)
        qpay.fresh_token()(exchange)

    qpay.will(LOGIN, overtaken)
    qpay.will(CHECK, only_with("access-of-another", rows()))

    assert gateway.check(ref("i-1")).rows == ()
    assert shared.get(token_key(shared)) == "access-of-another"


def test_login_of_a_process_that_died_is_taken_over(
    qpay: ScriptedQPay, logged_in: QPayGateway, shared: "redis.Redis"
) -> None:
    shared.delete(token_key(shared))
    shared.set(login_key(shared), "id-of-a-process-that-died", px=300)

    assert logged_in.check(ref("i-1")).rows == ()
    assert len(qpay.logins) == 2


def test_spacing_is_no_longer_though_the_clock_of_redis_was_put_back(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis"
) -> None:
    qpay.will(LOGIN, answer(401, fixture("auth_token_401")))
    with pytest.raises(GatewayUnauthorisedError):
        gateway.check(ref("i-1"))
    shared.expire(login_key(shared), 3_600)

    with pytest.raises(GatewayBusyError) as busy:
        gateway.check(ref("i-1"))

    assert busy.value.retry_after_s is not None
    assert busy.value.retry_after_s <= 30
    assert shared.ttl(login_key(shared)) <= 30
