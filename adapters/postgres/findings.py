"""Looks for what no projection shows: broken references, rules that every history keeps, sums that do not agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.postgres.comparison import PAGE, Comparison, Value, comparing, value_of
from adapters.postgres.connection import Connection, Pool, Row
from adapters.postgres.queries import load_queries

_queries = load_queries("findings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that cannot be, in words, and with two amounts where there are two that should be the same."""

    problem: str
    """`reference`, `refunded`, `moved`, `derived` or `sum`."""
    invoice: str | None
    payment: str | None
    """`qpay:…`; for sums the gateway, for suspense where."""
    column: str | None
    live: Value
    rebuilt: Value
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the events of one gateway and currency come to."""

    gateway: str
    events: int
    received: Value
    refunded: Value
    suspense: Value


class Findings:
    """What was found in the snapshot of a comparison; ends with `examining`."""

    def __init__(self, comparison: Comparison, sums: list[Sums]) -> None:
        self.comparison = comparison
        self.sums = sums
        self.count = int(_queries.count_findings(comparison.connection))

    def findings(self) -> Iterator[Finding]:
        """Read the findings, a page at a time."""
        for after in range(0, self.count, PAGE):
            for row in list(_queries.findings(self.comparison.connection, after=after, page=PAGE)):
                yield _finding(row)


@contextmanager
def examining(pool: Pool) -> Iterator[Findings]:
    """Compare all projections with their events, and examine the events themselves, in the same snapshot.

    Writes nothing but temporary tables, and locks nothing.

    Raises:
        psycopg.Error: PostgreSQL is away, the login may not make temporary tables, or an hour was not enough.

    """
    sums: list[Sums] = []

    def examine(connection: Connection) -> None:
        _queries.find(connection)
        sums.extend(_sums(row) for row in _queries.sums(connection))

    with comparing(pool, meanwhile=examine) as comparison:
        try:
            yield Findings(comparison, sums)
        finally:
            if not comparison.connection.broken:
                _queries.forget_findings(comparison.connection)


def _finding(row: Row) -> Finding:
    column = row["column"]
    return Finding(
        problem=row["problem"],
        invoice=row["invoice"],
        payment=row["payment"],
        column=column,
        live=value_of(row["live"], currency=row["currency"]),
        rebuilt=value_of(row["rebuilt"], currency=row["currency"]),
        detail=row["detail"],
    )


def _sums(row: Row) -> Sums:
    currency = row["currency"]
    return Sums(
        gateway=row["gateway"],
        events=row["events"],
        received=value_of(row["received_minor"], currency=currency),
        refunded=value_of(row["refunded_minor"], currency=currency),
        suspense=value_of(row["suspense_minor"], currency=currency),
    )
