"""Sealing on real processes: the scheduler has it done where there is a secret, and says so where there is none."""

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.faults.conftest import SEAL_SECRET, Processes
from tests.waiting import wait_until
from tests.worker.test_seal import record

pytestmark = pytest.mark.slow


def test_what_is_recorded_is_sealed_soon(
    processes: Processes, watcher: psycopg.Connection[DictRow], database_url: str
) -> None:
    record(database_url)

    ours = [processes.started("scheduler"), processes.started("worker")]
    wait_until(lambda: _sealed(watcher) == 5)

    assert [SEAL_SECRET in processes.told(process) or "seal.off" in processes.told(process) for process in ours] == [
        False,
        False,
    ]


def test_without_a_secret_nothing_is_sealed_and_the_scheduler_says_so_once(
    processes: Processes, watcher: psycopg.Connection[DictRow], database_url: str
) -> None:
    record(database_url)

    scheduler = processes.started("scheduler", SEAL_SECRET="")
    processes.started("worker", SEAL_SECRET="")
    wait_until(lambda: "housekeeping" in _jobs_done(watcher))

    assert processes.told(scheduler).count("seal.off") == 1
    assert _sealed(watcher) == 0
    assert "seal" not in _jobs_done(watcher)


def _sealed(watcher: psycopg.Connection[DictRow]) -> int:
    return len(watcher.execute("SELECT FROM event_seal").fetchall())


def _jobs_done(watcher: psycopg.Connection[DictRow]) -> list[str]:
    return [row["job"] for row in watcher.execute("SELECT job FROM schedule_run WHERE outcome = 'done'")]
