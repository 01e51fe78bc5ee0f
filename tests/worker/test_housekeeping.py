"""The housekeeping job: what is old enough goes, and what explains the present stays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.history import History
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.schedule import ScheduleRuns
from domain.command import KeyUsedError
from worker.held import Held
from worker.housekeeping import ANSWERS_KEPT, forget_answers, housekeep
from worker.jobs import HOUSEKEEPING, works
from worker.run_job import RunJob


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=2) as pool:
        yield pool


def test_the_job_removes_history_that_is_older_than_the_setting(pool: Pool) -> None:
    runs = ScheduleRuns(pool)
    with pool.connection() as connection:
        connection.execute(
            """
            INSERT INTO gateway_check (gateway_invoice_id, started_at, cause, gateway_invoice_state, requests, attempt)
            SELECT gen_random_uuid(), now() - days * interval '1 day', 'callback', 'open', 1, 1
            FROM generate_series(5, 14) AS days
            """
        )
    remove_history = partial(housekeep, History(pool), days=10)
    jobs = works(
        runs=runs,
        remove_history=remove_history,
        removals={"notifications": lambda: 0, "payments that were found": lambda: 7},
        refresh=lambda: "",
        look_back=str,
        discover=lambda: "",
        seal=None,
    )
    runs.enter(HOUSEKEEPING, "2026-11-22", now=runs.now())

    RunJob(runs=runs, works=jobs, held=Held())(1)

    last = runs.last(HOUSEKEEPING)
    assert last is not None
    assert (last.outcome, last.result) == (
        "done",
        "removed 5 old checks, 0 QRs' callbacks, 0 notifications, 7 payments that were found, 0 runs",
    )
    with pool.connection() as connection:
        row = connection.execute("SELECT count(*) AS n FROM gateway_check").fetchone()
    assert row == {"n": 5}


def test_answers_to_callers_keys_are_forgotten_after_a_week_and_the_keys_are_not(pool: Pool) -> None:
    keys, answered_at = IdempotencyKeys(pool), datetime(2026, 11, 15, tzinfo=UTC)
    keys.take("a", digest=b"1" * 32, now=answered_at)
    keys.keep_answer("a", "{}", now=answered_at)

    within = forget_answers(keys, clock=lambda: answered_at + ANSWERS_KEPT)
    after = forget_answers(keys, clock=lambda: answered_at + ANSWERS_KEPT + timedelta(seconds=1))

    assert (within, after, keys.answer("a")) == (0, 1, None)
    with pytest.raises(KeyUsedError):
        keys.take("a", digest=b"2" * 32, now=answered_at)
