"""The schedule from its tick to what a worker has done, with the clock in the test's hand."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TypedDict
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from structlog.testing import capture_logs

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.history import Removed
from adapters.postgres.schedule import ScheduleRuns
from domain.schedule import Every, Job, Nightly
from tests.waiting import wait_until
from tests.worker.test_cli import run
from worker.clock import utc_now
from worker.held import Held
from worker.jobs import DISCOVER, HOUSEKEEPING, RECONCILE, REFRESH, SEAL, Work, timetable, works
from worker.plan import Plan
from worker.run_job import RunJob
from worker.scheduler import heed_the_clock

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
NIGHT = Job(name="house", cadence=Nightly(at=time(3, 0), zone=ZoneInfo("Asia/Ulaanbaatar")))
OFTEN = Job(name="often", cadence=Every(every_s=10))


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=8) as pool:
        yield pool


@pytest.fixture
def runs(pool: Pool) -> ScheduleRuns:
    return ScheduleRuns(pool)


class House:
    """A scheduler and a worker of one job, without Redis between them."""

    def __init__(self, runs: ScheduleRuns, *jobs: Job, tries: int = 3) -> None:
        self.now = NOON
        self.done: list[tuple[str, str]] = []
        self.broken = False
        self._worker = RunJob(runs=runs, works={job.name: self._work(job.name, tries) for job in jobs}, held=Held())
        self.tick = Plan(jobs=jobs, runs=runs, ring_runs=self._ring, clock=lambda: self.now)

    def _work(self, name: str, tries: int) -> Work:
        def do(period: str) -> str:
            if self.broken:
                raise OSError("the roof is off")
            self.done.append((name, period))
            return "swept"

        return Work(do=do, tries=tries)

    def _ring(self, run_ids: Iterable[int]) -> None:
        for run_id in run_ids:
            self._worker(run_id)


def test_a_tick_has_done_what_is_due_and_the_next_finds_nothing(runs: ScheduleRuns) -> None:
    house = House(runs, NIGHT, OFTEN)

    assert (house.tick(), house.tick()) == (2, 0)
    assert house.done == [("house", "2026-11-22"), ("often", "1")]
    last = runs.last("house")
    assert last is not None
    assert (last.outcome, last.result, last.attempts) == ("done", "swept", 1)


def test_fault_25_many_schedulers_at_once_have_each_period_done_once(runs: ScheduleRuns) -> None:
    house = House(runs, NIGHT, OFTEN)
    for _ in range(4):
        with ThreadPoolExecutor(max_workers=6) as threads:
            list(threads.map(lambda _: house.tick(), range(12)))
        house.now += timedelta(days=1)

    assert sorted(house.done) == [
        *[("house", f"2026-11-{day}") for day in (22, 23, 24, 25)],
        *[("often", str(number)) for number in (1, 2, 3, 4)],
    ]


@pytest.mark.parametrize("off", [timedelta(days=1), timedelta(days=-1), timedelta(days=40)])
def test_fault_24_a_clock_that_is_wrong_for_a_while_runs_each_period_once_and_skips_none(
    runs: ScheduleRuns, off: timedelta
) -> None:
    house = House(runs, NIGHT, OFTEN)
    for error in (timedelta(0), off, off, timedelta(0)):
        house.tick()
        house.now = NOON + error + timedelta(minutes=1)
        house.tick()
    house.now = NOON + timedelta(days=1)
    for _ in range(50):
        house.tick()

    assert len(house.done) == len(set(house.done))
    assert {("house", "2026-11-22"), ("house", "2026-11-23")} <= set(house.done)
    assert len([job for job, _ in house.done if job == "often"]) >= 4


def test_nights_that_were_missed_run_late_in_order_once(runs: ScheduleRuns) -> None:
    house = House(runs, NIGHT)
    house.tick()
    house.now += timedelta(days=3)
    for _ in range(5):
        house.tick()

    assert [period for _, period in house.done] == ["2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"]


def test_a_run_that_fails_is_tried_again_and_then_given_up_with_its_reason(pool: Pool, runs: ScheduleRuns) -> None:
    house = House(runs, NIGHT, tries=2)
    house.broken = True
    house.tick()
    first = runs.last("house")
    _let_pass(pool)
    house.tick()
    second = runs.last("house")

    assert first is not None
    assert second is not None
    assert (first.outcome, first.attempts, first.result) == (None, 1, "OSError: the roof is off")
    assert (second.outcome, second.attempts) == ("failed", 2)


def test_a_run_over_which_workers_die_is_given_up_too(pool: Pool, runs: ScheduleRuns) -> None:
    house = House(runs, NIGHT, tries=2)
    runs.enter("house", "2026-11-22", now=NOON)
    for _ in range(2):
        assert runs.claim(1, jobs=["house"], lease_token=uuid4())
        _let_pass(pool)

    house.tick()

    last = runs.last("house")
    assert last is not None
    assert (last.outcome, house.done) == ("failed", [])


def test_work_that_takes_longer_than_its_lease_keeps_it(
    pool: Pool, runs: ScheduleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.run_job.KEEP_EVERY_S", 0.05)
    runs.enter("house", "2026-11-22", now=NOON)

    def do(_: str) -> str:
        with pool.connection() as connection:
            connection.execute("UPDATE schedule_run SET lease_until = now() - interval '1 second'")
        wait_until(lambda: _lease_is_good(pool))
        return "kept"

    RunJob(runs=runs, works={"house": Work(do=do, tries=1)}, held=Held())(1)

    last = runs.last("house")
    assert last is not None
    assert last.result == "kept"


@pytest.mark.parametrize("tries", [1, 3])
def test_fault_25_one_that_fails_too_late_says_that_it_is_late_and_changes_nothing(
    pool: Pool, runs: ScheduleRuns, tries: int
) -> None:
    runs.enter("house", "2026-11-22", now=NOON)

    def do(_: str) -> str:
        with pool.connection() as connection:
            connection.execute("UPDATE schedule_run SET lease_until = now()")
        assert runs.claim(1, jobs=["house"], lease_token=uuid4()) is not None
        raise OSError("the server did not answer for as long as this one stood still")

    with capture_logs() as told:
        RunJob(runs=runs, works={"house": Work(do=do, tries=tries)}, held=Held())(1)

    assert [line["event"] for line in told] == ["job.started", "job.late"]
    assert "did not answer" in told[1]["result"]
    last = runs.last("house")
    assert last is not None
    assert (last.attempts, last.finished_at, last.result) == (2, None, None)


def test_a_clock_that_was_set_back_does_not_put_off_the_ticks() -> None:
    scheduler, ticks = BackgroundScheduler(timezone="UTC"), [0]

    def tick() -> None:
        ticks[0] += 1

    job = scheduler.add_job(tick, "interval", seconds=2)
    scheduler.start()
    try:
        job.modify(next_run_time=utc_now() + timedelta(days=1))
        heed_the_clock(scheduler)
        wait_until(lambda: ticks[0] > 0)
    finally:
        scheduler.shutdown()


def nothing_old() -> Removed:
    return Removed(checks=0, callbacks=0)


def nothing_expires() -> str:
    return "0 refreshed"


class _Others(TypedDict):
    """What the other jobs do, in tests of one."""

    remove_history: Callable[[], Removed]
    removals: Mapping[str, Callable[[], int]]
    refresh: Callable[[], str]
    look_back: Callable[[str], str]
    discover: Callable[[], str]


OTHERS: _Others = {
    "remove_history": nothing_old,
    "removals": {"notifications": lambda: 0},
    "refresh": nothing_expires,
    "look_back": lambda _: "nothing to compare",
    "discover": lambda: "nothing found",
}


def test_a_worker_without_the_seal_secret_says_so(runs: ScheduleRuns) -> None:
    runs.enter(SEAL, "1", now=NOON)

    RunJob(runs=runs, works=works(runs=runs, **OTHERS, seal=None), held=Held())(1)

    last = runs.last(SEAL)
    assert last is not None
    assert "SEAL_SECRET" in str(last.result)


def test_the_list_tells_each_jobs_last_result_and_next_run(
    tmp_path: Path, database_url: str, runs: ScheduleRuns
) -> None:
    settings = {"DATABASE_URL": database_url, "SEAL_SECRET": "s" * 32, "TIMEZONE": "Asia/Ulaanbaatar"}
    before = json.loads(run(tmp_path, "scheduler --list --json", **settings).stdout)
    worker = RunJob(runs=runs, works=works(runs=runs, **OTHERS, seal=lambda: 5), held=Held())

    def ring(run_ids: Iterable[int]) -> None:
        for run_id in run_ids:
            worker(run_id)

    jobs = timetable(timezone="Asia/Ulaanbaatar", refresh_at=time(2, 0), discover_every_s=300, seal_every_s=10)
    Plan(jobs=jobs, runs=runs, ring_runs=ring, clock=runs.now)()
    after = run(tmp_path, "scheduler --list --json", **settings)
    words = run(tmp_path, "scheduler --list", **settings)

    assert [(job["job"], job["last"]) for job in before["jobs"]] == [
        (REFRESH, None),
        (HOUSEKEEPING, None),
        (DISCOVER, None),
        (RECONCILE, None),
        (SEAL, None),
    ]
    refresh, house, discover, compared, seal = json.loads(after.stdout)["jobs"]
    assert (house["last"]["outcome"], house["last"]["result"]) == (
        "done",
        "removed 0 old checks, 0 QRs' callbacks, 0 notifications, 0 runs",
    )
    assert (seal["last"]["period"], seal["last"]["result"]) == ("1", "5 events sealed")
    assert compared["last"]["result"] == "nothing to compare"
    assert refresh["last"]["result"] == "0 refreshed"
    assert discover["last"]["result"] == "nothing found"
    assert (refresh["nextAt"][10:], house["nextAt"][10:]) == ("T18:00:00Z", "T19:00:00Z")
    assert (after.returncode, words.returncode) == (0, 0)
    assert {"Asia/Ulaanbaatar", "housekeeping", "ring"} <= set(words.stdout.split())


def test_the_list_ends_with_1_when_a_run_was_given_up(tmp_path: Path, database_url: str, runs: ScheduleRuns) -> None:
    runs.enter(HOUSEKEEPING, "2026-11-22", now=NOON)
    run_of_it = runs.claim(1, jobs=[HOUSEKEEPING], lease_token=uuid4())
    assert run_of_it is not None
    runs.finish(run_of_it, done=False, result="OSError: the roof is off")

    done = run(tmp_path, "scheduler --list", DATABASE_URL=database_url)

    assert done.returncode == 1
    assert "the roof is off" in done.stdout


def _let_pass(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("UPDATE schedule_run SET next_try_at = now(), lease_until = lease_until - interval '1 hour'")


def _lease_is_good(pool: Pool) -> bool:
    with pool.connection() as connection:
        row = connection.execute("SELECT lease_until > now() AS good FROM schedule_run").fetchone()
    return row is not None and bool(row["good"])
