"""24, 25, 30: clocks that jump, schedulers and workers that sleep in the middle of a job, and what always fails."""

import json
import time
from collections.abc import Collection
from uuid import uuid4

from tests.faults.fleet import FaultError, await_start, wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import ImpossibleHereError, Scenario
from tests.faults.stage import Stage

SEAL_EVERY_S = 1.0
DAY_S = 86_400
JUMPS = 4
RUN_WITHIN_S = 120.0
"""A run's lease of half a minute, and being rung twice."""


def clock_jumps(stage: Stage) -> None:
    """The clock of the whole machine goes a day forward and back again, while customers pay and jobs run.

    At each jump a run is not over, and often no worker has begun it: what it was to wait for may be a day away by then.
    """
    clock = stage.clock
    if clock is None:
        raise ImpossibleHereError("no C compiler to make a clock with")
    _require_schedule(stage)
    stage.start_workers(2)
    _await_another_run(stage)
    seals: set[int] = set()
    for number in range(JUMPS):
        for worker in stage.workers:
            worker.pause()
        wait_for("a run is not over", lambda: _unfinished_runs(stage) > 0, within_s=RUN_WITHIN_S)
        seals |= _seals(stage)
        clock.set(clock.offset_s + stage.rng.choice((-DAY_S, -3_600, 3_600, DAY_S)))
        for worker in stage.workers:
            worker.resume()
        sale = stage.shop.open(f"jump-{number}", stage.rng.randint(100, 10**6), patience_s=60)
        stage.await_recorded(stage.shop.pay(sale), within_s=120)
        _await_another_run(stage)
        # What was recorded before a jump and sealed after it was sealed a day late, which `verify` rightly says.
        wait_for("all is sealed", lambda: _unsealed(stage) == 0, within_s=RUN_WITHIN_S)
    clock.set(0)
    stage.healed()
    _await_another_run(stage)
    _require_each_period_once(stage, seen=seals)


def two_schedulers_one_asleep(stage: Stage) -> None:
    """A worker sleeps in the middle of a job and a scheduler whenever it likes; others do what was begun, once."""
    _require_schedule(stage)
    other = stage.fleet.start("scheduler")
    await_start(other)
    (sleeper,) = stage.start_workers(1)
    sale = stage.shop.open("sealed-late", stage.rng.randint(100, 10**6))
    stage.await_recorded(stage.shop.pay(sale))
    with stage.eyes() as eyes, eyes.transaction():
        eyes.execute("LOCK TABLE event_seal IN ACCESS EXCLUSIVE MODE")
        wait_for("a worker is in the middle of a job", lambda: _held_runs(stage) > 0, within_s=RUN_WITHIN_S)
        sleeper.pause()
        asleep = stage.rng.choice((stage.scheduler, other))
        asleep.pause()
    stage.start_workers(1)
    _await_another_run(stage)
    asleep.resume()
    sleeper.resume()
    stage.healed()
    _await_another_run(stage)
    _require_each_period_once(stage)


def always_fails(stage: Stage) -> None:
    """One QR that the gateway does not know, and one event that nobody can insert: both are parked, the rest flows."""
    if stage.fleet.run("parked", "--help").returncode != 0:
        raise ImpossibleHereError("nothing is parked in this version")
    stage.start_workers(2)
    unknown, poison, *others = stage.shop.open_many(8, stage.rng)
    nobodys = str(uuid4())
    stage.expected.add(nobodys)
    with stage.eyes() as eyes:
        row = eyes.execute("SELECT external_id FROM gateway_invoice WHERE id = %s", (unknown.qr,)).fetchone()
        eyes.execute("UPDATE gateway_invoice SET external_id = %s WHERE id = %s", (nobodys, unknown.qr))
    real_id = row["external_id"] if row else None
    stage.as_superuser(
        f"CREATE FUNCTION public.refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.invoice_id = '{poison.invoice}' THEN RAISE 'poison'; END IF; RETURN NEW; END $$"
    )
    stage.as_superuser(
        "CREATE TRIGGER refuse_poison BEFORE INSERT ON payment_event FOR EACH ROW"
        " EXECUTE FUNCTION public.refuse_poison()"
    )
    late = [stage.shop.pay(unknown), stage.shop.pay(poison)]
    begun = time.monotonic()
    for sale in others:
        stage.shop.pay(sale)
    stage.await_recorded(*(payment for sale in others for payment in sale.payments), within_s=20)
    stage.notes.append(f"the rest flowed in {time.monotonic() - begun:.1f} s")
    wait_for("both are parked", lambda: len(_parked(stage)) == len(late), within_s=90, look_every_s=1)

    stage.as_superuser("DROP TRIGGER refuse_poison ON payment_event")
    with stage.eyes() as eyes:
        eyes.execute("UPDATE gateway_invoice SET external_id = %s WHERE id = %s", (real_id, unknown.qr))
    for _ in range(2):
        for sale in (unknown, poison):
            stage.fleet.run("parked", "retry", str(sale.qr))
    stage.healed()
    stage.await_recorded(*late, within_s=60)
    if _parked(stage):
        raise FaultError("something is parked that was tried again with success")


