"""One token for all processes, one login at a time, and a 401 that costs one login at most."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayHeldBackError,
    GatewayUnauthorisedError,
    InvoiceToIssue,
)
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import (
    Exchange,
    ScriptedQPay,
    answer,
    fixture,
    only_with,
    rows,
    when,
)
from tests.adapters.qpay.token_in_redis import connected, half_a_minute_later, login_key, token_key
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"
LOGIN = "POST /v2/auth/token"
CREATE = "POST /v2/invoice"
NO_CREDENTIALS = answer(401, fixture("unauthorized_401"))
ROOT = Path(__file__).parents[3]


def test_token_is_used_again_by_every_gateway(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    qpay.will(CHECK, rows())

    for _ in range(3):
        open_gateway().check(ref("i-1"))

    assert len(qpay.logins) == 1


def test_many_threads_log_in_once(qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis") -> None:
    gateways = [open_gateway() for _ in range(3)]
    qpay.will(LOGIN, when(lambda: connected(shared) >= 3, qpay.fresh_token()))
    qpay.will(CHECK, rows())

    with ThreadPoolExecutor(15) as pool:
        checks = [pool.submit(gateways[number % 3].check, ref("i-1")) for number in range(15)]

    assert [check.result().rows for check in checks] == [()] * 15
    assert len(qpay.logins) == 1
    assert shared.get(token_key(shared)) == "access-1"


def test_four_cold_processes_log_in_once(
    qpay: ScriptedQPay, config: QPayConfig, redis_url: str, shared: "redis.Redis"
) -> None:
    qpay.will(LOGIN, when(lambda: connected(shared) >= 2, qpay.fresh_token()))
    qpay.will(CHECK, rows())
    settings = json.dumps({"base_url": config.base_url, "username": config.username, "redis_url": redis_url})
    command = [sys.executable, "-W", "error", "-m", "tests.adapters.qpay.check_once"]

    def run(_number: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=settings, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
        )

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(run, range(4)))

    assert [(each.returncode, each.stderr) for each in ended] == [(0, "")] * 4
    assert [each.stdout.splitlines()[-1] for each in ended] == ["0"] * 4
    assert len(qpay.logins) == 1
    assert [seen.headers["authorization"] for seen in qpay.checks] == ["Bearer access-1"] * 4


def test_401_logs_in_once_and_repeats_once(
    qpay: ScriptedQPay, logged_in: QPayGateway, shared: "redis.Redis", rent: InvoiceToIssue
) -> None:
    half_a_minute_later(shared)
    qpay.will(CREATE, only_with("access-2", answer(200, fixture("invoice_create_200"))))

    issued = logged_in.issue(rent)

    assert issued.external_id == "6f0f4b52-3f0e-4d0b-9d5e-0a8f5f2b7c11"
    assert [seen.headers["authorization"] for seen in qpay.calls(CREATE)] == ["Bearer access-1", "Bearer access-2"]
    assert len(qpay.logins) == 2


def test_401_after_the_new_login_is_unauthorised(
    qpay: ScriptedQPay, logged_in: QPayGateway, shared: "redis.Redis"
) -> None:
    half_a_minute_later(shared)
    qpay.will(CHECK, NO_CREDENTIALS)
    before = len(qpay.checks)

    with pytest.raises(GatewayUnauthorisedError):
        logged_in.check(ref("i-1"))

    assert len(qpay.checks) - before == 2
    assert len(qpay.logins) == 2


@pytest.mark.usefixtures("logged_in")
def test_create_that_was_answered_401_is_not_in_doubt_while_it_waits_for_a_login(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis", rent: InvoiceToIssue
) -> None:
    shared.set(login_key(shared), "id-of-a-slow-process", ex=30)
    qpay.will(CREATE, NO_CREDENTIALS)
    gateway = open_gateway(limits=Limits(issue_timeout_s=0.3))

    with pytest.raises(GatewayBusyError, match="could be sent"):
        gateway.issue(rent)


def test_401_soon_after_a_login_waits_for_the_next(
    qpay: ScriptedQPay, logged_in: QPayGateway, shared: "redis.Redis"
) -> None:
    qpay.will(CHECK, NO_CREDENTIALS)

    with pytest.raises(GatewayBusyError) as busy:
        logged_in.check(ref("i-1"))

    assert busy.value.retry_after_s is not None
    assert 25 < busy.value.retry_after_s <= 30
    assert len(qpay.logins) == 1
    assert shared.keys("tootsoo:qpay:token:*") == []


def test_storm_of_401_costs_one_login(
    qpay: ScriptedQPay, logged_in: QPayGateway, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    half_a_minute_later(shared)
    qpay.will(CHECK, NO_CREDENTIALS)
    gateways = [logged_in, open_gateway()]

    def check(number: int) -> type[GatewayError]:
        with pytest.raises(GatewayError) as raised:
            gateways[number % 2].check(ref("i-1"))
        return raised.type

    with ThreadPoolExecutor(10) as pool:
        outcomes = set(pool.map(check, range(40)))

    assert outcomes <= {GatewayHeldBackError, GatewayUnauthorisedError}
    assert len(qpay.logins) == 2


def test_token_that_another_process_put_there_meanwhile_is_used_and_kept(
    qpay: ScriptedQPay, logged_in: QPayGateway, shared: "redis.Redis"
) -> None:
    half_a_minute_later(shared)

    def replaced_meanwhile(exchange: Exchange) -> None:
        shared.set(token_key(shared), "access-of-another", ex=600)
        NO_CREDENTIALS(exchange)

    qpay.will(CHECK, replaced_meanwhile, only_with("access-of-another", rows()))

    assert logged_in.check(ref("i-1")).rows == ()
    assert len(qpay.logins) == 1
    assert shared.get(token_key(shared)) == "access-of-another"


def test_redis_that_forgot_everything_costs_one_login(
    qpay: ScriptedQPay, logged_in: QPayGateway, shared: "redis.Redis"
) -> None:
    shared.flushdb()

    assert logged_in.check(ref("i-1")).rows == ()
    assert len(qpay.logins) == 2


def test_merchants_do_not_share_a_token(
    qpay: ScriptedQPay, open_gateway: OpenGateway, config: QPayConfig, logged_in: QPayGateway
) -> None:
    open_gateway(config=replace(config, username="ANOTHER_MERCHANT")).check(ref("i-1"))
    logged_in.check(ref("i-1"))

    assert [seen.headers["authorization"] for seen in qpay.checks[-2:]] == ["Bearer access-2", "Bearer access-1"]
