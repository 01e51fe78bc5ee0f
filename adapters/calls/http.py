"""One bounded HTTP exchange: connected or not, sent or not, answered or not, and never more bytes than allowed."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio
import httpx
import structlog

from adapters.calls.answers import Answer, read_retry_after
from adapters.calls.counterpart import Counterpart
from adapters.calls.limits import CallLimits
from adapters.calls.pace import Pace
from domain.gateway import GatewayBusyError, GatewayError, GatewayOutcomeUnknownError, GatewayUnreadableError

CONNECTIONS_MAX = 20
"""Counts connections of one gateway object: more than a worker has threads."""

KEEPALIVE_S = 5.0
"""Counts how long an idle connection is kept. Short, because a create that is sent into a connection which the server
closes at that moment has an unknown outcome; 5 s is the shortest that common servers keep one (uvicorn)."""

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Spending:
    """What one public call may still read, and whether the gateway may have acted without having answered."""

    bytes_left: int
    in_doubt: bool = False
    """From the first byte of a request until its whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `path` begins with a slash and is quoted; `body` goes as JSON, None sends none."""

    endpoint: str
    """How logs and messages call it: without ids."""
    method: str
    path: str
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What is sent and must not be seen in messages: a token, or a callback URL that carries one in its path."""


def open_client(limits: CallLimits) -> httpx.AsyncClient:
    """Make the client whose connections all calls share; to be made and closed on one event loop.

    TLS is verified. Redirects are not followed: no gateway has any, and a password must not go where one points.
    The environment is not trusted (`trust_env`): a stray `HTTPS_PROXY` must not decide where a password goes and
    whose answer is evidence of money. httpx's own time limits bound a read, not a drip of bytes, so only the
    connect has one; the whole call is bounded by whoever runs it.
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=limits.connect_timeout_s),
        limits=httpx.Limits(
            max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=KEEPALIVE_S
        ),
        follow_redirects=False,
        trust_env=False,
        # Compressed bodies are not asked for: a small one can unpack to gigabytes.
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tootsoo"},
    )


CallObserver = Callable[[str, int | str, float], None]
"""Hears of each call: its endpoint, its status or why there is none, and how many seconds it took. Must not raise."""

UNREACHABLE = "unreachable"
"""Nothing was sent."""
LOST = "lost"
"""The connection ended before the answer did."""
UNREADABLE = "unreadable"
"""The answer is too large, or compressed."""
TIMED_OUT = "timed_out"
"""Whoever asked has stopped waiting."""


def unobserved(_endpoint: str, _status: int | str, _duration_s: float) -> None:
    """Let a call go by."""


class Http:
    """Exchanges with one gateway, on one client, each when it is its turn at the `pace`.

    `now` gives the UNIX time in seconds, for Retry-After dates.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        counterpart: Counterpart,
        pace: Pace,
        now: Callable[[], float],
        observe: CallObserver = unobserved,
    ) -> None:
        self._client = client
        self._pace = pace
        self._counterpart = counterpart
        self._title = counterpart.title
        self._now = now
        self._observe = observe

    async def exchange(self, request: Request, *, spending: Spending) -> Answer:
        """Send one request and read its whole answer, whatever its status. Bounded by the caller's deadline.

        Raises:
            GatewayHeldBackError: our own limit on calls; nothing was sent.
            GatewayBusyError: not connected; nothing was sent.
            GatewayOutcomeUnknownError: the connection was lost after sending began.
            GatewayUnreadableError: the answer exceeds `spending.bytes_left`, or is compressed although not asked to.

        """
        await self._pace.turn()
        started_s = anyio.current_time()
        status: int | str = TIMED_OUT
        try:
            answer = await self._send(request, spending=spending)
        except (httpx.HTTPError, GatewayUnreadableError) as error:
            failure = _failure(self._counterpart, request, error, in_doubt=spending.in_doubt)
            status = _why_none(error, in_doubt=spending.in_doubt)
            log.warning(
                "gateway.call_failed",
                gateway=self._counterpart.name,
                endpoint=request.endpoint,
                error=type(error).__name__,
                cause=_cause_of(error),
                in_doubt=spending.in_doubt,
                duration_ms=_since_ms(started_s),
            )
        else:
            status = answer.status
            log.info(
                "gateway.call",
                gateway=self._counterpart.name,
                endpoint=request.endpoint,
                status=answer.status,
                duration_ms=_since_ms(started_s),
            )
            return answer
        finally:
            self._observe(request.endpoint, status, anyio.current_time() - started_s)
        raise failure  # outside of the except, so that the request and its headers are not in the chain

    async def _send(self, request: Request, *, spending: Spending) -> Answer:
        answering: httpx.Response | None = None

        async def trace(event: str, _info: Mapping[str, object]) -> None:
            if event.endswith("send_request_headers.started"):
                spending.in_doubt = True
            if event.endswith("response_closed.started") and answering is not None and _more_came(answering):
                await answering.extensions["network_stream"].aclose()
                log.warning("gateway.more_than_an_answer", gateway=self._counterpart.name, endpoint=request.endpoint)

        async with self._client.stream(
            request.method,
            self._counterpart.api_url + request.path,
            json=request.body,
            headers=request.headers,
            extensions={"trace": trace},
        ) as response:
            answering = response
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise GatewayUnreadableError(f"{self._title}'s answer to {request.endpoint} is compressed, unasked")
            body = bytearray()
            async with aclosing(response.aiter_raw()) as chunks:  # type: ignore[type-var]  # a generator, typed as iterator
                async for chunk in chunks:
                    body += chunk
                    if len(body) > spending.bytes_left:
                        raise GatewayUnreadableError(f"{self._title}'s answer to {request.endpoint} is too large")
        spending.in_doubt = False
        spending.bytes_left -= len(body)
        return Answer(
            status=response.status_code,
            body=bytes(body),
            retry_after_s=read_retry_after(response.headers.get("Retry-After"), now_s=self._now()),
            secrets=request.secrets,
        )


def _more_came(response: httpx.Response) -> bool:
    """Tell whether bytes came behind the answer, before its connection is free for the next request.

    httpcore keeps them, and takes them for the answer to that request: what is told of one QR would be read as told of
    another. Neither it nor httpx shows them (httpcore 1.0), so they are looked for where h11 has them; where that is
    not found any more, every connection is taken for spoilt.
    """
    place: object = response.stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state", "trailing_data"):
        place = getattr(place, name, None)
    return not (isinstance(place, tuple) and place[0] == b"")


def _failure(
    counterpart: Counterpart, request: Request, error: httpx.HTTPError | GatewayError, *, in_doubt: bool
) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    kind = _cause_of(error)
    if in_doubt:
        return GatewayOutcomeUnknownError(
            f"the connection to {counterpart.title} was lost during {request.endpoint} ({kind})"
        )
    return GatewayBusyError(f"{counterpart.title} cannot be reached for {request.endpoint} ({kind})")


def _cause_of(error: BaseException) -> str:
    """Name the kind of what is at the bottom of it, such as a certificate: texts may carry addresses and headers."""
    while True:
        several = error.exceptions if isinstance(error, BaseExceptionGroup) else ()  # one for each address of a host
        below = several[0] if several else error.__cause__ or error.__context__
        if below is None:
            return type(error).__name__
        error = below


def _why_none(error: Exception, *, in_doubt: bool) -> str:
    if isinstance(error, GatewayUnreadableError):
        return UNREADABLE
    return LOST if in_doubt else UNREACHABLE


def _since_ms(started_s: float) -> int:
    return round((anyio.current_time() - started_s) * 1000)