def _parked(stage: Stage) -> list[object]:
    listed = stage.fleet.run("parked", "list", "--json")
    found: list[object] = json.loads(listed.stdout)["parked"]
    return found


def _require_schedule(stage: Stage) -> None:
    with stage.eyes() as eyes:
        row = eyes.execute("SELECT to_regclass('schedule_run') IS NOT NULL AS there").fetchone()
    if row is None or not row["there"]:
        raise ImpossibleHereError("this version has no schedule")


def _runs(stage: Stage) -> list[dict[str, object]]:
    with stage.eyes() as eyes:
        return eyes.execute(
            "SELECT id, job, period, outcome, attempts, lease_token FROM schedule_run ORDER BY id"
        ).fetchall()


def _held_runs(stage: Stage) -> int:
    return sum(run["lease_token"] is not None for run in _runs(stage))


def _unfinished_runs(stage: Stage) -> int:
    return sum(run["outcome"] is None for run in _runs(stage))


def _seals(stage: Stage) -> set[int]:
    return {int(str(run["period"])) for run in _runs(stage) if run["job"] == "seal"}


def _unsealed(stage: Stage) -> int:
    with stage.eyes() as eyes:
        (row,) = eyes.execute(
            "SELECT count(*) AS n FROM payment_event WHERE position NOT IN (SELECT position FROM event_seal)"
        ).fetchall()
    return int(str(row["n"]))


def _last_done(stage: Stage) -> int:
    return max((int(str(run["id"])) for run in _runs(stage) if run["outcome"] == "done"), default=0)


def _await_another_run(stage: Stage) -> None:
    before = _last_done(stage)
    wait_for(f"a job is done after run {before}", lambda: _last_done(stage) > before, within_s=RUN_WITHIN_S)


def _require_each_period_once(stage: Stage, *, seen: Collection[int] = ()) -> None:
    """Fail when a period was skipped or given up; none is there twice by its key.

    Those that a clock dated two days back are forgotten, old or not: `seen` are the seals that were there before.
    """
    runs = _runs(stage)
    seals = sorted(_seals(stage).union(seen))
    if seals != list(range(min(seals), max(seals) + 1)):
        raise FaultError(f"periods of the seal were skipped: {seals}")
    given_up = [f"{run['job']} {run['period']}" for run in runs if run["outcome"] == "failed"]
    if given_up:
        raise FaultError(f"given up: {', '.join(given_up)}")
    stage.notes.append(f"{len(seals)} seals, {len(runs) - len(seals)} nights")


SCENARIOS = (
    Scenario(
        number=24,
        title="the clock a day forward and back",
        play=clock_jumps,
        within_s=2 * DAY_S,  # a clock that jumps measures nothing; the scenario itself waits
        budget=Budget(checks_per_qr=4, logins=9),
        env={"SEAL_EVERY_S": str(SEAL_EVERY_S)},
        own_clock=True,
    ),
    Scenario(
        number=25,
        title="two schedulers, one asleep, and a worker asleep in a job",
        play=two_schedulers_one_asleep,
        within_s=20,
        budget=Budget(checks_per_qr=2, logins=1),
        env={"SEAL_EVERY_S": str(SEAL_EVERY_S)},
    ),
    Scenario(
        number=30,
        title="what always fails is parked, and the rest flows",
        play=always_fails,
        within_s=20,
        budget=Budget(checks_per_qr=20, logins=1),
        env={"RETRY_BASE_S": "0.2", "RETRY_MAX_S": "0.5", "RETRY_LIMIT": "12"},
    ),
)
