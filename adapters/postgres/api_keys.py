"""API keys: made with a random secret that is shown once, found by their public half, refused when revoked."""

import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries

_queries = load_queries("api_keys")

_KEY = re.compile(r"tootsoo_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
"""The public half, then 32 random bytes as base64url."""

USE_NOTED_EVERY = timedelta(minutes=1)
"""A key in use costs one UPDATE in this time, and its last use is known to within it."""


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    """Ask for what is recorded."""
    WRITE = "write"
    """Change something, or have a gateway asked."""


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: without its secret. Times are UTC."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime | None
    """To within `USE_NOTED_EVERY`; None when it never was."""
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOwner:
    """Who calls, by a key that was accepted."""

    key_id: str
    name: str
    scopes: frozenset[Scope]


class ApiKeys:
    """The keys that may call the HTTP API. Each method is one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create(self, name: str, *, now: datetime, scopes: Collection[Scope] = ALL_SCOPES) -> str:
        """Make a key for somebody and return it; it is not kept in clear and cannot be shown again."""
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._pool.connection() as connection:
            _queries.insert_key(
                connection, id=key_id, name=name, secret_sha256=_hash(secret), scopes=sorted(scopes), now=now
            )
        return f"tootsoo_{key_id}_{secret}"

    def owner_of(self, key: str) -> KeyOwner | None:
        """Return whose key it is, or None when it is none of ours or revoked. Compares in constant time."""
        parts = _KEY.fullmatch(key)
        if parts is None:
            return None
        with self._pool.connection() as connection:
            row = _queries.read_key(connection, id=parts[1])
        if row is None or not hmac.compare_digest(row["secret_sha256"], _hash(parts[2])) or row["revoked_at"]:
            return None
        return KeyOwner(key_id=row["id"], name=row["name"], scopes=_scopes(row["scopes"]))

    def note_use(self, key_id: str, *, now: datetime) -> None:
        """Write down that a key was used at `now` (UTC), unless that is less than `USE_NOTED_EVERY` after the last."""
        with self._pool.connection() as connection:
            _queries.note_use(connection, id=key_id, now=now, earlier=now - USE_NOTED_EVERY)

    def list(self) -> list[ApiKey]:
        """Return all keys, oldest first."""
        with self._pool.connection() as connection:
            return [ApiKey(**{**row, "scopes": _scopes(row["scopes"])}) for row in _queries.list_keys(connection)]

    def revoke(self, key_id: str, *, now: datetime) -> bool:
        """Refuse a key from now on; False when there is none of that id. Twice is once."""
        with self._pool.connection() as connection:
            revoked: int = _queries.revoke_key(connection, id=key_id, now=now)
        return revoked == 1


def _scopes(words: Collection[str]) -> frozenset[Scope]:
    return frozenset(map(Scope, words))


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
