"""Shortly before its end the token is renewed with its refresh token, and nobody meets a dead one."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from adapters.qpay.config import Limits
from adapters.qpay.gateway import QPayGateway
from domain.gateway import GatewayHeldBackError
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import Exchange, Reply, ScriptedQPay, answer, fixture, hang, only_with, reset, rows
from tests.adapters.qpay.token_in_redis import half_a_minute_later, token_key
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"
LOGIN = "POST /v2/auth/token"
REFRESH = "POST /v2/auth/refresh"


def pair(number: int, **fields: object) -> Reply:
    body = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "expires_in": 86_400}
    return answer(200, body | fields)


def soon_over(shared: "redis.Redis") -> None:
    """Let the token be in its last minutes, and the last login a while ago."""
    for key in shared.keys("tootsoo:qpay:fresh:*"):
        shared.delete(key)
    half_a_minute_later(shared)


@pytest.fixture
def ageing(qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis") -> QPayGateway:
    """A gateway whose token ends soon."""
    qpay.will(LOGIN, pair(1))
    qpay.will(CHECK, rows())
    gateway = open_gateway(limits=Limits(login_timeout_s=2))
    gateway.check(ref("i-1"))
    soon_over(shared)
    return gateway


def bearers(qpay: ScriptedQPay) -> list[str]:
    return [seen.headers["authorization"] for seen in qpay.checks]


def test_recorded_login_answer_is_kept_with_its_refresh_token(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis"
) -> None:
    recorded = json.loads(fixture("auth_token_200"))
    in_a_day = int(time.time()) + 86_400
    qpay.will(LOGIN, answer(200, recorded | {"expires_in": in_a_day, "refresh_expires_in": in_a_day}))
    qpay.will(CHECK, rows())

    gateway.check(ref("i-1"))

    assert shared.get(shared.keys("tootsoo:qpay:refresh:*")[0]) == "refresh-1"
    assert shared.ttl(token_key(shared)) - shared.ttl(shared.keys("tootsoo:qpay:fresh:*")[0]) in range(595, 606)


def test_token_in_its_last_minutes_is_renewed_without_the_password(
    qpay: ScriptedQPay, ageing: QPayGateway, shared: "redis.Redis"
) -> None:
    qpay.will(REFRESH, pair(2))

    ageing.check(ref("i-1"))
    ageing.check(ref("i-1"))

    (refresh,) = qpay.calls(REFRESH)
    assert (refresh.headers["authorization"], refresh.body) == ("Bearer refresh-1", b"")
    assert bearers(qpay) == ["Bearer access-1", "Bearer access-2", "Bearer access-2"]
    assert len(qpay.logins) == 1
    assert shared.get(shared.keys("tootsoo:qpay:refresh:*")[0]) == "refresh-2"


def test_one_of_many_renews(qpay: ScriptedQPay, ageing: QPayGateway, open_gateway: OpenGateway) -> None:
    gateways = [ageing, open_gateway()]
    qpay.will(REFRESH, pair(2))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: gateways[number % 2].check(ref("i-1")), range(24)))

    assert len(qpay.calls(REFRESH)) == 1
    assert len(qpay.logins) == 1


def test_refused_refresh_token_is_forgotten_and_the_old_token_used_to_its_end(
    qpay: ScriptedQPay, ageing: QPayGateway, shared: "redis.Redis"
) -> None:
    qpay.will(REFRESH, answer(401, fixture("unauthorized_401")))

    for _ in range(3):
        ageing.check(ref("i-1"))

    assert len(qpay.calls(REFRESH)) == 1
    assert bearers(qpay) == ["Bearer access-1"] * 4

    qpay.will(LOGIN, pair(3))
    shared.delete(token_key(shared))
    ageing.check(ref("i-1"))
    assert bearers(qpay)[-1] == "Bearer access-3"


@pytest.mark.parametrize(
    "reply", [answer(500), answer(200, b"<html>"), reset, hang], ids=["500", "unreadable", "reset", "silence"]
)
def test_renewal_without_an_answer_does_not_stop_the_call(
    qpay: ScriptedQPay, ageing: QPayGateway, shared: "redis.Redis", reply: Reply
) -> None:
    qpay.will(REFRESH, reply)

    ageing.check(ref("i-1"))
    ageing.check(ref("i-1"))

    assert len(qpay.calls(REFRESH)) == 1  # the next one waits for its spacing
    soon_over(shared)
    qpay.will(REFRESH, pair(2))
    ageing.check(ref("i-1"))
    assert bearers(qpay)[-1] == "Bearer access-2"


@pytest.mark.parametrize("token", [None, "", 7, "line\nbreak", "x" * 8_001, ["x"]])
def test_login_without_a_refresh_token_that_can_be_used_is_a_login(
    qpay: ScriptedQPay, gateway: QPayGateway, shared: "redis.Redis", token: object
) -> None:
    qpay.will(LOGIN, pair(1, refresh_token=token))
    qpay.will(CHECK, rows())
    gateway.check(ref("i-1"))
    soon_over(shared)

    gateway.check(ref("i-1"))

    assert qpay.calls(REFRESH) == []
    assert shared.keys("tootsoo:qpay:refresh:*") == []


def test_token_that_has_run_out_is_not_refreshed_but_logged_in_for(
    qpay: ScriptedQPay, ageing: QPayGateway, shared: "redis.Redis"
) -> None:
    qpay.will(LOGIN, pair(2))
    shared.delete(token_key(shared))

    ageing.check(ref("i-1"))

    assert qpay.calls(REFRESH) == []
    assert bearers(qpay)[-1] == "Bearer access-2"


def test_refused_token_is_not_refreshed_but_logged_in_for(
    qpay: ScriptedQPay, ageing: QPayGateway, shared: "redis.Redis"
) -> None:
    def refused(exchange: Exchange) -> None:
        answer(401, fixture("unauthorized_401"))(exchange)

    shared.set(token_key(shared).replace(":token:", ":fresh:"), "1", ex=600)
    qpay.will(LOGIN, pair(2))
    qpay.will(CHECK, refused, only_with("access-2", rows()))

    ageing.check(ref("i-1"))

    assert qpay.calls(REFRESH) == []
    assert len(qpay.logins) == 2


def test_refresh_token_of_a_refused_token_is_not_kept(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    qpay.will(LOGIN, pair(1))
    qpay.will(CHECK, answer(401, fixture("unauthorized_401")))

    with pytest.raises(GatewayHeldBackError):
        open_gateway().check(ref("i-1"))

    assert [shared.keys(f"tootsoo:qpay:{name}:*") for name in ("token", "refresh", "fresh")] == [[], [], []]
