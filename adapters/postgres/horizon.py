"""The horizon of events: up to where all that there will ever be is committed."""

from dataclasses import dataclass

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries

_queries = load_queries("horizon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """The highest committed position, and who was writing when it was read (virtual transaction ids).

    Once all of these writers have ended, no event up to this position is still to be committed.
    """

    position: int
    writers: list[str]


class Horizons:
    """Reads how far events are complete: each takes its position before it is committed, so a lower one may come later.

    Each method is one statement.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def read(self) -> Horizon:
        """Read how far the committed events reach, and who may still commit some below."""
        with self._pool.connection() as connection:
            return Horizon(**_queries.horizon(connection))

    def any_writes(self, horizon: Horizon) -> bool:
        """Tell whether any of those who were writing at a horizon has not ended yet."""
        if not horizon.writers:
            return False
        with self._pool.connection() as connection:
            return bool(_queries.any_writes(connection, writers=horizon.writers))
