"""Writes the balances that differ from their events, page by page, each under its own lock, while payments go on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from adapters.postgres.comparison import Comparison
from adapters.postgres.connection import Connection, Pool
from adapters.postgres.queries import load_queries

_queries = load_queries("replay")

_REPLAY_LOCK = 0x7265706C6179
"""Any number that nobody else locks: "replay" in ASCII."""

PAGE = 2_000
"""Rows locked at once: tens of milliseconds of work, so that a payment that meets one hardly waits."""

Tell = Callable[[int, int], object]
"""Hears how many rows are done, and how many there are."""


class ReplayRunsError(Exception):
    """Another replay is running. Nothing was written; trying again helps once that one has ended."""


@dataclass(slots=True, kw_only=True)
class Written:
    """What became of the rows that differed."""

    changed: int = 0
    """Rows that were written; the others were right by the time they were looked at, or are among those below."""
    busy: int = 0
    """Rows that somebody else kept locked all the time: trying again helps."""
    unwritable: int = 0
    """Rows whose events come to what no row can hold, such as more refunded than received."""


@contextmanager
def the_one_replay(pool: Pool) -> Iterator[None]:
    """Let no other replay write for the length of the block; a killed one lets go within seconds.

    Raises:
        ReplayRunsError: another one writes.

    """
    with pool.connection() as connection:
        _queries.notice_a_dead_client(connection)
        if not _queries.become_the_replay(connection, lock=_REPLAY_LOCK):
            raise ReplayRunsError
        try:
            yield
        finally:
            if not connection.broken:
                _queries.step_back(connection, lock=_REPLAY_LOCK)


def write_unlike(comparison: Comparison, *, tell: Tell) -> Written:
    """Write what differs: lock a page's rows, compute them anew in a new statement, write those that still differ.

    A transaction a page, which waits for nobody: what others hold locked is left and done alone at the end, waiting
    for each as long as the session's lock_timeout. So no payment is held up by more than a page, and nothing
    deadlocks. Whatever it is killed at, every row is either as it was or right.

    Raises:
        psycopg.Error: PostgreSQL is away; safe to repeat.

    """
    writing = _Writing(comparison, tell)
    connection = comparison.connection
    _queries.look_rows_up(connection)
    try:
        writing.balances()
        writing.payments()
        writing.suspense()
    finally:
        if not connection.broken:
            _queries.plan_as_usual(connection)
    return writing.written


class _Writing:
    def __init__(self, comparison: Comparison, tell: Tell) -> None:
        self._connection = comparison.connection
        self._unlike = comparison.unlike
        self._looked_at = 0
        self._tell = tell
        self.written = Written()

    def balances(self) -> None:
        left = self._pages(self._unlike.balances, _write_balances, _insert_balances)
        self._alone(left, _await_balance)

    def payments(self) -> None:
        left = self._pages(self._unlike.payments, _write_payments, _insert_payments)
        self._alone(left, _await_payment)

    def suspense(self) -> None:
        self._alone(range(1, self._unlike.suspense + 1), _write_suspense)

    def _pages(self, rows: int, *steps: Callable[[Connection, list[int]], "_Step"]) -> list[int]:
        """Do what can be done without waiting; return the numbers that are left."""
        left: list[int] = []
        for first in range(1, rows + 1, PAGE):
            page = list(range(first, min(first + PAGE, rows + 1)))
            rest = set(page)
            for step in steps:
                if rest:
                    # What no row can hold would take its whole page down: it is met again, alone.
                    with suppress(psycopg.IntegrityError, psycopg.DataError):
                        with self._connection.transaction():
                            done = step(self._connection, sorted(rest))
                        rest -= done.numbers
                        self.written.changed += done.changed
            left += sorted(rest)
            self._progress(len(page) - len(rest))
        return left

    def _alone(self, numbers: Sequence[int], step: Callable[[Connection, int], "_Step"]) -> None:
        for number in numbers:
            try:
                with self._connection.transaction():
                    done = step(self._connection, number)
            except psycopg.errors.LockNotAvailable:
                self.written.busy += 1
            except (psycopg.IntegrityError, psycopg.DataError):
                self.written.unwritable += 1
            else:
                self.written.changed += done.changed
                self.written.unwritable += not done.numbers
            self._progress(1)

    def _progress(self, rows: int) -> None:
        self._looked_at += rows
        self._tell(self._looked_at, self._unlike.rows)


@dataclass(frozen=True, slots=True)
class _Step:
    """The numbers that were dealt with, and how many rows were written."""

    numbers: frozenset[int]
    changed: int


def _numbers(rows: Iterator[dict[str, int]]) -> list[int]:
    return [row["number"] for row in rows]


def _write_balances(connection: Connection, numbers: list[int]) -> _Step:
    locked = _numbers(_queries.lock_balances(connection, numbers=numbers))
    return _Step(frozenset(locked), _queries.write_balances(connection, numbers=locked) if locked else 0)


def _insert_balances(connection: Connection, numbers: list[int]) -> _Step:
    locked = _numbers(_queries.lock_invoices_without_balance(connection, numbers=numbers))
    return _Step(frozenset(locked), _queries.insert_balances(connection, numbers=locked) if locked else 0)


def _await_balance(connection: Connection, number: int) -> _Step:
    locked = _numbers(_queries.await_balance(connection, number=number))
    if locked:
        return _Step(frozenset(locked), _queries.write_balances(connection, numbers=locked))
    locked = _numbers(_queries.await_invoice_without_balance(connection, number=number))
    return _Step(frozenset(locked), _queries.insert_balances(connection, numbers=locked) if locked else 0)


def _write_payments(connection: Connection, numbers: list[int]) -> _Step:
    locked = _numbers(_queries.lock_payments(connection, numbers=numbers))
    return _Step(frozenset(locked), _change_payments(connection, locked) if locked else 0)


def _insert_payments(connection: Connection, numbers: list[int]) -> _Step:
    made = _numbers(_queries.insert_payments(connection, numbers=numbers))
    return _Step(frozenset(made), len(made))


def _await_payment(connection: Connection, number: int) -> _Step:
    locked = _numbers(_queries.await_payment(connection, number=number))
    return _Step(frozenset(locked), _change_payments(connection, locked) if locked else 0)


def _change_payments(connection: Connection, locked: list[int]) -> int:
    written: int = _queries.write_payments(connection, numbers=locked)
    removed: int = _queries.delete_payments(connection, numbers=locked)
    return written + removed


def _write_suspense(connection: Connection, number: int) -> _Step:
    made: int = _queries.make_suspense(connection, number=number)
    locked = _numbers(_queries.await_suspense(connection, number=number))
    written: int = _queries.write_suspense(connection, number=number) if locked else 0
    return _Step(frozenset(locked), max(made, written))
