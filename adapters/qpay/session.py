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

from adapters.qpay.breaker import Breaker
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.errors import UNAUTHORISED, Answer, error_from, is_success
from adapters.qpay.http import CallObserver, Http, Request, Spending, open_client, unobserved
from adapters.qpay.list_zone import ListZone
from adapters.qpay.login import Login
from adapters.qpay.pace import Pace
from adapters.qpay.shared import Shared
from adapters.qpay.token import SharedToken, Token
from domain.gateway import GatewayBusyError, GatewayOutcomeUnknownError

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class _News:
    """What calls came upon that somebody should be told of."""

    displaced: bool = False
    """A token was refused before its end, and the next one was taken: somebody else has logged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """What lives on the event loop."""

    portal: BlockingPortal
    http: Http
    token: SharedToken
    breaker: Breaker
    list_zone: ListZone


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The authorised calls of one public call, which share one deadline and one allowance of bytes."""

    http: Http
    token: SharedToken
    spending: Spending
    news: _News

    async def call(self, request: Request) -> Answer:
        """Send the request with the shared token and return the 2xx answer.

        A 401 means that QPay did not act: the token is replaced once and the request repeated once.

        Raises:
            GatewayError: what `error_from`, `Http.exchange` and `SharedToken.current` raise.

        """
        token = await self.token.current()
        answer = await self._exchange(request, token)
        if answer.status == UNAUTHORISED:
            token = await self.token.replace(token.value)
            answer = await self._exchange(request, token)
        if token.after_refusal and answer.status != UNAUTHORISED and await self.token.taken():
            self.news.displaced = True
        if not is_success(answer.status):
            raise error_from(answer)
        return answer

    async def _exchange(self, request: Request, token: Token) -> Answer:
        return await self.http.exchange(request, authorization=f"Bearer {token.value}", spending=self.spending)


class Session:
    """One background thread with one event loop, started by the first call; connections are kept between calls.

    Made for many threads at once. `close` after the last call has returned. `on_displaced` is called, in the thread of
    a call and after it, when it is plain that somebody else logs in with our credentials.
    """

    def __init__(
        self,
        config: QPayConfig,
        *,
        redis_url: str,
        limits: Limits,
        now: Callable[[], float],
        on_displaced: Callable[[], object] | None,
        observe: CallObserver = unobserved,
    ) -> None:
        self._config = config
        self._redis_url = redis_url
        self._limits = limits
        self._now = now
        self._observe = observe
        self._on_displaced = on_displaced
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._running: _Running | None = None
        self._closed = False

    def run(self, work: Callable[[Calls], Awaitable[T]], *, timeout_s: float) -> T:
        """Run `work` and block until it is done, at most `timeout_s` and two answers of Redis in all.

        Raises:
            GatewayHeldBackError: the breaker is open, or Redis does not answer.
            GatewayOutcomeUnknownError: time ran out while a request was unanswered.
            GatewayBusyError: time ran out before any was sent.
            RuntimeError: the session is closed.

        """
        running = self._started()
        calls = Calls(
            http=running.http,
            token=running.token,
            spending=Spending(bytes_left=self._limits.body_max_bytes),
            news=_News(),
        )
        try:
            return running.portal.call(_guarded, work, calls, running.breaker, timeout_s)
        finally:
            if calls.news.displaced:
                self._tell_displaced()

    def consult(self, ask: Callable[[ListZone], Awaitable[T]]) -> T:
        """Run what asks Redis alone, and block until it is done: the breaker is for calls to QPay."""
        running = self._started()
        return running.portal.call(ask, running.list_zone)

    def close(self) -> None:
        """Close the connections and end the thread. Idempotent."""
        with self._lock:
            self._closed = True
            self._running = None
            self._stack.close()

    def _tell_displaced(self) -> None:
        log.warning("qpay.credentials_used_elsewhere")
        if self._on_displaced is None:
            return
        try:
            self._on_displaced()
        except Exception:
            log.exception("qpay.not_told", consequence="the next time that it is noticed it is told again")

    def _started(self) -> _Running:
        with self._lock:
            if self._closed:
                raise RuntimeError("the QPay gateway is closed")
            if self._running is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(start_blocking_portal("asyncio", name="qpay"))
                    self._running = stack.enter_context(portal.wrap_async_context_manager(self._connections(portal)))
                    self._stack = stack.pop_all()
            return self._running

    @asynccontextmanager
    async def _connections(self, portal: BlockingPortal) -> AsyncIterator[_Running]:
        async with open_client(self._limits) as client, self._redis() as redis:
            shared = Shared(redis, config=self._config)
            pace = Pace(shared, limits=self._limits)
            http = Http(client, config=self._config, pace=pace, now=self._now, observe=self._observe)
            login = Login(http, config=self._config, limits=self._limits)
            yield _Running(
                portal=portal,
                http=http,
                token=SharedToken(shared, login=login, limits=self._limits, now=self._now),
                breaker=Breaker(shared, limits=self._limits),
                list_zone=ListZone(shared),
            )

    def _redis(self) -> Redis:
        return Redis.from_url(
            self._redis_url,
            decode_responses=True,
            socket_timeout=self._limits.redis_timeout_s,
            socket_connect_timeout=self._limits.redis_timeout_s,
            # A claim whose answer was lost must not be repeated: it would wait for itself.
            retry=Retry(NoBackoff(), 0),
        )


async def _guarded(work: Callable[[Calls], Awaitable[T]], calls: Calls, breaker: Breaker, timeout_s: float) -> T:
    deadline_s = anyio.current_time() + timeout_s
    admission = await breaker.admit()
    try:
        result = await _bounded(work, calls, timeout_s=timeout_s, deadline_s=deadline_s)
    except BaseException as error:
        await breaker.note(admission, error)
        raise
    await breaker.note(admission, None)
    return result


async def _bounded(work: Callable[[Calls], Awaitable[T]], calls: Calls, *, timeout_s: float, deadline_s: float) -> T:
    try:
        with anyio.fail_after(deadline_s - anyio.current_time()):
            return await work(calls)
    except TimeoutError:
        in_doubt = calls.spending.in_doubt
    log.warning("qpay.timed_out", timeout_s=timeout_s, in_doubt=in_doubt)
    if in_doubt:
        raise GatewayOutcomeUnknownError(f"QPay did not answer within {timeout_s:g} s")
    raise GatewayBusyError(f"no call to QPay could be sent within {timeout_s:g} s")
