"""The line to one gateway: an event loop and its connections, where blocking calls become bounded asynchronous ones."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adapters.calls.answers import Answer
from adapters.calls.breaker import Breaker
from adapters.calls.counterpart import Counterpart
from adapters.calls.http import CallObserver, Http, Request, Spending, open_client, unobserved
from adapters.calls.limits import CallLimits
from adapters.calls.pace import Pace
from adapters.calls.shared import Shared
from domain.gateway import GatewayBusyError, GatewayOutcomeUnknownError

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """What lives on the event loop, and is used from there alone."""

    http: Http
    shared: Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The calls of one public call, which share one deadline and one allowance of bytes."""

    connections: Connections
    spending: Spending

    async def exchange(self, request: Request) -> Answer:
        """Send one request and return its answer, whatever its status; errors as in `Http.exchange`."""
        return await self.connections.http.exchange(request, spending=self.spending)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    portal: BlockingPortal
    connections: Connections
    breaker: Breaker


class Line:
    """One background thread with one event loop, started by the first call; connections are kept between calls.

    Made for many threads at once. `close` after the last call has returned. Breaker, pace and whatever else is shared
    lie in the Redis at `redis_url`; `now` gives the UNIX time in seconds; `observe` hears of every HTTP call.

    Raises:
        ValueError: `redis_url` is no Redis address; it is not repeated in the message.

    """

    def __init__(
        self,
        counterpart: Counterpart,
        *,
        redis_url: str,
        limits: CallLimits,
        now: Callable[[], float],
        observe: CallObserver = unobserved,
    ) -> None:
        try:
            parse_url(redis_url)
        except ValueError:
            raise ValueError("redis_url must be a redis://, rediss:// or unix:// address") from None
        self._counterpart = counterpart
        self._redis_url = redis_url
        self._limits = limits
        self._now = now
        self._observe = observe
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
            RuntimeError: the line is closed.

        """
        running = self._started()
        calls = Calls(connections=running.connections, spending=Spending(bytes_left=self._limits.body_max_bytes))
        return running.portal.call(self._guarded, work, calls, running.breaker, timeout_s)

    def consult(self, ask: Callable[[Connections], Awaitable[T]]) -> T:
        """Run what asks Redis alone, and block until it is done: the breaker is for calls to the gateway."""
        running = self._started()
        return running.portal.call(ask, running.connections)

    def close(self) -> None:
        """Close the connections and end the thread. Idempotent."""
        with self._lock:
            self._closed = True
            self._running = None
            self._stack.close()

    def _started(self) -> _Running:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the {self._counterpart.title} gateway is closed")
            if self._running is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(
                        start_blocking_portal(
                            "asyncio", backend_options={"use_uvloop": True}, name=self._counterpart.name
                        )
                    )
                    self._running = stack.enter_context(portal.wrap_async_context_manager(self._connected(portal)))
                    self._stack = stack.pop_all()
            return self._running

    @asynccontextmanager
    async def _connected(self, portal: BlockingPortal) -> AsyncIterator[_Running]:
        async with open_client(self._limits) as client, self._redis() as redis:
            shared = Shared(redis, counterpart=self._counterpart)
            pace = Pace(shared, limits=self._limits)
            http = Http(client, counterpart=self._counterpart, pace=pace, now=self._now, observe=self._observe)
            yield _Running(
                portal=portal,
                connections=Connections(http=http, shared=shared),
                breaker=Breaker(shared, limits=self._limits),
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

    async def _guarded(
        self, work: Callable[[Calls], Awaitable[T]], calls: Calls, breaker: Breaker, timeout_s: float
    ) -> T:
        deadline_s = anyio.current_time() + timeout_s
        admission = await breaker.admit()
        try:
            result = await self._bounded(work, calls, timeout_s=timeout_s, deadline_s=deadline_s)
        except BaseException as error:
            await breaker.note(admission, error)
            raise
        await breaker.note(admission, None)
        return result

    async def _bounded(
        self, work: Callable[[Calls], Awaitable[T]], calls: Calls, *, timeout_s: float, deadline_s: float
    ) -> T:
        try:
            with anyio.fail_after(deadline_s - anyio.current_time()):
                return await work(calls)
        except TimeoutError:
            in_doubt = calls.spending.in_doubt
        title = self._counterpart.title
        log.warning("gateway.timed_out", gateway=self._counterpart.name, timeout_s=timeout_s, in_doubt=in_doubt)
        if in_doubt:
            raise GatewayOutcomeUnknownError(f"{title} did not answer within {timeout_s:g} s")
        raise GatewayBusyError(f"no call to {title} could be sent within {timeout_s:g} s")
