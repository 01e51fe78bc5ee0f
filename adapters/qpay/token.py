"""The one live token of a merchant, shared by all processes through Redis, and who may log in for it, and when."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.errors import UNAUTHORISED, error_from, is_success
from adapters.qpay.http import Http, Request, Spending
from adapters.qpay.wire import TokenBody, read_body
from domain.gateway import GatewayBusyError, GatewayError, GatewayRefusedError, GatewayUnauthorisedError

LIFETIME_MAX_S = 86_400.0
"""Counts a day, which is how long QPay's tokens live (observed); whatever says more is misread."""

LIFETIME_MARGIN_S = 60.0
"""Counts what is taken off, so that a call with a token from here ends before the token does."""

ABSOLUTE_FROM = 10**9
"""Below this UNIX time (2001) `expires_in` can only be a duration."""

POLL_S = 0.05
"""Counts the wait between looks for a token that another process is fetching."""

FORBIDDEN = 403

_SUCCEEDED, _REFUSED, _FAILED = "succeeded", "was refused", "failed"

# The login key is lock and spacing at once: who sets it may log in; it is never deleted, it expires. While the login
# runs it holds the owner's id, afterwards how the login ended. The token is looked at in the same atomic step.
_CURRENT_OR_TURN = """
local token = redis.call('get', KEYS[1])
if token then return {'token', token, 0} end
if redis.call('set', KEYS[2], ARGV[1], 'nx', 'px', ARGV[2]) then return {'turn', '', 0} end
return {'wait', redis.call('get', KEYS[2]), redis.call('pttl', KEYS[2])}
"""
_STORE = """
if redis.call('get', KEYS[2]) == ARGV[1] then
  redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
  redis.call('set', KEYS[2], ARGV[4], 'keepttl')
else
  redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3], 'nx')
end
return redis.call('get', KEYS[1])
"""
_END = """
if redis.call('get', KEYS[2]) == ARGV[1] then redis.call('set', KEYS[2], ARGV[2], 'keepttl') end
return redis.call('pttl', KEYS[2])
"""
_DROP = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

log = structlog.get_logger()


def lifetime_s(expires_in: int, *, now_s: float) -> float:
    """Tell how long a token issued now may be used.

    `expires_in` is an absolute UNIX time in seconds (QPay v2 workbook, 2026-03; observed); below `ABSOLUTE_FROM` it is
    a duration. At most `LIFETIME_MAX_S`, less a tenth but no more than `LIFETIME_MARGIN_S`. A token that seems to have
    expired before it came speaks of a clock that is off: it gets `LIFETIME_MARGIN_S`.
    """
    told_s = min(expires_in - now_s if expires_in >= ABSOLUTE_FROM else float(expires_in), LIFETIME_MAX_S)
    return told_s - min(told_s / 10, LIFETIME_MARGIN_S) if told_s > 0 else LIFETIME_MARGIN_S


class SharedToken:
    """The access token of one merchant at one QPay.

    One process at a time logs in, and logins start at least `login_spacing_s` apart, whatever became of them: a second
    login kills the first one's token (observed in production). Redis forgetting everything costs one login.
    """

    def __init__(
        self, redis: Redis, *, http: Http, config: QPayConfig, limits: Limits, now: Callable[[], float]
    ) -> None:
        self._http = http
        self._config = config
        self._limits = limits
        self._now = now
        merchant = hashlib.sha256(f"{config.api_url}\n{config.username}".encode()).hexdigest()[:32]
        self._keys = [f"tootsoo:qpay:token:{merchant}", f"tootsoo:qpay:login:{merchant}"]
        self._scripts = {each: redis.register_script(each) for each in (_CURRENT_OR_TURN, _STORE, _END, _DROP)}

    async def current(self) -> str:
        """Return the shared token; log in where there is none, or wait for whoever is logging in.

        Must run under a deadline.

        Raises:
            GatewayBusyError: the last login is too recent, or it failed, or Redis does not answer.
            GatewayUnauthorisedError: QPay refused our credentials.
            GatewayRefusedError: QPay refused the login otherwise.

        """
        owner = uuid4().hex
        spacing_ms = round(self._limits.login_spacing_s * 1000)
        while True:
            found, value, left_ms = await self._run(_CURRENT_OR_TURN, owner, spacing_ms)
            if found == "token":
                return str(value)
            if found == "turn":
                return await self._log_in(owner)
            if value in {_SUCCEEDED, _REFUSED, _FAILED}:
                raise GatewayBusyError(
                    f"the last login at QPay {value} and the next must wait", retry_after_s=left_ms / 1000
                )
            await anyio.sleep(POLL_S)

    async def replace(self, refused: str) -> str:
        """Return another token than `refused`, which QPay has just answered 401 to.

        It is dropped only if it is still the shared one, atomically; one that another process has put there since is
        taken as it is. Errors as in `current`.
        """
        await self._run(_DROP, refused)
        return await self.current()

    async def _log_in(self, owner: str) -> str:
        try:
            with anyio.fail_after(self._login_limit_s()):
                body = await self._ask_for_token()
        except (GatewayUnauthorisedError, GatewayRefusedError) as error:
            await self._end(owner, _REFUSED, error)
            raise
        except (GatewayError, TimeoutError) as error:
            left_s = await self._end(owner, _FAILED, error)
            asked_s = getattr(error, "retry_after_s", None) or 0.0
        else:
            living_s = lifetime_s(body.expires_in, now_s=self._now())
            log.info("qpay.logged_in", lifetime_s=round(living_s))
            return str(await self._run(_STORE, owner, body.access_token, max(1, round(living_s * 1000)), _SUCCEEDED))
        # The login is in doubt, the call that it was for is not: it was never sent.
        raise GatewayBusyError("the login at QPay got no usable answer", retry_after_s=max(left_s, asked_s))

    async def _ask_for_token(self) -> TokenBody:
        password = self._config.password.get_secret_value()
        basic = base64.b64encode(f"{self._config.username}:{password}".encode()).decode()
        request = Request(endpoint="POST auth/token", method="POST", path="/auth/token", secrets=(password,))
        answer = await self._http.exchange(
            request, authorization=f"Basic {basic}", spending=Spending(bytes_left=self._limits.body_max_bytes)
        )
        if answer.status in {UNAUTHORISED, FORBIDDEN}:
            raise GatewayUnauthorisedError(error_from(answer).message)
        if not is_success(answer.status):
            raise error_from(answer)
        return read_body(TokenBody, answer.body)

    def _login_limit_s(self) -> float:
        """Tell how long the login may take: a tenth of the caller's time is kept for telling Redis how it ended."""
        left_s = anyio.current_effective_deadline() - anyio.current_time()
        return min(self._limits.login_timeout_s, 0.9 * left_s)

    async def _end(self, owner: str, how: str, error: Exception) -> float:
        """Mark our login as ended without a token; return the seconds until the next may start."""
        log.warning("qpay.login_failed", outcome=how, error=type(error).__name__)
        return max(0.0, float(await self._run(_END, owner, how)) / 1000)

    async def _run(self, script: str, *args: str | int) -> Any:
        try:
            return await self._scripts[script](keys=self._keys, args=args)
        except (RedisError, OSError) as error:
            kind = type(error).__name__  # its text may carry the address
        raise GatewayBusyError(f"Redis, which holds the QPay token, does not answer ({kind})")
