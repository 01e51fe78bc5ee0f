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
