"""The schedule on real processes: each period done once, whoever is killed, paused or twice there."""

import signal
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.faults.conftest import Processes
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

STAND_STILL = """
    CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NULL; END';
    CREATE TRIGGER stand_still BEFORE DELETE ON schedule_run FOR EACH STATEMENT EXECUTE FUNCTION stand_still();
"""

RUNS = """
    SELECT id, period, attempts, lease_token, finished_at, outcome, result
    FROM schedule_run WHERE job = %s ORDER BY id
"""

Watcher = psycopg.Connection[DictRow]


def runs_of(watcher: Watcher, job: str) -> list[dict[str, Any]]:
    return watcher.execute(RUNS, [job]).fetchall()


def done(watcher: Watcher, job: str) -> int:
    return len([run for run in runs_of(watcher, job) if run["outcome"] == "done"])


def test_fault_25_two_schedulers_and_two_workers_do_each_period_once(processes: Processes, watcher: Watcher) -> None:
    for command in ("scheduler", "scheduler", "worker", "worker"):
        processes.started(command)

    wait_until(lambda: done(watcher, "seal") >= 3 and done(watcher, "housekeeping") == 1)

    runs = runs_of(watcher, "seal") + runs_of(watcher, "housekeeping")
    assert [run["attempts"] for run in runs if run["finished_at"]] == [1] * len([r for r in runs if r["finished_at"]])
    assert [run["period"] for run in runs_of(watcher, "seal")][:3] == ["1", "2", "3"]


def test_fault_25_a_paused_scheduler_and_a_killed_one_hold_nothing_up(processes: Processes, watcher: Watcher) -> None:
    first, second = processes.started("scheduler"), processes.started("scheduler")
    processes.started("worker")
    wait_until(lambda: done(watcher, "seal") >= 1)

    first.send_signal(signal.SIGSTOP)
    before = done(watcher, "seal")
    wait_until(lambda: done(watcher, "seal") >= before + 2)
    second.kill()
    first.send_signal(signal.SIGCONT)
    before = done(watcher, "seal")
    wait_until(lambda: done(watcher, "seal") >= before + 2)


def test_fault_25_a_worker_that_is_paused_in_the_middle_of_a_job_is_stood_in_for(
    processes: Processes, watcher: Watcher
) -> None:
    # Whoever does the housekeeping stands still in its middle.
    watcher.execute(STAND_STILL)
    processes.started("scheduler")
    worker = processes.started("worker")
    wait_until(lambda: [run["lease_token"] is not None for run in runs_of(watcher, "housekeeping")] == [True])

    worker.send_signal(signal.SIGSTOP)
    watcher.execute("DROP TRIGGER stand_still ON schedule_run")
    watcher.execute("UPDATE schedule_run SET lease_until = now() WHERE lease_token IS NOT NULL")
    other = processes.started("worker")
    wait_until(lambda: done(watcher, "housekeeping") == 1)
    (finished,) = runs_of(watcher, "housekeeping")
    worker.send_signal(signal.SIGCONT)
    wait_until(lambda: "job.late" in processes.told(worker))

    assert "job.late" not in processes.told(other)
    assert finished["attempts"] == 2
    assert runs_of(watcher, "housekeeping") == [finished]
