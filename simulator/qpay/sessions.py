"""QPay's tokens: one live session per merchant, so that a login kills the tokens of the one before."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_urlsafe
from threading import Lock
from uuid import uuid4

LIFETIME = timedelta(days=1)
MISLEADING_EXP = 3_534_000_000
"""What QPay's JWTs say of their end (in the year 2081); nobody may rely on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login. Access and refresh token end together; the time is UTC."""

    merchant: str
    session_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    ends_at: datetime


class Sessions:
    """Holds the live session of each merchant."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_merchant: dict[str, Session] = {}
        self._by_access: dict[str, Session] = {}
        self._by_refresh: dict[str, Session] = {}

    def start(self, merchant: str, *, merchant_id: str, now: datetime) -> Session:
        """Start a merchant's session with a new pair of tokens; the earlier pair is dead from now on."""
        session = Session(
            merchant=merchant,
            session_id=str(uuid4()),
            access_token=_token(merchant_id),
            refresh_token=_token(merchant_id),
            ends_at=now + LIFETIME,
        )
        with self._lock:
            if earlier := self._by_merchant.get(merchant):
                del self._by_access[earlier.access_token], self._by_refresh[earlier.refresh_token]
            self._by_merchant[merchant] = session
            self._by_access[session.access_token] = session
            self._by_refresh[session.refresh_token] = session
        return session

    def merchant_of(self, access_token: str, *, now: datetime) -> str | None:
        """Tell whose live access token this is."""
        with self._lock:
            return _live(self._by_access.get(access_token), now=now)

    def refreshing(self, refresh_token: str, *, now: datetime) -> str | None:
        """Tell whose live refresh token this is."""
        with self._lock:
            return _live(self._by_refresh.get(refresh_token), now=now)

    def end(self, merchant: str) -> bool:
        """End the merchant's session, as a login from elsewhere does; tell whether there was one."""
        with self._lock:
            ended = self._by_merchant.pop(merchant, None)
            if ended is not None:
                del self._by_access[ended.access_token], self._by_refresh[ended.refresh_token]
        return ended is not None

    def end_of(self, token: str) -> None:
        """End the session that this access or refresh token belongs to, if it lives."""
        with self._lock:
            session = self._by_access.get(token) or self._by_refresh.get(token)
        if session is not None:
            self.end(session.merchant)

    def clear(self) -> None:
        """End every session."""
        with self._lock:
            self._by_merchant.clear()
            self._by_access.clear()
            self._by_refresh.clear()


def _live(session: Session | None, *, now: datetime) -> str | None:
    return session.merchant if session is not None and now < session.ends_at else None


def _token(merchant_id: str) -> str:
    """Make a token that looks like QPay's: a JWT in form, random in its signature, telling a false end."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"merchant_id": merchant_id, "exp": MISLEADING_EXP})
    readable = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*readable, token_urlsafe(32)])
