"""1, 2, 3, 35: workers that are killed, or sleep, at the worst moments and at any, or are of two versions."""

import time
from collections.abc import Callable

from tests.faults.fleet import Process, await_start, wait_for
from tests.faults.network import Moment
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.shop import Crowd
from tests.faults.stage import Stage

APPEND = b'"claimed"'
"""What only the statement that appends has in it: the outcome of a check, as the database takes it."""

KILLS = 200
WORKERS = 4
DIES_WITHIN_S = 30.0


def killed_at_each_point(stage: Stage) -> None:
    """Workers die at every kill point, and while PostgreSQL commits; a bystander takes over."""
    (bystander,) = stage.start_workers(1)
    bystander.pause()
    armed = stage.one_at_each_point("kill")
    stage.rng.shuffle(armed)
    for count, sale in enumerate(stage.shop.open_many(len(armed), stage.rng), start=1):
        stage.shop.pay(sale)
        _await_count(armed, Process.has_ended, count, "have died")
    (victim,) = stage.start_workers(1)
    sale = stage.shop.open("in-commit", stage.rng.randint(100, 10**6))
    stage.postgres.trap(APPEND, Moment.DURING, then=victim.kill)
    stage.shop.pay(sale)
    wait_for("a worker dies while it commits", victim.has_ended, within_s=DIES_WITHIN_S)
    stage.healed()
    bystander.resume()


def stopped_past_the_lease(stage: Stage) -> None:
    """Workers sleep at every kill point until others have done their work, and then go on where they were."""
    sleepers = stage.one_at_each_point("stop")
    for count, sale in enumerate(stage.shop.open_many(len(sleepers), stage.rng), start=1):
        stage.shop.pay(sale)
        _await_count(sleepers, Process.is_stopped, count, "sleep")
    stage.healed()
    stage.start_workers(1)
    stage.await_quiet()
    for sleeper in stage.rng.sample(sleepers, len(sleepers)):
        sleeper.resume()
    _await_count(sleepers, _has_gone_on, len(sleepers), "have gone on")
    stage.fleet.require_alive(*sleepers)


def _await_count(workers: list[Process], holds: Callable[[Process], bool], count: int, what: str) -> None:
    wait_for(f"{count} workers {what}", lambda: sum(map(holds, workers)) >= count, within_s=DIES_WITHIN_S)


def _has_gone_on(sleeper: Process) -> bool:
    return sleeper.says("check.finished") or sleeper.says("check.failed")


def killed_at_random(stage: Stage) -> None:
    """Two hundred workers are killed whenever it happens, while customers pay."""
    begun = time.monotonic()
    workers = stage.start_workers(WORKERS)
    with Crowd(stage.shop, seed=f"{stage.seed}:crowd", per_s=5):
        for kill in range(KILLS):
            working = [worker for worker in workers if worker.says("worker.started")]
            victim = stage.rng.choice(working or workers)
            victim.kill()
            workers.remove(victim)
            workers.append(stage.fleet.fork("worker"))
            if kill % 20 == 0:
                stage.look()
            time.sleep(stage.rng.uniform(0.0, 1.0))  # at any moment of whatever they are at
    for worker in workers:
        await_start(worker)
    stage.healed()
    stage.notes.append(f"{KILLS} kills in {time.monotonic() - begun:.0f} s, {len(stage.shop.sales)} invoices")


def two_versions(stage: Stage) -> None:
    """A worker of the older version goes on beside one of this version, while customers pay."""
    (older,) = stage.workers
    (newer,) = stage.start_workers(1)
    with Crowd(stage.shop, seed=f"{stage.seed}:crowd", per_s=5):
        time.sleep(stage.rng.uniform(8.0, 12.0))  # as long as a deploy may take
    stage.fleet.require_alive(older, newer)
    stage.healed()
    stage.await_quiet()
    checks = [worker.log.read_text(encoding="utf-8").count("check.finished") for worker in (older, newer)]
    stage.notes.append(f"checks: older {checks[0]}, newer {checks[1]}")


SCENARIOS = (
    Scenario(
        number=1,
        title="workers killed before, between and after all steps",
        play=killed_at_each_point,
        within_s=15,
        budget=Budget(checks_per_qr=3, logins=1),
        quick=True,
    ),
    Scenario(
        number=2,
        title="workers stopped past their lease, then continued",
        play=stopped_past_the_lease,
        within_s=18,
        budget=Budget(checks_per_qr=3, logins=1),
    ),
    Scenario(
        number=3,
        title=f"{KILLS} workers killed at random under load",
        play=killed_at_random,
        within_s=60,
        budget=Budget(checks_per_qr=20, logins=3),
    ),
    Scenario(
        number=35,
        title="two versions of the worker at once",
        play=two_versions,
        within_s=20,
        budget=Budget(checks_per_qr=6, logins=1),
        older_worker=True,
    ),
)
