"""Replay makes every balance what its events come to, loses no payment that comes meanwhile, and shows no wrong one."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.comparison import Difference
from adapters.postgres.connection import Connection, Pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import About
from adapters.postgres.replay import ReplayRunsError, the_one_replay
from domain.money import money
from domain.payment_event import Kind, PaymentEvent
from domain.reconciler import Decision
from tests.adapters.postgres.samples import NOON, append, put
from tests.domain.samples import an_event
from tests.filled import EVENTS_PER_INVOICE, SPOILT_BY_MINOR, fill, spoil, superuser, wrong_by
from tests.waiting import wait_until
from worker.replay import Replayed, UnknownInvoiceIdError, replay
from worker.settings import environment_without_settings


def run(pool: Pool, *, invoice_id: str | None = None, dry_run: bool = False) -> tuple[Replayed, list[Difference]]:
    shown: list[Difference] = []
    replayed = replay(
        pool,
        invoice_id=invoice_id,
        dry_run=dry_run,
        show=shown.append,
        tell=lambda _, __: None,
        clock_s=time.monotonic,
    )
    return replayed, shown


def a_history(invoices: Invoices, ledger: Ledger) -> None:
    """Three invoices, one of them void, with refunds, moved money and suspense in two currencies' worth of rows."""
    for number in (1, 2, 3):
        put(invoices, f"order-{number}", amount="100")
    append(ledger, [an_event("1", amount="40"), an_event("2", amount="60", minutes=5)])
    append(ledger, [an_event("3", amount="100", invoice_id="order-2"), an_event("4", amount="7", invoice_id=None)])
    append(ledger, [an_event("5", amount="30", invoice_id=None), an_event("2", amount="10", kind=Kind.REFUNDED)])
    moved = [
        an_event("5", amount="20", kind=Kind.UNASSIGNED, ref="k", invoice_id=None),
        an_event("5", amount="20", kind=Kind.ASSIGNED, ref="k", invoice_id="order-3", minutes=9),
    ]
    append(ledger, moved)
    invoices.void("order-2", reason="test", now=NOON, who="test")


TABLES = (
    "SELECT * FROM invoice_balance ORDER BY invoice_id",
    "SELECT * FROM payment ORDER BY gateway, payment_id",
    "SELECT * FROM suspense_balance WHERE (received_minor, refunded_minor) <> (0, 0) ORDER BY gateway, currency",
)


def projections(pool: Pool) -> list[list[Any]]:
    with pool.connection() as connection:
        return [connection.execute(table).fetchall() for table in TABLES]


# --- What is wrong is repaired, and nothing else is touched ---------------------------------------------------------


