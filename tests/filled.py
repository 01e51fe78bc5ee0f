"""A ledger filled quickly: as many events as a test of replay or its benchmark wants, on a fifth as many invoices."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosql
import psycopg
from psycopg.rows import tuple_row

EVENTS_PER_INVOICE = 5
STEP = 250_000
"""Events filled by one statement."""

SPOILT_BY_MINOR = 1_000_000_007
"""What spoilt balances have too much: no sum of events is by chance as much."""

_queries: Any = aiosql.from_path(Path(__file__).parent / "filled.sql", "psycopg")


@contextmanager
def superuser(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, options="-c search_path=tootsoo") as connection:
        yield connection


def fill(url: str, events: int) -> None:
    """Make events, their invoices, and projections that are right."""
    invoices = events // EVENTS_PER_INVOICE
    with superuser(url) as connection:
        _queries.trust_rows(connection)
        _queries.fill_invoices(connection, invoices=invoices, due_minor=EVENTS_PER_INVOICE * 1_000_000)
        for first in range(0, events, STEP):
            _queries.fill_events(connection, first=first, last=min(first + STEP, events) - 1, invoices=invoices)
        _queries.fill_projections(connection)
        connection.execute("VACUUM (ANALYZE)")


def spoil(url: str, *, every: int = 1) -> int:
    """Make every balance wrong, or one of so many; returns how many."""
    with superuser(url) as connection:
        return int(_queries.spoil_balances(connection, by_minor=SPOILT_BY_MINOR, every=every))


def wrong_by(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """By how much each balance differs from its events, where it does."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(_queries.wrong_by.sql).fetchall())
