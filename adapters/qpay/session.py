"""The event loop of one gateway object, with its connections: where blocking calls become bounded asynchronous ones."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.errors import UNAUTHORISED, Answer, error_from, is_success
from adapters.qpay.http import CallObserver, Http, Request, Spending, open_client, unobserved
from adapters.qpay.token import SharedToken
from domain.gateway import GatewayBusyError, GatewayOutcomeUnknownError

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Calls:
    """The authorised calls of one public call, which share one deadline and one allowance of bytes."""

    http: Http
    token: SharedToken
    spending: Spending

    async def call(self, request: Request) -> Answer:
        """Send the request with the shared token and return the 2xx answer.

        A 401 means that QPay did not act: the token is replaced once and the request repeated once.

        Raises:
            GatewayError: what `error_from`, `Http.exchange` and `SharedToken.current` raise.

        """
        token = await self.token.current()
        answer = await self._exchange(request, token)
        if answer.status == UNAUTHORISED:
            answer = await self._exchange(request, await self.token.replace(token))
        if not is_success(answer.status):
            raise error_from(answer)
        return answer

    async def _exchange(self, request: Request, token: str) -> Answer:
        return await self.http.exchange(request, authorization=f"Bearer {token}", spending=self.spending)


class Session:
    """One background thread with one event loop, started by the first call; connections are kept between calls.

    Made for many threads at once. `close` after the last call has returned.
    """

    def __init__(
        self,
        config: QPayConfig,
        *,
        redis_url: str,
        limits: Limits,
        now: Callable[[], float],
        observe: CallObserver = unobserved,
    ) -> None:
        self._config = config
        self._redis_url = redis_url
        self._limits = limits
        self._now = now
        self._observe = observe
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._running: tuple[BlockingPortal, Http, SharedToken] | None = None
        self._closed = False

    def run(self, work: Callable[[Calls], Awaitable[T]], *, timeout_s: float) -> T:
        """Run `work` and block until it is done, at most `timeout_s` in all.

        Raises:
            GatewayOutcomeUnknownError: time ran out while a request was unanswered.
            GatewayBusyError: time ran out before any was sent.
            RuntimeError: the session is closed.

        """
        portal, http, token = self._started()
        calls = Calls(http, token, Spending(bytes_left=self._limits.body_max_bytes))
        return portal.call(_bounded, work, calls, timeout_s)

    def close(self) -> None:
        """Close the connections and end the thread. Idempotent."""
        with self._lock:
            self._closed = True
            self._running = None
            self._stack.close()

    def _started(self) -> tuple[BlockingPortal, Http, SharedToken]:
        with self._lock:
            if self._closed:
                raise RuntimeError("the QPay gateway is closed")
            if self._running is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(start_blocking_portal("asyncio", name="qpay"))
                    http, token = stack.enter_context(portal.wrap_async_context_manager(self._connections()))
                    self._stack = stack.pop_all()
                self._running = portal, http, token
            return self._running

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[tuple[Http, SharedToken]]:
        async with open_client(self._limits) as client, self._redis() as redis:
            http = Http(client, config=self._config, now=self._now, observe=self._observe)
            yield http, SharedToken(redis, http=http, config=self._config, limits=self._limits, now=self._now)

    def _redis(self) -> Redis:
        return Redis.from_url(
            self._redis_url,
            decode_responses=True,
            socket_timeout=self._limits.redis_timeout_s,
            socket_connect_timeout=self._limits.redis_timeout_s,
            # A claim whose answer was lost must not be repeated: it would wait for itself.
            retry=Retry(NoBackoff(), 0),
        )


async def _bounded(work: Callable[[Calls], Awaitable[T]], calls: Calls, timeout_s: float) -> T:
    try:
        with anyio.fail_after(timeout_s):
            return await work(calls)
    except TimeoutError:
        in_doubt = calls.spending.in_doubt
    log.warning("qpay.timed_out", timeout_s=timeout_s, in_doubt=in_doubt)
    if in_doubt:
        raise GatewayOutcomeUnknownError(f"QPay did not answer within {timeout_s:g} s")
    raise GatewayBusyError(f"no call to QPay could be sent within {timeout_s:g} s")
