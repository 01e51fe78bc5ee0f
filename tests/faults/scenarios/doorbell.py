"""4, 5: Valkey forgets everything, is full, or is gone."""

import time

from tests.faults.fleet import FaultError, wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.shop import Crowd, Sale
from tests.faults.stage import Stage

ROUNDS = 5
ANSWER_WITHIN_S = 8.0
"""A callback is answered in a second even when Redis hangs; the rest is for a machine with others on it."""


def forgets_everything(stage: Stage) -> None:
    """FLUSHALL, or kill -9 with persistence off, again and again while customers pay."""
    stage.start_workers(2)
    with Crowd(stage.shop, seed=f"{stage.seed}:crowd", per_s=6):
        for _ in range(ROUNDS):
            time.sleep(stage.rng.uniform(0.5, 2.0))  # let there be load to lose
            if stage.rng.random() < 0.5:
                stage.valkey("FLUSHALL")
            else:
                stage.kill_valkey()
                time.sleep(stage.rng.uniform(0.0, 2.0))
                stage.start_valkey()
            stage.look()
    stage.healed()


def is_full_and_gone(stage: Stage) -> None:
    """While Valkey refuses every write, and then while there is none, callbacks are stored and answered."""
    stage.start_workers(2)
    sales = stage.shop.open_many(20, stage.rng)
    full, gone = sales[:10], sales[10:]
    stage.valkey("CONFIG", "SET", "maxmemory", "1")
    _take_callbacks(stage, full)
    stage.valkey("CONFIG", "SET", "maxmemory", "0")
    stage.healed()
    stage.await_recorded(*(payment for sale in full for payment in sale.payments))

    stage.kill_valkey()
    _take_callbacks(stage, gone)
    stage.await_degraded()
    stage.start_valkey()
    stage.healed()
    stage.await_ready()


def _take_callbacks(stage: Stage, sales: list[Sale]) -> None:
    for sale in sales:
        payment = stage.shop.pay(sale, callback="drop")
        begun = time.monotonic()
        status = stage.shop.call_back(sale, payment)
        took_s = time.monotonic() - begun
        if status != 200:
            raise FaultError(f"a callback was answered with {status} because of Valkey")
        if took_s > ANSWER_WITHIN_S:
            raise FaultError(f"a callback was answered after {took_s:.1f} s because of Valkey")
    with stage.eyes() as eyes:
        row = eyes.execute("SELECT count(*) AS stored FROM gateway_invoice WHERE requested > 0").fetchone()
    if row is None or int(str(row["stored"])) < len(sales):
        raise FaultError("a callback was answered and is not stored")
    wait_for("nothing", lambda: True, within_s=1)


SCENARIOS = (
    Scenario(
        number=4,
        title="FLUSHALL, and Valkey killed without persistence, under load",
        play=forgets_everything,
        within_s=30,
        budget=Budget(checks_per_qr=8, logins=2 * ROUNDS + 1),
    ),
    Scenario(
        number=5,
        title="Valkey full, Valkey gone",
        play=is_full_and_gone,
        within_s=30,
        budget=Budget(checks_per_qr=3, logins=3),
        quick=True,
    ),
)
