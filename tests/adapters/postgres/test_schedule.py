"""A period is entered by one scheduler, run by one worker at a time, and finished by whoever holds its lease."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from adapters.postgres.connection import Pool
from adapters.postgres.schedule import KEEP_NIGHTS_DAYS, KEEP_OTHERS_DAYS, ClaimedRun, ScheduleRuns
from domain.schedule import Every, Job, Nightly, try_again_s

NIGHT = Job(name="house", cadence=Nightly(at=time(3, 0), zone=ZoneInfo("Asia/Ulaanbaatar")))
OFTEN = Job(name="often", cadence=Every(every_s=10))
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.fixture
def runs(pool: Pool) -> ScheduleRuns:
    return ScheduleRuns(pool)


def execute(pool: Pool, statement: str, *parameters: object) -> None:
    with pool.connection() as connection:
        connection.execute(statement.encode(), parameters)


def claim(runs: ScheduleRuns, run_id: int = 1) -> ClaimedRun | None:
    return runs.claim(run_id, jobs=["house", "often"], lease_token=uuid4())


def claimed(runs: ScheduleRuns, run_id: int = 1) -> ClaimedRun:
    run = claim(runs, run_id)
    assert run is not None
    return run


def test_a_period_is_entered_by_one_of_many(runs: ScheduleRuns) -> None:
    with ThreadPoolExecutor(max_workers=12) as threads:
        entered = list(threads.map(lambda _: runs.enter("house", "2026-11-22", now=NOON), range(40)))

    assert entered.count(True) == 1


def test_a_run_is_claimed_by_one_of_many(runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)

    with ThreadPoolExecutor(max_workers=12) as threads:
        claims = list(threads.map(lambda _: claim(runs), range(40)))

    assert len([run for run in claims if run is not None]) == 1


def test_who_began_a_moment_before_the_holder_and_waited_does_not_take_its_run(pool: Pool, runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)
    claimed(runs)
    execute(pool, "UPDATE schedule_run SET lease_until = lease_until + interval '5 seconds'")

    assert claim(runs) is None


def test_what_is_not_finished_is_rung_until_it_is(pool: Pool, runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)
    assert (runs.ring_due(), runs.ring_due()) == ([1], [])

    execute(pool, "UPDATE schedule_run SET rung_at = now() - interval '1 minute'")
    assert runs.ring_due() == [1]
    execute(pool, "UPDATE schedule_run SET rung_at = NULL")
    run = claimed(runs)
    assert runs.ring_due() == []

    assert runs.finish(run, done=True, result="7 removed")
    assert (runs.ring_due(), claim(runs)) == ([], None)


def test_fault_25_another_finishes_what_a_dead_one_began_and_the_late_one_changes_nothing(
    pool: Pool, runs: ScheduleRuns
) -> None:
    runs.enter("house", "2026-11-22", now=NOON)
    late = claimed(runs)
    assert claim(runs) is None

    execute(pool, "UPDATE schedule_run SET lease_until = now()")
    current = claimed(runs)

    assert not runs.keep(late)
    assert not runs.finish(late, done=True, result="late")
    assert not runs.try_again(late, delay_s=60, reason="late")
    assert (current.attempts, runs.keep(current), runs.finish(current, done=True, result="right")) == (2, True, True)
    last = runs.last("house")
    assert last is not None
    assert (last.outcome, last.result) == ("done", "right")


def test_a_run_that_failed_waits_and_one_that_was_released_does_not(runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)

    runs.release(claimed(runs))
    again = claimed(runs)
    assert runs.try_again(again, delay_s=60, reason="OSError: no")

    assert again.attempts == 1
    assert claim(runs) is None
    assert runs.ring_due() == []


def test_runs_of_one_job_are_done_one_after_the_other(runs: ScheduleRuns) -> None:
    for job, period in (("house", "2026-11-22"), ("house", "2026-11-23"), ("often", "1")):
        runs.enter(job, period, now=NOON)

    assert runs.ring_due() == [1, 3]
    assert claim(runs, 2) is None
    runs.finish(claimed(runs, 1), done=False, result="given up")

    assert claimed(runs, 2).period == "2026-11-23"


def test_a_job_of_another_version_is_left_to_workers_who_know_it(runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)

    assert runs.claim(1, jobs=["other"], lease_token=uuid4()) is None
    assert claimed(runs).attempts == 1


def test_fault_24_what_a_clock_wrote_that_was_set_back_since_holds_nothing_up(pool: Pool, runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)
    claimed(runs)

    execute(
        pool,
        """
        UPDATE schedule_run SET next_try_at = now() + interval '1 day', rung_at = now() + interval '1 day',
            lease_until = now() + interval '1 day'
        """,
    )

    assert runs.ring_due() == [1]
    assert claimed(runs).attempts == 1, "nobody has failed at it"


def test_fault_24_a_run_that_nobody_has_begun_waits_for_no_clock(pool: Pool, runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)
    runs.enter("often", "1", now=NOON)
    runs.release(claimed(runs, 2))

    execute(pool, "UPDATE schedule_run SET next_try_at = next_try_at + interval '20 minutes'")

    assert sorted(runs.ring_due()) == [1, 2]
    assert claimed(runs, 1).attempts == 1
    assert claimed(runs, 2).attempts == 1


def test_fault_24_a_run_that_failed_waits_no_longer_than_one_ever_does(pool: Pool, runs: ScheduleRuns) -> None:
    runs.enter("house", "2026-11-22", now=NOON)
    runs.try_again(claimed(runs), delay_s=try_again_s(30), reason="OSError: no")

    assert runs.ring_due() == []
    execute(pool, "UPDATE schedule_run SET next_try_at = next_try_at + interval '30 minutes'")

    assert runs.ring_due() == [1]
    assert claimed(runs).attempts == 2


def test_the_history_is_what_the_rules_ask_for(runs: ScheduleRuns) -> None:
    for days in (-60, -1, 0, 1):
        runs.enter("house", (NOON + timedelta(days=days)).date().isoformat(), now=NOON)
    for number in range(1, 12):
        runs.enter("often", str(number), now=NOON + timedelta(seconds=number))

    nights, often = runs.history(NIGHT, now=NOON), runs.history(OFTEN, now=NOON)

    assert nights.first_night == (NOON + timedelta(days=-60)).date()
    assert set(nights.nights) == {(NOON + timedelta(days=days)).date() for days in (-1, 0)}
    assert (often.last_number, often.last_begun_at, often.last_finished) == (11, NOON + timedelta(seconds=11), False)


def test_old_runs_are_forgotten_and_the_newest_of_each_job_and_what_is_not_over_are_kept(
    pool: Pool, runs: ScheduleRuns
) -> None:
    for job in ("house", "often"):
        for period in ("1", "2", "3"):
            runs.enter(job, period, now=NOON)
    execute(
        pool,
        "UPDATE schedule_run SET finished_at = now() - %s, outcome = 'done' WHERE id NOT IN (2, 5)",
        timedelta(days=KEEP_OTHERS_DAYS, hours=1),
    )

    assert runs.forget(nightly=["house"]) == 1
    execute(pool, "UPDATE schedule_run SET finished_at = finished_at - %s", timedelta(days=KEEP_NIGHTS_DAYS))
    assert runs.forget(nightly=["house"]) == 1

    with pool.connection() as connection:
        assert [row["id"] for row in connection.execute("SELECT id FROM schedule_run ORDER BY id")] == [2, 3, 5, 6]
