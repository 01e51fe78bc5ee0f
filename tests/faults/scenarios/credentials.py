"""17, 39: tokens that die before their time, and somebody else who logs in with our credentials."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.faults.fleet import FaultError
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.shop import Sale, Shop
from tests.faults.stage import Stage

HASTE = "10 check_timeout_s=8 look_timeout_s=8 issue_timeout_s=10 login_timeout_s=2 LEASE_S=12 ISSUE_DEADLINE_S=12"
SPACING_S = 3.0
"""Between two logins, with `HASTE`: half a minute."""
COLD = 4
STORM_S = 12.0
LOG_IN = "POST /v2/auth/token"
MERCHANT = "TEST_MERCHANT"
SETTLED_WITHIN_S = 60.0
RIVALRY_S = 20.0
"""Enough for seven logins of ours, if there are as many as there may be."""
CUSTOMERS_MIN = 12


def tokens_die(stage: Stage) -> None:
    """Four cold workers; a token that runs out; 401 for whatever is asked; another process that has logged in."""
    sales = stage.shop.open_many(48, stage.rng)
    cold, ended, stormy, displaced = sales[:24], sales[24:32], sales[32:40], sales[40:]

    workers = stage.start_workers(COLD, WORKER_THREADS="2")  # so that none takes the work of all
    stage.valkey("FLUSHALL")
    logins = _logins(stage)
    stage.shop.break_gateway({"endpoint": LOG_IN, "kind": "latency", "probability": 1, "seconds": 1.2})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(stage.shop.pay, cold))
    stage.await_recorded(*_payments(cold), within_s=SETTLED_WITHIN_S)
    stage.shop.mend_gateway()
    if not all(worker.says("check.started") for worker in workers):
        raise FaultError("not all of the cold workers had anything to do")
    _require_logins(stage, since=logins, at_most=1, what=f"{COLD} cold workers")

    logins = _logins(stage)
    stage.shop.gateway.put("/simulator/clock", json={"advanceS": 25 * 3_600}).raise_for_status()
    _pay(stage, ended)
    stage.await_recorded(*_payments(ended), within_s=SETTLED_WITHIN_S)
    stage.shop.gateway.put("/simulator/clock", json={}).raise_for_status()
    _require_logins(stage, since=logins, at_most=1, what="a token that had run out")

    logins, calls = _logins(stage), stage.shop.gateway_calls()
    stage.shop.break_gateway({"kind": "unauthorized", "probability": 1})
    _pay(stage, stormy)
    begun = time.monotonic()
    time.sleep(STORM_S)  # a storm has a length
    stage.shop.mend_gateway()
    stormed_s = time.monotonic() - begun
    stage.notes.append(f"{stage.shop.gateway_calls() - calls} calls in a storm of {stormed_s:.0f} s")
    _require_logins(stage, since=logins, at_most=int(stormed_s / SPACING_S) + 2, what="a storm of 401")
    stage.await_recorded(*_payments(stormy), within_s=SETTLED_WITHIN_S)

    logins = _logins(stage)
    _log_in_elsewhere(stage.shop)
    _pay(stage, displaced)
    stage.await_recorded(*_payments(displaced), within_s=SETTLED_WITHIN_S)
    _require_logins(stage, since=logins, at_most=1, what="another login")
    stage.healed()


def a_rival(stage: Stage) -> None:
    """Somebody logs in again and again, and each time our token is dead; what is paid is settled meanwhile."""
    stage.start_workers(2)
    stage.shop.open("order-first", 1_000)
    with _rival(stage.shop, seed=f"{stage.seed}:rival"):
        logins, begun = _logins(stage), time.monotonic()
        sales: list[Sale] = []
        while time.monotonic() < begun + RIVALRY_S or len(sales) < CUSTOMERS_MIN:
            sales += stage.shop.open_many(4, stage.rng, prefix=f"round-{len(sales)}", patience_s=120)
            _pay(stage, sales[-4:])
        settled_s = stage.await_recorded(*_payments(sales), within_s=120)
        lasted_s = time.monotonic() - begun
        _require_logins(
            stage, since=logins, at_most=int(lasted_s / SPACING_S) + 2, what=f"a rival for {lasted_s:.0f} s"
        )
    stage.notes.append(f"{len(sales)} sold, the last settled in {settled_s:.0f} s")
    stage.healed()
    _require_question(stage)


@contextmanager
def _rival(shop: Shop, *, seed: str) -> Iterator[None]:
    home, rng = threading.Event(), random.Random(seed)

    def log_in() -> None:
        while not home.wait(rng.uniform(0.3, 2.0)):
            _log_in_elsewhere(shop)

    thread = threading.Thread(target=log_in, name="rival")
    thread.start()
    try:
        yield
    finally:
        home.set()
        thread.join()


def _log_in_elsewhere(shop: Shop) -> None:
    shop.gateway.post(f"/simulator/merchants/{MERCHANT}/log-in-elsewhere").raise_for_status()


def _pay(stage: Stage, sales: list[Sale]) -> None:
    for sale in sales:
        stage.shop.pay(sale)


def _payments(sales: list[Sale]) -> list[str]:
    return [payment for sale in sales for payment in sale.payments]


def _logins(stage: Stage) -> int:
    return int(stage.shop.calls()["logins"])


def _require_logins(stage: Stage, *, since: int, at_most: int, what: str) -> None:
    logins = _logins(stage) - since
    stage.notes.append(f"{what}: {logins} logins")
    if logins > at_most:
        raise FaultError(f"{what} cost {logins} logins, allowed are {at_most}")


def _require_question(stage: Stage) -> None:
    with stage.eyes() as eyes:
        asked = eyes.execute(
            "SELECT subject FROM discrepancy WHERE kind = 'credentials_used_elsewhere' AND state = 'open'"
        ).fetchall()
    if [row["subject"] for row in asked] != [MERCHANT]:
        raise FaultError(f"nobody was asked who else logs in: {asked}")


SCENARIOS = (
    Scenario(
        number=17,
        title="four cold workers, a token that ran out, a storm of 401, another login",
        play=tokens_die,
        within_s=40,
        budget=Budget(checks_per_qr=20, logins=15),
        env={"RETRY_BASE_S": "0.2", "RETRY_MAX_S": "5"},
        haste=HASTE,
        may_ask=True,
    ),
    Scenario(
        number=39,
        title="somebody else logs in all the time",
        play=a_rival,
        within_s=40,
        budget=Budget(checks_per_qr=30, logins=60),
        env={"RETRY_BASE_S": "0.2", "RETRY_MAX_S": "5"},
        haste=HASTE,
        may_ask=True,
    ),
)