CORRUPTIONS = (
    "UPDATE invoice_balance SET received_minor = received_minor + 1 WHERE invoice_id = 'order-1'",
    "UPDATE invoice_balance SET refunded_minor = 77 WHERE invoice_id = 'order-3'",
    "UPDATE invoice_balance SET due_minor = 0, payments = 12 WHERE invoice_id = 'order-2'",
    "UPDATE invoice_balance SET voided_at = now() WHERE invoice_id = 'order-1'",
    "UPDATE invoice_balance SET voided_at = NULL WHERE invoice_id = 'order-2'",
    "UPDATE invoice_balance SET first_paid_at = NULL, last_paid_at = 'infinity'",
    "UPDATE invoice_balance SET currency = 'USD' WHERE invoice_id = 'order-3'",
    "DELETE FROM invoice_balance WHERE invoice_id = 'order-1'",
    "TRUNCATE invoice_balance",
    "UPDATE payment SET received_minor = 999999999999 WHERE payment_id = '1'",
    "UPDATE payment SET refunded_minor = 1 WHERE payment_id IN ('1', '2')",
    "UPDATE payment SET invoice_id = 'order-2', currency = 'EUR'",
    "UPDATE payment SET invoice_id = NULL WHERE payment_id = '5'",
    "DELETE FROM payment WHERE payment_id IN ('3', '5')",
    "TRUNCATE payment",
    "INSERT INTO payment (gateway, payment_id, currency) VALUES ('qpay', 'x', 'MNT') ON CONFLICT DO NOTHING",
    "UPDATE suspense_balance SET received_minor = -5",
    "DELETE FROM suspense_balance",
    "INSERT INTO suspense_balance (gateway, currency, received_minor) VALUES ('qpay', 'USD', 5) ON CONFLICT DO NOTHING",
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(corruptions=st.lists(st.sampled_from(CORRUPTIONS), min_size=1, max_size=6))
def test_balances_corrupted_at_random_are_repaired_exactly(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger, corruptions: list[str]
) -> None:
    with pool.connection() as connection:
        if connection.execute("SELECT FROM payment_event LIMIT 1").fetchone() is None:
            a_history(invoices, ledger)
    before = projections(pool)

    with superuser(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for corruption in corruptions:
            connection.execute(corruption)
    first, shown = run(pool)
    again, nothing = run(pool)

    assert projections(pool) == before
    assert first.right
    assert first.changed == first.unlike
    assert bool(shown) == (first.unlike > 0)
    assert (again.changed, nothing) == (0, [])


def test_a_dry_run_shows_money_and_writes_nothing(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    a_history(invoices, ledger)
    with superuser(database_url) as connection:
        connection.execute("UPDATE invoice_balance SET received_minor = 9950 WHERE invoice_id = 'order-1'")
        connection.execute("UPDATE payment SET refunded_minor = 0 WHERE payment_id = '2'")
    spoilt = projections(pool)

    replayed, shown = run(pool, dry_run=True)

    assert (replayed.unlike, replayed.changed, replayed.right) == (2, 0, False)
    assert projections(pool) == spoilt
    assert shown == [
        Difference(
            invoice="order-1",
            of=None,
            column="received",
            live=money("99.50", currency="MNT"),
            rebuilt=money("100", currency="MNT"),
        ),
        Difference(
            invoice="order-1",
            of="payment qpay:2",
            column="refunded",
            live=money(0, currency="MNT"),
            rebuilt=money("10", currency="MNT"),
        ),
    ]


def test_one_invoice_is_rebuilt_and_no_other(database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    a_history(invoices, ledger)
    spoil(database_url)

    replayed, _ = run(pool, invoice_id="order-2")

    assert (replayed.events, replayed.invoices, replayed.changed) == (1, 1, 1)
    with pool.connection() as connection:
        assert set(wrong_by(connection)) == {"order-1", "order-3"}
    with pytest.raises(UnknownInvoiceIdError):
        run(pool, invoice_id="order-9")


FORGED = """
    INSERT INTO payment_event (gateway, payment_id, kind, ref, invoice_id, amount_minor, currency, occurred_at,
        occurred_at_source, recorded_at, source, raw)
    SELECT 'qpay', '3', kind, 'forged', 'order-2', 9000000000000000000, 'MNT', now(), 'person', now(), 'manual', '{}'
    FROM (VALUES ('refunded'), ('received')) AS f (kind)
"""


def test_what_no_row_can_hold_is_told_and_its_neighbours_are_written(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    a_history(invoices, ledger)
    with superuser(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(FORGED)
    spoil(database_url)

    replayed, _ = run(pool)

    assert (replayed.unwritable, replayed.busy, replayed.right) == (2, 0, False)
    with pool.connection() as connection:
        rows = connection.execute("SELECT received_minor FROM invoice_balance ORDER BY invoice_id").fetchall()
    assert [row["received_minor"] for row in rows][::2] == [10_000, 2_000]


def test_of_two_replays_one_says_that_there_is_another(pool: Pool) -> None:
    with the_one_replay(pool), pytest.raises(ReplayRunsError):
        run(pool)

    assert run(pool)[0].right


def test_the_application_cannot_remove_a_payment_that_has_events(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    a_history(invoices, ledger)

    with pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="has events"):
        connection.execute("DELETE FROM payment")


def test_nothing_is_appended_to_a_payment_whose_row_is_missing_until_replay_made_it(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    append(ledger, [an_event("7", amount="10")])
    with superuser(database_url) as connection:
        connection.execute("ALTER TABLE payment DISABLE TRIGGER ALL; DELETE FROM payment")
        connection.execute("ALTER TABLE payment ENABLE TRIGGER ALL")
    back = an_event("7", amount="4", kind=Kind.REFUNDED, ref="key")

    with pytest.raises(psycopg.errors.RaiseException, match="has no row in payment"):
        append(ledger, [back])
    run(pool)
    append(ledger, [back])

    assert run(pool, dry_run=True)[0].right


@pytest.mark.slow
def test_payments_that_are_all_missing_are_made_in_time(database_url: str, pool: Pool) -> None:
    fill(database_url, 20_000)
    with superuser(database_url) as connection:
        connection.execute("SET session_replication_role TO replica")
        connection.execute("DELETE FROM payment")

    replayed, _ = run(pool)

    assert replayed.changed == 20_000
    assert run(pool, dry_run=True)[0].right


# --- Transactions that stay open --------------------------------------------------------------------------------------


class HeldPool:
    """A pool whose one connection is in a transaction, which is committed after `wait` returns."""

    def __init__(self, pool: Pool, wait: Callable[[], object]) -> None:
        self._pool = pool
        self._wait = wait

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with self._pool.connection() as connection, connection.transaction():
            yield connection
            self._wait()


@contextmanager
def an_open_append(pool: Pool, event: PaymentEvent) -> Iterator[Callable[[], None]]:
    """Append an event in a transaction that stays open until the function that this yields is called."""
    appended, may_commit = threading.Event(), threading.Event()

    def wait() -> None:
        appended.set()
        assert may_commit.wait(timeout=25)

    with ThreadPoolExecutor(max_workers=1) as thread:
        about = About(invoices=frozenset({event.invoice_id} - {None}))  # type: ignore[arg-type]
        held = Ledger(cast("Pool", HeldPool(pool, wait)))
        work: Future[Any] = thread.submit(held.append, about, lambda _: Decision(events=(event,)), recorded_at=NOON)

        def commit() -> None:
            may_commit.set()
            work.result()

        assert appended.wait(timeout=10)
        try:
            yield commit
        finally:
            may_commit.set()


@pytest.mark.parametrize("invoice_id", ["order-1", None])
@pytest.mark.parametrize("spoilt", [False, True])
def test_an_event_of_a_transaction_that_stays_open_across_the_replay_counts_once(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger, invoice_id: str | None, *, spoilt: bool
) -> None:
    a_history(invoices, ledger)
    with superuser(database_url) as connection:
        connection.execute("UPDATE invoice_balance SET received_minor = 1 WHERE invoice_id = 'order-3'")
        if spoilt:
            connection.execute("UPDATE invoice_balance SET received_minor = 1 WHERE invoice_id = 'order-1'")
            connection.execute("UPDATE suspense_balance SET received_minor = 1")

    with an_open_append(pool, an_event("9", amount="3", invoice_id=invoice_id)) as commit:
        with ThreadPoolExecutor(max_workers=1) as thread:
            replaying = thread.submit(run, pool)
            if spoilt:
                # It has done all that it could, and waits for the row that the open transaction holds.
                wait_until(lambda: _waiting(database_url) == 1)
                commit()
            first = replaying.result()[0]
        commit()

    assert first.right
    assert run(pool)[0].unlike == 0
    received = projections(pool)[0][0]["received_minor"], projections(pool)[2][0]["received_minor"]
    assert received == ((10_300, 1_700) if invoice_id else (10_000, 2_000))


def test_a_balance_that_stays_locked_is_told_and_left_for_the_next_run(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    a_history(invoices, ledger)
    spoil(database_url)

    with an_open_append(pool, an_event("9", amount="3")) as commit:
        first, _ = run(pool)
        commit()
    second, _ = run(pool)

    assert (first.changed, first.busy, first.right) == (2, 1, False)
    assert (second.changed, second.right) == (1, True)
    assert projections(pool)[0][0]["received_minor"] == 10_300


def test_fault_28_an_earlier_position_that_commits_after_a_later_one_was_read_is_projected_all_the_same(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices, "order-1")
    put(invoices, "order-2")

    with an_open_append(pool, an_event("early", amount="5")) as commit:
        append(ledger, [an_event("late", amount="7", invoice_id="order-2")])
        spoil_one(database_url, "order-2")
        during, _ = run(pool)
        commit()
    after, _ = run(pool)

    positions = {event.payment_id: event.position for event in ledger.payments(after=0, page=10)}
    assert positions["early"] < positions["late"]
    assert (during.events, during.changed, after.events, after.unlike) == (1, 1, 2, 0)
    assert [row["received_minor"] for row in projections(pool)[0]] == [500, 700]


def spoil_one(database_url: str, invoice_id: str) -> None:
    with superuser(database_url) as connection:
        connection.execute("UPDATE invoice_balance SET received_minor = 1 WHERE invoice_id = %s", [invoice_id])


def _waiting(database_url: str) -> int:
    with superuser(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return int(row[0]) if row else 0


# --- Fault 29: replay under live appends, and killed half-way ---------------------------------------------------------

SIZES = [10_000, pytest.param(200_000, marks=pytest.mark.slow)]


class Traffic:
    """Four writers who append without a pause, and two readers who look for a balance that cannot be."""

    def __init__(self, url: str, pool: Pool, *, spoilt: set[str]) -> None:
        self._url = url
        self._ledger = Ledger(pool)
        self._spoilt = spoilt
        self._stop = threading.Event()
        with pool.connection() as connection:
            rows = connection.execute("SELECT id FROM invoice ORDER BY id").fetchall()
        self._ids = [row["id"] for row in rows[:-1]]
        self.untouched: str = rows[-1]["id"]
        self.appended: list[int] = []
        self.looks: list[int] = []
        self.impossible: list[dict[str, int]] = []

    @contextmanager
    def flowing(self) -> Iterator[None]:
        with ThreadPoolExecutor(max_workers=6) as threads:
            work = [threads.submit(self._write, number) for number in range(4)]
            work += [threads.submit(self._read) for _ in range(2)]
            wait_until(lambda: len(self.looks) >= 2 or any(one.done() for one in work), within_s=60)
            try:
                yield
            finally:
                self._stop.set()
                for one in work:
                    one.result()

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stop.is_set():
            ids = [*chance.sample(self._ids, k=2), None]
            append(self._ledger, [an_event(uuid4().hex, amount="1", invoice_id=invoice_id) for invoice_id in ids])
            self.appended.append(len(ids))

    def _read(self) -> None:
        repaired: set[str] = set()
        with superuser(self._url) as connection:
            while not self._stop.is_set():
                wrong = wrong_by(connection)
                self.impossible += [
                    {invoice_id: by_minor}
                    for invoice_id, by_minor in wrong.items()
                    if by_minor != SPOILT_BY_MINOR or invoice_id not in self._spoilt or invoice_id in repaired
                ]
                repaired |= self._spoilt - wrong.keys()
                self.looks.append(1)


@pytest.mark.parametrize("events", SIZES)
def test_fault_29_readers_never_see_a_wrong_balance_while_payments_go_on(
    database_url: str, pool: Pool, events: int
) -> None:
    fill(database_url, events)
    spoilt_count = spoil(database_url, every=3)
    with pool.connection() as connection:
        spoilt = set(wrong_by(connection))
    with superuser(database_url) as connection:
        connection.execute("INSERT INTO suspense_balance (gateway, currency, received_minor) VALUES ('qpay', 'MNT', 7)")
    traffic = Traffic(database_url, pool, spoilt=spoilt)

    with traffic.flowing():
        replayed, _ = run(pool)
        looks = len(traffic.looks)
        wait_until(lambda: len(traffic.looks) > looks + 2, within_s=60)

    after, differences = run(pool, dry_run=True)
    assert traffic.impossible == []
    assert replayed.right
    assert replayed.changed == spoilt_count + 1
    assert (after.events, differences) == (events + sum(traffic.appended), [])


@pytest.mark.parametrize("events", SIZES)
def test_fault_29_killed_half_way_every_balance_is_as_it_was_or_right(
    database_url: str, pool: Pool, events: int
) -> None:
    fill(database_url, events)
    spoilt = spoil(database_url)
    traffic = Traffic(database_url, pool, spoilt=set(_wrong(pool)))

    # Somebody holds one balance all the time: the replay cannot end before it is killed.
    with psycopg.connect(database_url) as holder, traffic.flowing():
        holder.execute("SELECT FROM tootsoo.invoice_balance WHERE invoice_id = %s FOR UPDATE", [traffic.untouched])
        process = tootsoo_replay(database_url)
        wait_until(lambda: _any_repaired(pool) or process.poll() is not None, within_s=60)
        process.send_signal(signal.SIGKILL)
        process.wait()

    left = _wrong(pool)
    assert process.returncode == -signal.SIGKILL
    assert 0 < len(left) < spoilt == events // EVENTS_PER_INVOICE
    assert set(left.values()) == {SPOILT_BY_MINOR}
    assert traffic.impossible == []
    wait_until(lambda: _let_go(pool))
    assert run(pool)[0].right
    assert _wrong(pool) == {}


def _wrong(pool: Pool) -> dict[str, int]:
    with pool.connection() as connection:
        return wrong_by(connection)


def _any_repaired(pool: Pool) -> bool:
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT FROM invoice_balance WHERE received_minor < %s LIMIT 1", [SPOILT_BY_MINOR]
        ).fetchone()
    return row is not None


def _let_go(pool: Pool) -> bool:
    """Whether the lock of a killed replay is gone."""
    try:
        with the_one_replay(pool):
            return True
    except ReplayRunsError:
        return False


def tootsoo_replay(database_url: str) -> subprocess.Popen[bytes]:
    env = environment_without_settings()
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "replay"],
        env={**env, "DATABASE_URL": database_url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
