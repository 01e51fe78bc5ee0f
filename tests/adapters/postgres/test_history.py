"""Every check is seen from when it begins, callbacks are counted exactly, and what is old goes while events stay."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.postgres.check_requests import CheckRequests, ClaimedCheck
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.history import ROWS_KEPT, History, Removed
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from domain.payment_event import Source
from domain.payment_row import UnreadableRow
from tests.adapters.postgres.samples import NOON, append, open_qr, put
from tests.domain.samples import a_row, an_event
from worker.housekeeping import housekeep

Rows = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def qr(pool: Pool, invoices: Invoices) -> UUID:
    put(invoices)
    return open_qr(pool)


@pytest.fixture
def requests(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=0.0, retry_base_s=2.0, retry_max_s=60.0)


@pytest.fixture
def history(pool: Pool) -> History:
    return History(pool)


@pytest.fixture
def rows(pool: Pool) -> Rows:
    def read(query: str) -> list[dict[str, Any]]:
        with pool.connection() as connection:
            return connection.execute(query).fetchall()

    return read


def claim(requests: CheckRequests, qr: UUID, *, source: Source = Source.CALLBACK) -> ClaimedCheck:
    assert requests.request(qr, source=source, awaited_payment_id=None)
    check = requests.claim(qr, lease_token=uuid4())
    assert check is not None
    return check


def answer(history: History, check: ClaimedCheck, rows: int = 1, *, duration_ms: int = 30) -> None:
    shown = [a_row(str(number)) for number in range(rows)]
    history.record_answer(check, shown, duration_ms=duration_ms, seen_at=NOON, new_events=1, new_discrepancies=0)


def test_a_check_is_seen_from_the_moment_it_is_claimed(requests: CheckRequests, qr: UUID, rows: Rows) -> None:
    requests.request(qr, source=Source.CALLBACK)
    check = claim(requests, qr, source=Source.COMMAND)

    (row,) = rows("SELECT * FROM gateway_check")

    assert (row["id"], row["gateway_invoice_id"]) == (check.check_id, qr)
    assert (row["cause"], row["requests"], row["attempt"]) == ("command", 2, 1)
    assert (row["gateway_invoice_state"], row["outcome"], row["finished_at"]) == ("open", None, None)


def test_of_many_claims_at_once_one_check_begins(requests: CheckRequests, qr: UUID, rows: Rows) -> None:
    requests.request(qr, source=Source.CALLBACK)

    with ThreadPoolExecutor(max_workers=16) as threads:
        list(threads.map(lambda _: requests.claim(qr, lease_token=uuid4()), range(50)))

    assert len(rows("SELECT * FROM gateway_check")) == 1


def test_an_answer_is_kept_in_bounded_form(requests: CheckRequests, history: History, qr: UUID, rows: Rows) -> None:
    answer(history, claim(requests, qr), rows=1_000)

    (row,) = rows("SELECT * FROM gateway_check")

    assert (row["outcome"], row["answer_rows"], len(row["answer"])) == ("answered", 1_000, ROWS_KEPT)
    assert row["answer"][0] == {"paymentId": "0", "status": "PAID", "amountMinor": 10_000, "currency": "MNT"}
    assert (row["duration_ms"], row["seen_at"], row["new_events"]) == (30, NOON, 1)


def test_a_row_that_cannot_be_read_and_a_long_error_are_kept_cut_short(
    requests: CheckRequests, history: History, qr: UUID, rows: Rows
) -> None:
    unreadable = UnreadableRow(reason="x" * 5_000, raw=None)

    history.record_answer(
        claim(requests, qr), [unreadable], duration_ms=1, seen_at=NOON, new_events=0, new_discrepancies=1
    )
    requests.request(qr, source=Source.CALLBACK)
    requests.fail(claim_again(requests, qr), delay_s=0, error="x")
    history.record_failure(claim_again(requests, qr), duration_ms=8_000, error="y" * 5_000)

    kept = rows("SELECT * FROM gateway_check ORDER BY id")
    assert len(kept[0]["answer"][0]["unreadable"]) == 200
    assert (kept[-1]["outcome"], len(kept[-1]["error"])) == ("failed", 500)


def claim_again(requests: CheckRequests, qr: UUID) -> ClaimedCheck:
    with requests._pool.connection() as connection:  # noqa: SLF001 - time passes
        connection.execute("UPDATE gateway_invoice SET lease_until = NULL, lease_token = NULL, next_check_at = now()")
    check = requests.claim(qr, lease_token=uuid4())
    assert check is not None
    return check


def test_the_first_outcome_of_a_check_counts(requests: CheckRequests, history: History, qr: UUID, rows: Rows) -> None:
    check = claim(requests, qr)

    answer(history, check, duration_ms=30)
    history.record_failure(check, duration_ms=9_000, error="late")

    (row,) = rows("SELECT * FROM gateway_check")
    assert (row["outcome"], row["duration_ms"], row["error"]) == ("answered", 30, None)


def test_callbacks_that_come_at_once_are_counted_exactly(requests: CheckRequests, qr: UUID, rows: Rows) -> None:
    def call(number: int) -> object:
        return requests.request(qr, source=Source.CALLBACK, awaited_payment_id=str(number) if number else None)

    with ThreadPoolExecutor(max_workers=16) as threads:
        assert all(threads.map(call, range(200)))

    (row,) = rows("SELECT * FROM callback")
    assert row["count"] == 200
    assert row["first_at"] < row["last_at"]
    assert row["announced"] is not None


def test_what_no_callback_asked_for_is_not_counted_as_one(requests: CheckRequests, qr: UUID, rows: Rows) -> None:
    requests.request(qr, source=Source.COMMAND)
    requests.request(uuid4(), source=Source.CALLBACK)

    assert rows("SELECT * FROM callback") == []


def test_a_callback_that_cannot_be_counted_is_no_request_either(
    requests: CheckRequests, qr: UUID, rows: Rows, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("REVOKE INSERT ON tootsoo.callback FROM tootsoo_app")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        requests.request(qr, source=Source.CALLBACK)

    assert rows("SELECT requested FROM gateway_invoice") == [{"requested": 0}]


def test_a_callback_without_a_payment_leaves_the_last_one_that_was_named(
    requests: CheckRequests, qr: UUID, rows: Rows
) -> None:
    requests.request(qr, source=Source.CALLBACK, awaited_payment_id="42")
    requests.request(qr, source=Source.CALLBACK)

    assert [(row["count"], row["announced"]) for row in rows("SELECT * FROM callback")] == [(2, "42")]


def test_old_history_goes_page_by_page_and_events_stay(
    pool: Pool, requests: CheckRequests, qr: UUID, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.housekeeping.PAGE", 2)
    append(Ledger(pool), [an_event("1")])
    for _ in range(5):
        claim(requests, qr)
        claim_over(pool)
    _age(pool, days=91)
    claim(requests, qr)

    removed = housekeep(History(pool), days=90)

    assert removed == Removed(checks=5, callbacks=0)
    assert len(rows("SELECT * FROM gateway_check")) == 1
    assert len(rows("SELECT * FROM payment_event")) == 1
    assert rows("SELECT count FROM callback") == [{"count": 6}]
    assert housekeep(History(pool), days=90) == Removed(checks=0, callbacks=0)


def test_callbacks_go_once_the_last_is_old(pool: Pool, requests: CheckRequests, qr: UUID, rows: Rows) -> None:
    requests.request(qr, source=Source.CALLBACK)
    _age(pool, days=89)
    kept = housekeep(History(pool), days=90)
    _age(pool, days=91)

    assert kept == Removed(checks=0, callbacks=0)
    assert housekeep(History(pool), days=90) == Removed(checks=0, callbacks=1)
    assert rows("SELECT * FROM callback") == []


def test_several_that_keep_house_at_once_share_the_work(
    pool: Pool, requests: CheckRequests, qr: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.housekeeping.PAGE", 10)
    claim(requests, qr)
    with pool.connection() as connection:
        connection.execute(
            """
            INSERT INTO gateway_check (gateway_invoice_id, started_at, cause, gateway_invoice_state, requests, attempt)
            SELECT gen_random_uuid(), now() - interval '91 days', 'callback', 'open', 1, 1
            FROM generate_series(1, 500)
            """
        )

    with ThreadPoolExecutor(max_workers=4) as threads:
        removed = list(threads.map(lambda _: housekeep(History(pool), days=90), range(4)))

    rest = housekeep(History(pool), days=90)
    assert sum(one.checks for one in removed) + rest.checks == 500


@pytest.mark.parametrize("table", ["payment_event", "invoice_change", "gateway_invoice", "discrepancy"])
def test_the_application_may_remove_nothing_but_history(database_url: str, table: str) -> None:
    with (
        open_pool(database_url, size=1) as pool,
        pool.connection() as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - written above


def test_a_qr_is_stamped_whichever_statement_changes_its_state(pool: Pool, qr: UUID, rows: Rows) -> None:
    stamps = (
        "SELECT opened_at IS NOT NULL AS o, closing_at IS NOT NULL AS c, ended_at IS NOT NULL AS e FROM gateway_invoice"
    )
    opened = rows(stamps)
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET state = 'closing' WHERE id = %s", [qr])
    closing = rows(stamps)
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET state = 'settled' WHERE id = %s", [qr])
    before = rows("SELECT ended_at FROM gateway_invoice")
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET state = 'settled', kept_open = true WHERE id = %s", [qr])

    assert opened == [{"o": True, "c": False, "e": False}]
    assert closing == [{"o": True, "c": True, "e": False}]
    assert rows(stamps) == [{"o": True, "c": True, "e": True}]
    assert rows("SELECT ended_at FROM gateway_invoice") == before


def claim_over(pool: Pool) -> None:
    """Let the check that runs be over, without an outcome."""
    with pool.connection() as connection:
        connection.execute(
            "UPDATE gateway_invoice SET served = requested, attempts = 0, lease_token = NULL, lease_until = NULL"
        )


def _age(pool: Pool, *, days: int) -> None:
    """Let all history that there is be so old."""
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_check SET started_at = now() - %s * interval '1 day'", [days])
        connection.execute("UPDATE callback SET first_at = now() - %s * interval '1 day'", [days])
        connection.execute("UPDATE callback SET last_at = first_at")
