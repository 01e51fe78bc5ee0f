"""The state as numbers: what is due is counted, what is held or parked is not, and jobs are told one by one."""

from collections.abc import Mapping
from uuid import UUID, uuid4

import pytest

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.schema import SchemaError
from adapters.postgres.state import JobState, State, StateStore
from domain.payment_event import Source
from tests.adapters.postgres.samples import open_qr, put

DAY_S = 86_400


@pytest.fixture
def store(pool: Pool) -> StateStore:
    return StateStore(pool, qpay_env="sandbox")


@pytest.fixture
def requests(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=2.0, retry_base_s=2.0, retry_max_s=60.0)


def ask(pool: Pool, invoices: Invoices, requests: CheckRequests, *invoice_ids: str) -> list[UUID]:
    qrs = []
    for invoice_id in invoice_ids:
        put(invoices, invoice_id)
        qrs.append(open_qr(pool, invoice_id))
        requests.request(qrs[-1], source=Source.CALLBACK)
    return qrs


def change(pool: Pool, qr: UUID, assignment: str) -> None:
    with pool.connection() as connection:
        connection.execute(f"UPDATE gateway_invoice SET {assignment} WHERE id = %s", [qr])  # noqa: S608


def counts(state: State) -> Mapping[str, int]:
    return {name: count for name, count in state.check_requests.items() if count}


def test_nothing_asked_for_is_nothing(store: StateStore) -> None:
    state = store.read()

    assert (counts(state), state.oldest_due_s, state.unrung_s) == ({}, 0.0, 0.0)
    assert (state.discrepancies, state.suspense_minor) == ({}, {})


def test_a_check_is_due_then_held_then_waits_for_its_next_attempt(
    pool: Pool, invoices: Invoices, requests: CheckRequests, store: StateStore
) -> None:
    (qr,) = ask(pool, invoices, requests, "order-1")
    due = counts(store.read())
    check = requests.claim(qr, lease_token=uuid4())
    assert check is not None
    held = counts(store.read())
    requests.fail(check, delay_s=60.0, error="it failed")

    assert (due, held, counts(store.read())) == ({"due": 1}, {"running": 1}, {"waiting": 1})


def test_a_dead_holders_check_is_due_again(
    pool: Pool, invoices: Invoices, requests: CheckRequests, store: StateStore
) -> None:
    (qr,) = ask(pool, invoices, requests, "order-1")
    requests.claim(qr, lease_token=uuid4())
    change(pool, qr, "lease_until = now() - interval '30 s', next_check_at = now() - interval '30 s'")

    state = store.read()

    assert counts(state) == {"due": 1}
    assert 30 <= state.oldest_due_s < 60


def test_the_oldest_due_one_tells_the_age(
    pool: Pool, invoices: Invoices, requests: CheckRequests, store: StateStore
) -> None:
    first, second, third = ask(pool, invoices, requests, "order-1", "order-2", "order-3")
    change(pool, first, "next_check_at = now() - interval '90 s', rung_at = now() - interval '1 s'")
    change(pool, second, "next_check_at = now() - interval '20 s', rung_at = NULL")
    change(pool, third, "next_check_at = now() + interval '90 s'")

    state = store.read()

    assert counts(state) == {"due": 2, "waiting": 1}
    assert 90 <= state.oldest_due_s < 110
    assert 20 <= state.unrung_s < 40


def test_what_was_rung_a_moment_ago_is_not_unrung(
    pool: Pool, invoices: Invoices, requests: CheckRequests, store: StateStore
) -> None:
    (qr,) = ask(pool, invoices, requests, "order-1")
    change(pool, qr, "next_check_at = now() - interval '90 s', rung_at = now() - interval '3 s'")

    assert store.read().unrung_s == 0.0


def test_another_environment_is_told_apart(pool: Pool) -> None:
    with pytest.raises(SchemaError, match="QPAY_ENV"):
        StateStore(pool, qpay_env="production").read()


def test_what_is_parked_is_not_due(pool: Pool, invoices: Invoices, requests: CheckRequests, store: StateStore) -> None:
    parked, _, closing = ask(pool, invoices, requests, "order-1", "order-2", "order-3")
    change(pool, parked, "parked_at = now(), next_check_at = now() - interval '1 day'")
    change(pool, closing, "close_parked_at = now(), state = 'closing'")

    state = store.read()

    assert counts(state) == {"due": 2}
    assert state.oldest_due_s < 60
    assert state.parked == {"check": 1, "close": 1, "notification": 0}


def test_each_job_tells_its_lag_and_how_its_last_run_ended(pool: Pool, store: StateStore) -> None:
    with pool.connection() as connection, connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO schedule_run (job, period, begun_at, next_try_at, finished_at, outcome)
            VALUES (%s, %s, now() - %s * interval '1 s', now(), now() - %s * interval '1 s', %s)
            """,
            [
                ("seal", "1", 40, 39, "done"),
                ("seal", "2", 30, 20, "failed"),
                ("seal", "3", 10, None, None),
                ("housekeeping", "2026-11-21", DAY_S, DAY_S, "done"),
                ("unheard", "1", 500, None, None),
            ],
        )

    jobs = store.read().jobs

    assert {name: _rounded(job) for name, job in jobs.items()} == {
        "seal": (40, 10, True),
        "housekeeping": (DAY_S, 0, False),
        "unheard": (None, 500, False),
    }


def _rounded(job: JobState) -> tuple[int | None, int, bool]:
    """Without the moments between two statements; to ten seconds."""
    done_ago_s = None if job.done_ago_s is None else round(job.done_ago_s, -1)
    return done_ago_s if done_ago_s is None else int(done_ago_s), int(round(job.unfinished_s, -1)), job.failed


def test_invoices_that_are_owed_a_qr_are_counted_with_the_age_of_the_first(
    pool: Pool, invoices: Invoices, requests: CheckRequests, store: StateStore
) -> None:
    ask(pool, invoices, requests, "order-1", "order-2")
    with pool.connection() as connection:
        connection.execute(
            "INSERT INTO owed_qr (invoice_id, gateway, owed_since, next_try_at)"
            " SELECT id, 'qpay', now() - interval '1 hour', now() FROM invoice"
        )

    state = store.read()

    assert (state.owed_qrs, round(state.owed_qr_oldest_s, -2)) == (2, 3_600)
