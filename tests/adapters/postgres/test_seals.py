"""Events are sealed once, in an order that no late commit upsets, and what a superuser changes afterwards is found."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier

import psycopg
import pytest

from adapters.postgres.connection import Connection, Pool
from adapters.postgres.horizon import Horizons
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.seals import PAGE, Seals
from domain.seal import EventSeal, SealKey, StoredEvent
from domain.seal_audit import SealProblem, audit
from tests.adapters.postgres.samples import NOON, append, put
from tests.domain.samples import an_event
from tests.waiting import wait_until

KEY = SealKey.of("a seal secret that only tests know")
ALL = 2**63 - 1

COLUMNS = (
    "gateway, payment_id, kind, ref, invoice_id, gateway_invoice_id, amount_minor, currency, fee_minor, "
    "occurred_at, occurred_at_source, recorded_at, source, raw, who"
)


@contextmanager
def session(pool: Pool) -> Iterator[Connection]:
    """A connection on which a transaction begins by itself and is committed at the end, unless something went wrong."""
    with pool.connection() as connection:
        connection.autocommit = False
        try:
            yield connection
            connection.commit()
        finally:
            connection.rollback()
            connection.autocommit = True


@pytest.fixture
def seals(pool: Pool) -> Seals:
    return Seals(pool)


@pytest.fixture
def horizons(pool: Pool) -> Horizons:
    return Horizons(pool)


@pytest.fixture
def recorded(invoices: Invoices, ledger: Ledger) -> None:
    """Five events at the positions 1 to 5."""
    put(invoices)
    append(ledger, [an_event(str(n)) for n in range(1, 6)])


@pytest.fixture
def superuser(database_url: str) -> Callable[[str], None]:
    """Do what neither a role nor a trigger stops."""

    def run(statement: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SET search_path TO tootsoo")
            connection.execute("ALTER TABLE payment_event DISABLE TRIGGER append_only")
            connection.execute("ALTER TABLE event_seal DISABLE TRIGGER append_only")
            connection.execute("ALTER TABLE payment_event ALTER position DROP IDENTITY IF EXISTS")
            connection.execute("SET session_replication_role TO replica")
            connection.execute(statement)

    return run


def insert(connection: Connection, *payment_ids: str, raw: str = "{}") -> None:
    """Insert events without an invoice: nothing but the INSERT itself takes a lock or a transaction id."""
    connection.execute(
        """
        INSERT INTO payment_event (gateway, payment_id, kind, ref, amount_minor, currency, occurred_at,
            occurred_at_source, recorded_at, source, raw)
        SELECT 'qpay', payment_id, 'received', 'gateway', 1, 'MNT', now(), 'gateway', now(), 'callback', %s::jsonb
        FROM unnest(%s::text[]) AS payment_id
        ON CONFLICT DO NOTHING
        """,
        [raw, list(payment_ids)],
    )


def seal(seals: Seals, *, page: int = 100) -> list[int]:
    return [each.position for each in seals.seal_up_to(ALL, key=KEY, sealed_at=NOON, page=page, known=None).seals]


def sealed(seals: Seals) -> list[int]:
    return [each.position for each in seals.seals(up_to=ALL)]


def audited(
    events: Iterator[StoredEvent], seals: Iterator[EventSeal], keys: Sequence[SealKey]
) -> Iterator[SealProblem]:
    return audit(events, seals, keys=keys, late_after=timedelta(days=3_650), vouched_up_to=None)


def found(seals: Seals, *keys: SealKey) -> list[tuple[int, str]]:
    head = seals.head()
    assert head is not None
    problems = audited(seals.events(up_to=head.position), seals.seals(up_to=head.position), keys or (KEY,))
    return [(problem.position, problem.kind.value) for problem in problems]


# --- Sealing ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("recorded")
def test_events_are_sealed_once_in_the_order_of_their_positions(seals: Seals) -> None:
    assert seal(seals, page=3) == [1, 2, 3]
    assert seal(seals, page=3) == [4, 5]
    assert seal(seals, page=3) == []

    head = seals.head()
    assert head is not None
    assert (head.position, head.count) == (5, 5)
    assert found(seals) == []


def test_without_events_there_is_nothing_to_seal(seals: Seals, horizons: Horizons) -> None:
    assert horizons.read().position == 0
    assert seal(seals) == []
    assert seals.head() is None


def test_gaps_that_rolled_back_transactions_leave_are_no_problem(pool: Pool, seals: Seals) -> None:
    for n in range(6):
        with session(pool) as connection:
            insert(connection, str(n))
            if n % 2:
                connection.rollback()

    assert seal(seals) == [1, 3, 5]
    assert found(seals) == []


def test_nobody_writes_while_nobody_writes(pool: Pool, horizons: Horizons) -> None:
    with session(pool) as reader:
        reader.execute("SELECT * FROM payment_event")

        assert horizons.read().writers == []


def test_whoever_holds_a_lower_position_is_seen_until_it_has_ended(pool: Pool, horizons: Horizons) -> None:
    with session(pool) as late:
        insert(late, "late")
        with session(pool) as early:
            insert(early, "early")

        horizon = horizons.read()
        while_open = horizons.any_writes(horizon)
        late.commit()

        assert horizon.position == 2
        assert while_open
        assert not horizons.any_writes(horizon)


def test_whoever_comes_after_the_horizon_is_not_waited_for(pool: Pool, horizons: Horizons) -> None:
    with session(pool) as early:
        insert(early, "early")
    horizon = horizons.read()

    with session(pool) as after:
        insert(after, "after")

        assert not horizons.any_writes(horizon)


def test_a_foreign_transaction_however_long_delays_nothing(pool: Pool, horizons: Horizons) -> None:
    with session(pool) as foreign:
        foreign.execute("SELECT pg_current_xact_id(), count(*) FROM payment_event")
        with session(pool) as connection:
            insert(connection, "1")

        horizon = horizons.read()

        assert (horizon.position, horizon.writers) == (1, [])


def test_a_position_that_was_taken_before_its_transaction_had_an_id_is_seen(
    pool: Pool, seals: Seals, horizons: Horizons
) -> None:
    """An INSERT takes its position, waits for another of the same key, and only then gets a transaction id."""
    with ThreadPoolExecutor() as threads, session(pool) as first, session(pool) as waiting:
        insert(first, "contended")
        pid = waiting.info.backend_pid
        inserted = threads.submit(insert, waiting, "contended")
        wait_until(lambda: _waits(pool, pid))
        with session(pool) as early:
            insert(early, "early")
        horizon = horizons.read()
        first.rollback()
        inserted.result()

        held_back = horizons.any_writes(horizon)
        waiting.commit()

        assert held_back
        assert not horizons.any_writes(horizon)
        assert seal(seals) == [2, 3]


@pytest.mark.usefixtures("recorded")
def test_of_several_sealers_at_once_one_seals(seals: Seals) -> None:
    begin = Barrier(8)

    def run(_: int) -> list[int]:
        begin.wait()
        return seal(seals, page=2)

    with ThreadPoolExecutor(8) as threads:
        done = [position for each in threads.map(run, range(8)) for position in each]
    while more := seal(seals, page=2):
        done += more

    assert sorted(done) == sealed(seals) == [1, 2, 3, 4, 5]
    assert found(seals) == []


@pytest.mark.usefixtures("recorded")
def test_whoever_comes_while_another_seals_does_not_wait_for_it(pool: Pool, seals: Seals) -> None:
    with session(pool) as other:
        other.execute("SELECT pg_advisory_xact_lock(x'7365616C73'::bigint)")

        assert seal(seals) == []


def test_more_than_a_page_is_sealed_and_audited(pool: Pool, seals: Seals) -> None:
    count = PAGE * 2 + 1
    with session(pool) as connection:
        insert(connection, *map(str, range(count)))

    while seal(seals, page=1_500):
        pass

    head = seals.head()
    assert head is not None
    assert (head.count, seals.count_unsealed(None), seals.count_unsealed(head)) == (count, count, 0)
    assert found(seals) == []


def test_whatever_jsonb_holds_is_sealed_as_it_is_read_again(pool: Pool, seals: Seals) -> None:
    raw = '{"b": 1.50, "aa": 1e2, "a": "\\u0431\\n\\u0001 \\ud83d\\ude00", "deep": ' + "[" * 900 + "]" * 900 + "}"
    with session(pool) as connection:
        insert(connection, "1")
        insert(connection, "2", raw=raw)

    assert seal(seals) == [1, 2]
    assert found(seals) == []


# --- What the application may not ------------------------------------------------------------------------------------


def test_the_application_seals_no_event_that_is_not_there(pool: Pool) -> None:
    with session(pool) as connection:
        insert(connection, "1")

    with session(pool) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation, match="no event at position 9"):
        connection.execute(
            "INSERT INTO event_seal (position, number, sealed_at, key_id, seal) "
            "SELECT p, p, now(), '00000000', sha256('') FROM unnest('{1, 9000000000}'::bigint[]) AS p"
        )


def test_the_application_chooses_no_position(pool: Pool) -> None:
    with session(pool) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="payment_event"):
        connection.execute(
            """
            INSERT INTO payment_event (position, gateway, payment_id, kind, ref, amount_minor, currency, occurred_at,
                occurred_at_source, recorded_at, source, raw)
            OVERRIDING SYSTEM VALUE
            VALUES (9000000000, 'qpay', '1', 'received', 'gateway', 1, 'MNT', now(), 'gateway', now(), 'callback', '{}')
            """
        )


# --- What a superuser does -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    "statement", ["UPDATE event_seal SET number = 9", "DELETE FROM event_seal", "TRUNCATE event_seal"]
)
def test_neither_application_nor_owner_changes_seals(
    pool: Pool, database_url: str, seals: Seals, statement: str
) -> None:
    seal(seals)

    with session(pool) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("SET search_path TO tootsoo")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            owner.execute(statement)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    "change",
    [
        "gateway = 'other'",
        "payment_id = '3 '",
        "kind = 'refunded'",
        "ref = ''",
        "invoice_id = NULL",
        "invoice_id = ''",
        "gateway_invoice_id = '00000000-0000-4000-8000-000000000001'",
        "amount_minor = amount_minor + 1",
        "currency = 'USD'",
        "fee_minor = 0",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "occurred_at = 'infinity'",
        "occurred_at = '2026-11-22 04:00:00+00 BC'",
        "occurred_at_source = 'person'",
        "recorded_at = recorded_at - interval '1 day'",
        "recorded_at = '-infinity'",
        "source = 'sweep'",
        "raw = '{}'",
        "raw = raw || '{\"more\": null}'",
        "who = ''",
    ],
)
def test_a_change_of_any_column_is_found_where_it_was_made(
    seals: Seals, superuser: Callable[[str], None], change: str
) -> None:
    seal(seals)

    superuser(f"UPDATE payment_event SET {change} WHERE position = 3")  # noqa: S608 - from the list above

    assert found(seals) == [(3, "changed")]


def test_every_column_of_an_event_is_among_those(pool: Pool) -> None:
    with session(pool) as connection:
        rows = connection.execute(
            """
            SELECT attname FROM pg_attribute
            WHERE attrelid = 'payment_event'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
            """
        ).fetchall()

    assert [row["attname"] for row in rows] == ["position", *[name.strip() for name in COLUMNS.split(",")]]


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM payment_event WHERE position = 3", [(3, "removed")]),
        ("DELETE FROM payment_event WHERE position = 5", [(5, "removed")]),
        ("UPDATE payment_event SET position = -3 WHERE position = 3", [(-3, "inserted"), (3, "removed")]),
        (
            "UPDATE event_seal SET position = -3 WHERE position = 3",
            [(-3, "removed"), (-3, "removed"), (3, "seal_removed")],
        ),
        ("DELETE FROM event_seal WHERE position = 3", [(3, "seal_removed")]),
        ("UPDATE event_seal SET number = 7 WHERE position = 3", [(3, "seal_changed")]),
        ("UPDATE event_seal SET sealed_at = 'infinity' WHERE position = 3", [(3, "changed")]),
        ("UPDATE event_seal SET key_id = '00000000' WHERE position = 3", [(3, "seal_changed")]),
        ("UPDATE event_seal SET seal = sha256('') WHERE position = 3", [(3, "seal_changed")]),
        ("UPDATE event_seal SET seal = sha256('') WHERE position = 5", [(5, "changed")]),
        ("UPDATE event_seal SET seal = sha256('')", [(n, "changed") for n in range(1, 6)]),
    ],
)
def test_what_was_removed_moved_or_written_over_is_found(
    seals: Seals, superuser: Callable[[str], None], statement: str, expected: list[tuple[int, str]]
) -> None:
    seal(seals)

    superuser(statement)

    assert found(seals) == expected


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("position", [-(2**63), 0, 6])
def test_an_event_that_was_put_into_a_gap_is_found(
    pool: Pool, seals: Seals, superuser: Callable[[str], None], position: int
) -> None:
    with session(pool) as connection:
        insert(connection, "rolled back")
        connection.rollback()
        insert(connection, "the last")
    seal(seals)

    superuser(_forge(position))

    assert found(seals) == [(position, "inserted")]


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("page", [2, 3, 4])
@pytest.mark.parametrize("position", [1, 2, 3, 4, 5])
def test_a_second_event_at_one_position_hides_behind_no_page(
    seals: Seals, superuser: Callable[[str], None], position: int, page: int
) -> None:
    seal(seals)

    superuser("ALTER TABLE payment_event DROP CONSTRAINT payment_event_pkey")
    superuser(_forge(position))

    events, read = seals.events(up_to=5, page=page), seals.seals(up_to=5, page=page)
    problems = {(problem.position, problem.kind.value) for problem in audited(events, read, [KEY])}
    assert (position, "inserted") in problems
    assert problems <= {(position, "inserted"), (position, "changed")}


@pytest.mark.usefixtures("recorded")
def test_a_cut_tail_shows_only_against_a_head_that_was_kept(seals: Seals, superuser: Callable[[str], None]) -> None:
    seal(seals)
    kept = seals.head()
    assert kept is not None

    superuser("DELETE FROM payment_event WHERE position > 3; DELETE FROM event_seal WHERE position > 3")

    assert found(seals) == []
    assert seals.seal_at(kept.position) is None


@pytest.mark.usefixtures("recorded")
def test_secrets_are_rotated_without_sealing_anew(pool: Pool, seals: Seals) -> None:
    seal(seals)
    with session(pool) as connection:
        insert(connection, "later")
    new = SealKey.of("a new seal secret that only tests know")

    seals.seal_up_to(ALL, key=new, sealed_at=NOON, page=100, known=None)

    assert found(seals, new, KEY) == []
    assert found(seals, new) == [(1, "unknown_key")]
    assert seals.has_seal_of([KEY])
    assert not seals.has_seal_of([SealKey.of("a foreign secret")])
    assert seals.newest_key_id() == new.id


def _forge(position: int) -> str:
    columns = COLUMNS.replace("payment_id", "'forged'")
    return f"INSERT INTO payment_event (position, {COLUMNS}) SELECT {position}, {columns} FROM payment_event LIMIT 1"  # noqa: S608 - constants


def _waits(pool: Pool, pid: int) -> bool:
    with session(pool) as connection:
        row = connection.execute("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pid]).fetchone()
    return row is not None
