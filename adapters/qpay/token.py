"""The one live token of a merchant, shared by all processes through Redis, and who may log in for it, and when."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import anyio
import structlog

from adapters.calls.shared import Shared
from adapters.qpay.config import Limits
from adapters.qpay.login import Login, Tokens
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayHeldBackError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
)

POLL_S = 0.05
"""Counts the wait between looks for a token that another process is fetching."""

RENEW_BEFORE_S = 600.0
"""Counts how long before its end a token is renewed, at most; a tenth of its life if that is less. A refresh token
ends together with its access token (every sample), so it is of use only before."""

REFUSAL_KEPT_S = 86_400.0
"""Counts how long it is remembered that a token was refused before its end, until a new one has been taken."""

_SUCCEEDED, _REFUSED, _FAILED = "succeeded", "was refused", "failed"

# KEYS: token, login, refresh, fresh, refused. The login key is lock and spacing at once: who sets it may log in; it is
# never deleted after a login, it expires. While the login runs it holds the owner's id, afterwards how the login ended.
# The token is looked at in the same atomic step. "fresh" exists until the token should be renewed, "refused" from a
# refusal of a token that should have lived until the next one is taken by QPay. Nobody waits for longer than a spacing,
# even where Redis's clock was put back and keys live as much longer.
_CURRENT_OR_TURN = """
local token = redis.call('get', KEYS[1])
if token then
  local refused = redis.call('exists', KEYS[5])
  local refresh = redis.call('get', KEYS[3])
  if refresh and redis.call('exists', KEYS[4]) == 0 then
    local won = redis.pcall('set', KEYS[2], ARGV[1], 'nx', 'px', ARGV[2])
    if type(won) == 'table' and won['ok'] then return {'renew', token, refresh, refused} end
  end
  return {'token', token, '', refused}
end
if redis.call('set', KEYS[2], ARGV[1], 'nx', 'px', ARGV[2]) then return {'turn', '', '', 0} end
local left, spacing = redis.call('pttl', KEYS[2]), tonumber(ARGV[2])
if left > spacing then
  redis.call('pexpire', KEYS[2], spacing)
  left = spacing
end
return {'wait', redis.call('get', KEYS[2]), '', left}
"""
_STORE = """
if redis.call('get', KEYS[2]) == ARGV[1] then
  redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
  redis.call('set', KEYS[2], ARGV[4], 'keepttl')
  redis.call('set', KEYS[4], '1', 'px', ARGV[6])
  if ARGV[5] == '' then redis.call('del', KEYS[3]) else redis.call('set', KEYS[3], ARGV[5], 'px', ARGV[3]) end
else
  redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3], 'nx')
