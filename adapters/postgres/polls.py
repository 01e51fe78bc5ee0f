"""Polls: which QRs are looked at now, at a gateway that may be asked and does not tell by itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries

_queries = load_queries("polls")


@dataclass(frozen=True, slots=True, kw_only=True)
class DuePoll:
    """An open QR that is to be looked at."""

    id: UUID
    next_poll_at: datetime
    age: timedelta
    """Since it opened."""
    lifetime: timedelta
    """From then until it expires."""


class Polls:
    """When QRs are looked at. Each method is one statement, committed when it returns; PostgreSQL's clock."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def due(self, gateway: str, *, page: int) -> list[DuePoll]:
        """Return up to `page` open QRs of a gateway that are to be looked at now, the longest overdue first."""
        with self._pool.connection() as connection:
            return [DuePoll(**row) for row in _queries.read_polls_due(connection, gateway=gateway, page=page)]

    def take(self, poll: DuePoll, *, next_in: timedelta | None) -> bool | None:
        """Write when the QR is looked at the next time; None when somebody else has taken this poll.

        True: a check of it is due already, and will do. Without `next_in` it is looked at no more.
        """
        with self._pool.connection() as connection:
            due: bool | None = _queries.take_poll(
                connection,
                id=poll.id,
                seen=poll.next_poll_at,
                next_in_s=None if next_in is None else next_in.total_seconds(),
            )
        return due
