"""QPay's login on the wire: a pair of tokens for a password or for a refresh token, and how long it may be used."""

import base64
import math
from dataclasses import dataclass, field

from adapters.calls.answers import UNAUTHORISED, is_success
from adapters.calls.http import Http, Request, Spending
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.errors import error_from
from adapters.qpay.wire import TokenBody, read_body
from domain.gateway import GatewayUnauthorisedError

LIFETIME_MAX_S = 86_400.0
"""Counts a day, which is how long QPay's tokens live (observed); whatever says more is misread."""

LIFETIME_MARGIN_S = 60.0
"""Counts what is taken off, so that a call with a token from here ends before the token does."""

ABSOLUTE_FROM = 10**9
"""Below this UNIX time (2001) `expires_in` can only be a duration."""

FORBIDDEN = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a login gave. `refresh` is None when there is none that can be used."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    living_s: float


def lifetime_s(expires_in: int, *, now_s: float) -> float:
    """Tell how long a token issued now may be used.

    `expires_in` is an absolute UNIX time in seconds (QPay v2 workbook, 2026-03; observed); below `ABSOLUTE_FROM` it is
    a duration. At most `LIFETIME_MAX_S`, less a tenth but no more than `LIFETIME_MARGIN_S`. A token that seems to have
    expired before it came speaks of a clock that is off: it gets `LIFETIME_MARGIN_S`.
    """
    if expires_in >= ABSOLUTE_FROM:  # bounded first: JSON has whole numbers that no float can hold
        told_s = min(min(expires_in, math.ceil(now_s + LIFETIME_MAX_S)) - now_s, LIFETIME_MAX_S)
    else:
        told_s = min(float(max(expires_in, 0)), LIFETIME_MAX_S)
    return told_s - min(told_s / 10, LIFETIME_MARGIN_S) if told_s > 0 else LIFETIME_MARGIN_S


class Login:
    """Asks QPay for tokens; one exchange each, bounded by the caller's deadline.

    Both methods raise what `Http.exchange` and `error_from` raise, and `GatewayUnauthorisedError` for 401 and 403.
    """

    def __init__(self, http: Http, *, config: QPayConfig, limits: Limits) -> None:
        self._http = http
        self._config = config
        self._limits = limits

    async def with_password(self, *, now_s: float) -> Tokens:
        """Log in; the tokens that the merchant had are dead from then on (observed in production)."""
        password = self._config.password.get_secret_value()
        basic = base64.b64encode(f"{self._config.username}:{password}".encode()).decode()
        return await self._ask("auth/token", authorization=f"Basic {basic}", secrets=(basic, password), now_s=now_s)

    async def with_refresh_token(self, refresh: str, *, now_s: float) -> Tokens:
        """Trade a refresh token for a full new pair; the one that it came with is taken for dead from then on."""
        return await self._ask("auth/refresh", authorization=f"Bearer {refresh}", secrets=(refresh,), now_s=now_s)

    async def _ask(self, endpoint: str, *, authorization: str, secrets: tuple[str, ...], now_s: float) -> Tokens:
        request = Request(
            endpoint=f"POST {endpoint}",
            method="POST",
            path=f"/{endpoint}",
            headers={"Authorization": authorization},
            secrets=(authorization, *secrets),
        )
        answer = await self._http.exchange(request, spending=Spending(bytes_left=self._limits.body_max_bytes))
        if answer.status in {UNAUTHORISED, FORBIDDEN}:
            raise GatewayUnauthorisedError(error_from(answer).message)
        if not is_success(answer.status):
            raise error_from(answer)
        body = read_body(TokenBody, answer.body)
        return Tokens(
            access=body.access_token,
            refresh=body.refresh_token,
            living_s=lifetime_s(body.expires_in, now_s=now_s),
        )
