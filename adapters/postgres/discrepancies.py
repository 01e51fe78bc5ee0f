"""Discrepancies: listed, shown and answered; the ledger opens them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from adapters.postgres.connection import Connection, Pool
from adapters.postgres.queries import load_queries
from domain.discrepancy import Discrepancy

_queries = load_queries("discrepancies")


class State(StrEnum):
    """Where a question stands."""

    SUSPECTED = "suspected"
    """Perhaps a stale read: it opens when the next check says the same."""
    OPEN = "open"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"
    """A later check showed that there is no question."""


class Resolve(StrEnum):
    """What became of an answer."""

    RESOLVED = "resolved"
    SAME = "same"
    """It was answered so before."""
    OTHER = "other"
    """It was answered otherwise."""
    WITHDRAWN = "withdrawn"
    """A later check showed that there is no question."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDiscrepancy:
    """A question as it is kept. Times are UTC."""

    id: int
    kind: str
    gateway: str
    subject: str
    invoice_id: str | None
    payment_id: str | None
    detail: str
    state: str
    seen: int
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None


class Discrepancies:
    """Questions for a person. Each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def list(self, *, state: State, after: int, page: int) -> list[StoredDiscrepancy]:
        """Return up to `page` questions in this state with ids over `after`, oldest first."""
        with self._pool.connection() as connection:
            rows = _queries.list_discrepancies(connection, state=state.value, after=after, page=page)
            return [StoredDiscrepancy(**row) for row in rows]

    def read(self, discrepancy_id: int) -> StoredDiscrepancy | None:
        """Return one question; None when there is none of that id."""
        with self._pool.connection() as connection:
            row = _queries.read_discrepancy(connection, id=discrepancy_id)
        return StoredDiscrepancy(**row) if row else None

    def resolve(self, discrepancy_id: int, *, resolution: str, who: str, now: datetime) -> Resolve:
        """Write a person's answer. The first one counts: the same again is the same, another one changes nothing."""
        with self._pool.connection() as connection, connection.transaction():
            if _queries.resolve_discrepancy(connection, id=discrepancy_id, resolution=resolution, who=who, now=now):
                return Resolve.RESOLVED
            row = _queries.read_discrepancy(connection, id=discrepancy_id)
        if row is None:
            return Resolve.UNKNOWN
        if row["state"] == State.WITHDRAWN:
            return Resolve.WITHDRAWN
        return Resolve.SAME if (row["resolution"], row["resolved_by"]) == (resolution, who) else Resolve.OTHER

    def ask(self, question: Discrepancy, *, now: datetime) -> bool:
        """Ask what no gateway's answer raised; False when it was asked before."""
        with self._pool.connection() as connection:
            return ask_all(connection, [question], now=now) == 1

    def ask_many(self, questions: Sequence[Discrepancy], *, now: datetime) -> int:
        """Ask what no gateway's answer raised, all or none; returns how many were not asked before."""
        if not questions:
            return 0
        with self._pool.connection() as connection:
            return ask_all(connection, questions, now=now)


def ask_all(connection: Connection, questions: Sequence[Discrepancy], *, now: datetime) -> int:
    """Ask questions in the caller's transaction; return how many opened by it."""
    opened: int = _queries.ask(connection, questions=json.dumps([asdict(one) for one in questions]), now=now)
    return opened
