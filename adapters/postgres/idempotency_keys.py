"""Idempotency keys: what a caller's key stands for, whatever the command and whatever it is about."""

from datetime import datetime

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries
from domain.command import KeyUsedError

_queries = load_queries("idempotency_keys")


class IdempotencyKeys:
    """The keys of people's commands. Each method is committed when it returns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def take(self, key: str, *, digest: bytes, now: datetime) -> None:
        """Let a key stand for a content from now on; of two contents at once one gets it. The same again is the same.

        Taken before the effect and never given back: whoever dies in between finds the key standing for what was asked,
        and does it then.

        Raises:
            KeyUsedError: it stands for something else.

        """
        with self._pool.connection() as connection:
            if _queries.insert_key(connection, key=key, digest=digest, now=now):
                return
            if bytes(_queries.read_digest(connection, key=key)) != digest:
                raise KeyUsedError

    def keep_answer(self, key: str, body: str, *, now: datetime) -> str:
        """Keep what a taken key is answered, and return what it was answered first: of two at once one is kept."""
        with self._pool.connection() as connection:
            if _queries.keep_answer(connection, key=key, body=body, now=now):
                return body
            first: str | None = _queries.read_answer(connection, key=key)
        return first or body

    def answer(self, key: str) -> str | None:
        """Return what a key was answered first; None when it was not, or that was forgotten."""
        with self._pool.connection() as connection:
            body: str | None = _queries.read_answer(connection, key=key)
        return body

    def forget_answers(self, *, earlier: datetime) -> int:
        """Remove the answers given before a time, and return how many; the keys stand for their contents for ever."""
        with self._pool.connection() as connection:
            forgotten: int = _queries.forget_answers(connection, earlier=earlier)
        return forgotten
