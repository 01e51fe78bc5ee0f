"""Callers: whose key a request carries, known for a moment so that not each request costs a look-up."""

import threading
from hashlib import sha256

import psycopg
import structlog
from cachetools import TTLCache
from psycopg_pool import PoolTimeout

from adapters.postgres.api_keys import ApiKeys, KeyOwner
from worker.clock import Clock

KNOWN_FOR_S = 2.0
"""A key that was accepted is not looked up again for so long, so a revoked one is refused that much later at most."""

KNOWN_AT_ONCE = 1_000
"""More keys than a merchant has; those beyond are looked up each time."""

log = structlog.get_logger()


class Callers:
    """Accepts keys. What is remembered of one is its digest, and who owns it."""

    def __init__(self, api_keys: ApiKeys, *, clock: Clock) -> None:
        self._api_keys = api_keys
        self._clock = clock
        self._known: TTLCache[bytes, KeyOwner] = TTLCache(KNOWN_AT_ONCE, ttl=KNOWN_FOR_S)
        self._lock = threading.Lock()

    def known(self, key: str) -> KeyOwner | None:
        """Return whose key it is if that was found out within `KNOWN_FOR_S`; waits for nothing."""
        with self._lock:
            return self._known.get(_digest(key))

    def find(self, key: str) -> KeyOwner | None:
        """Return whose key it is, or None when it is none of ours or revoked, and write down that it was used.

        Raises:
            PoolTimeout, psycopg.Error: PostgreSQL cannot be asked.

        """
        owner = self._api_keys.owner_of(key)
        if owner is None:
            return None
        with self._lock:
            self._known[_digest(key)] = owner
        try:
            self._api_keys.note_use(owner.key_id, now=self._clock())
        except (PoolTimeout, psycopg.Error) as error:
            log.warning("key.use_not_noted", key=owner.key_id, error=type(error).__name__)
        return owner


def _digest(key: str) -> bytes:
    return sha256(key.encode(errors="replace")).digest()