end
return {redis.call('get', KEYS[1]), redis.call('exists', KEYS[5])}
"""
_END = """
if redis.call('get', KEYS[2]) == ARGV[1] then redis.call('set', KEYS[2], ARGV[2], 'keepttl') end
return redis.call('pttl', KEYS[2])
"""
_FORGET_REFRESH = """
if redis.call('get', KEYS[2]) == ARGV[1] then redis.call('del', KEYS[2], KEYS[3]) end
return 0
"""
_DROP = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[1], KEYS[3], KEYS[4])
local login = redis.call('get', KEYS[2])
if login and login ~= ARGV[2] then return 1 end
redis.call('set', KEYS[5], '1', 'px', ARGV[3])
return 2
"""
_TAKEN = "return redis.call('del', KEYS[5])"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The shared token, to be used for one call."""

    value: str = field(repr=False)
    after_refusal: bool
    """One before it was refused although it should have lived, and nobody has seen this one taken yet."""


class SharedToken:
    """The access token of one merchant at one QPay.

    One process at a time logs in, and logins start at least `login_spacing_s` apart, whatever became of them: a second
    login kills the first one's token (observed in production). Redis forgetting everything costs one login.
    Shortly before it ends the token is renewed with its refresh token, so that no call finds it dead.
    """

    def __init__(self, shared: Shared, *, login: Login, limits: Limits, now: Callable[[], float]) -> None:
        self._shared = shared
        self._login = login
        self._limits = limits
        self._now = now
        self._keys = [shared.key(name) for name in ("token", "login", "refresh", "fresh", "refused")]

    async def current(self) -> Token:
        """Return the shared token; log in where there is none, or wait for whoever is logging in.

        Must run under a deadline.

        Raises:
            GatewayHeldBackError: the last login is too recent, or Redis does not answer.
            GatewayBusyError: QPay gave no usable answer to the login.
            GatewayUnauthorisedError: QPay refused our credentials.
            GatewayRefusedError: QPay refused the login otherwise.

        """
        owner = uuid4().hex
        spacing_ms = round(self._limits.login_spacing_s * 1000)
        while True:
            found, value, refresh, number = await self._run(_CURRENT_OR_TURN, owner, spacing_ms)
            match found:
                case "token":
                    return Token(value=value, after_refusal=bool(number))
                case "renew":
                    return await self._renew(owner, Token(value=value, after_refusal=bool(number)), refresh=refresh)
                case "turn":
                    return await self._log_in(owner)
            if value in {_SUCCEEDED, _REFUSED, _FAILED}:
                raise GatewayHeldBackError(
                    f"the last login at QPay {value} and the next must wait", retry_after_s=max(0, number) / 1000
                )
            await anyio.sleep(POLL_S)

    async def replace(self, refused: str) -> Token:
        """Return another token than `refused`, which QPay has just answered 401 to.

        It is dropped only if it is still the shared one, atomically; one that another process has put there since is
        taken as it is. Errors as in `current`.
        """
        too_early = 2
        if await self._run(_DROP, refused, _SUCCEEDED, round(REFUSAL_KEPT_S * 1000)) == too_early:
            log.warning("qpay.token_refused", reason="QPay refused the token of our last login before its end")
        return await self.current()

    async def taken(self) -> bool:
        """Remember that QPay took a token after it had refused one before its end; True for the first who tells."""
        try:
            return bool(await self._run(_TAKEN))
        except GatewayHeldBackError:
            return False  # whoever calls next tells

    async def _log_in(self, owner: str) -> Token:
        try:
            with anyio.fail_after(self._login_limit_s()):
                tokens = await self._login.with_password(now_s=self._now())
        except (GatewayUnauthorisedError, GatewayRefusedError) as error:
            await self._end(owner, _REFUSED, error)
            raise
        except GatewayHeldBackError as error:
            await self._end(owner, _FAILED, error)
            raise
        except (GatewayError, TimeoutError) as error:
            left_s = await self._end(owner, _FAILED, error)
            asked_s = getattr(error, "retry_after_s", None) or 0.0
            why = error.message if isinstance(error, GatewayError) else "it took too long"
        else:
            log.info("qpay.logged_in", lifetime_s=round(tokens.living_s))
            return await self._store(owner, tokens)
        # The login is in doubt, the call that it was for is not: it was never sent.
        raise GatewayBusyError(f"the login at QPay got no usable answer: {why}", retry_after_s=max(left_s, asked_s))

    async def _renew(self, owner: str, old: Token, *, refresh: str) -> Token:
        """Return a new token for the refresh token, or the old one, which should live, where that does not work."""
        try:
            with anyio.fail_after(self._login_limit_s()):
                tokens = await self._login.with_refresh_token(refresh, now_s=self._now())
        except (GatewayUnauthorisedError, GatewayRefusedError) as error:
            log.warning("qpay.refresh_refused", error=type(error).__name__)
            await self._run(_FORGET_REFRESH, owner)
            return old
        except (GatewayError, TimeoutError) as error:
            await self._end(owner, _FAILED, error)
            return old
        log.info("qpay.refreshed", lifetime_s=round(tokens.living_s))
        return await self._store(owner, tokens)

    async def _store(self, owner: str, tokens: Tokens) -> Token:
        living_ms = max(1, round(tokens.living_s * 1000))
        fresh_ms = max(1, living_ms - round(min(RENEW_BEFORE_S, tokens.living_s / 10) * 1000))
        value, after_refusal = await self._run(
            _STORE, owner, tokens.access, living_ms, _SUCCEEDED, tokens.refresh or "", fresh_ms
        )
        return Token(value=value, after_refusal=bool(after_refusal))

    def _login_limit_s(self) -> float:
        """Tell how long the login may take: a tenth of the caller's time is kept for telling Redis how it ended."""
        left_s = anyio.current_effective_deadline() - anyio.current_time()
        return min(self._limits.login_timeout_s, 0.9 * left_s)

    async def _end(self, owner: str, how: str, error: Exception) -> float:
        """Mark our login as ended without a token; return the seconds until the next may start."""
        log.warning("qpay.login_failed", outcome=how, error=type(error).__name__)
        return max(0.0, float(await self._run(_END, owner, how)) / 1000)

    async def _run(self, script: str, *args: str | int) -> Any:
        return await self._shared.run(script, keys=self._keys, args=args)
