"""The merchant's application over HTTP: one POST, no redirect, never longer and never more bytes than allowed."""

import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import anyio
import httpcore
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from adapters.merchant.address import UnreachableAddressError
from adapters.merchant.network import LookedAtNetwork, Resolve, resolve
from domain.delivery import Reply, TooLateError

BODY_MAX_BYTES = 16_384
"""So much of an answer is read, to be shown in part where it is an error. Whoever sends more is hung up on."""

BODY_SHOWN_CHARS = 200

BODY_WITHIN_S = 2.0
"""The status is the answer; no longer is waited for the rest of it."""

KEEPALIVE_S = 4.0
"""Shorter than common servers keep an idle connection (5 s), so that none is written to that is being closed."""

CONNECTIONS_MAX = 100
"""More than a worker has threads for it."""


class MerchantApplication:
    """Takes notifications at one URL. Calls block and may come from many threads.

    They run on one event loop in a background thread, as a time limit that holds against a server that drips needs. No
    redirect is followed and no proxy of the environment used. `SSL_CERT_FILE` is heeded, for certificates of one's own.
    """

    def __init__(
        self,
        url: str,
        *,
        allow_private: bool,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        parsed = httpx.URL(url)
        self._url = httpcore.URL(
            scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
        )
        self._network = LookedAtNetwork(
            allow_private=allow_private, encrypted=parsed.scheme == "https", resolve=resolve
        )
        self._ssl_context = ssl_context
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._running: tuple[BlockingPortal, httpcore.AsyncConnectionPool] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread, after the last call has returned. Idempotent."""
        with self._lock:
            self._running = None
            self._stack.close()

    def post(self, body: bytes, *, headers: Mapping[str, str], until_s: float) -> Reply:
        """Send it, and return what came of it: also that nobody could be reached, or answered in time.

        `until_s` is a time of `time.monotonic()`: when it has come nothing more is sent, and nothing waited for.

        Raises:
            TooLateError: it had come before anything was sent.

        """
        portal, pool = self._started()
        return portal.call(self._post, pool, body, dict(headers), until_s)

    def reach(self, *, until_s: float) -> str | None:
        """Connect, with TLS where the address says https, and send nothing; return why that did not work.

        `until_s` is a time of `time.monotonic()`.
        """
        portal, _ = self._started()
        return portal.call(self._reach, until_s)

    def _started(self) -> tuple[BlockingPortal, httpcore.AsyncConnectionPool]:
        with self._lock:
            if self._running is None:
                with ExitStack() as stack:
                    portal = stack.enter_context(start_blocking_portal("asyncio", name="notify"))
                    pool = httpcore.AsyncConnectionPool(
                        ssl_context=self._ssl_context or httpx.create_ssl_context(),
                        max_connections=CONNECTIONS_MAX,
                        max_keepalive_connections=CONNECTIONS_MAX,
                        keepalive_expiry=KEEPALIVE_S,
                        network_backend=self._network,
                    )
                    stack.enter_context(portal.wrap_async_context_manager(pool))
                    self._running = portal, pool
                    self._stack = stack.pop_all()
            return self._running

    async def _reach(self, until_s: float) -> str | None:
        host = self._url.host.decode("ascii")
        port = self._url.port or (443 if self._url.scheme == b"https" else 80)
        try:
            with anyio.fail_after(until_s - anyio.current_time()):
                stream = await self._network.connect_tcp(host, port)
                try:
                    if self._url.scheme == b"https":
                        context = self._ssl_context or httpx.create_ssl_context()
                        stream = await stream.start_tls(context, server_hostname=host)
                finally:
                    await stream.aclose()
        except UnreachableAddressError as error:
            return str(error)
        except (TimeoutError, httpcore.NetworkError, httpcore.TimeoutException) as error:
            return _why(error, sent=False)
        return None

    async def _post(
        self, pool: httpcore.AsyncConnectionPool, body: bytes, headers: dict[str, str], until_s: float
    ) -> Reply:
        # The event loop's clock is time.monotonic() too: a process that was stopped meanwhile finds its time over.
        if anyio.current_time() >= until_s:
            raise TooLateError
        sent = False
        answered: Reply | None = None

        async def trace(event: str, _info: Mapping[str, Any]) -> None:
            nonlocal sent
            if event.endswith("send_request_headers.started"):
                if anyio.current_time() >= until_s:
                    raise TooLateError
                sent = True

        def tell(status: int) -> None:
            nonlocal answered
            answered = Reply(status=status, reason=_reason(status, b""))

        try:
            with anyio.fail_after(until_s - anyio.current_time()):
                return await self._exchange(pool, body, headers, trace, tell)
        except UnreachableAddressError as error:
            return Reply(status=None, reason=f"not called: {error}")
        except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            if answered is not None:  # the status is the answer, whatever became of the rest
                return answered
            return Reply(status=None, reason=_why(error, sent=sent))

    async def _exchange(
        self,
        pool: httpcore.AsyncConnectionPool,
        body: bytes,
        headers: dict[str, str],
        trace: Callable[[str, Mapping[str, Any]], Awaitable[None]],
        tell: Callable[[int], None],
    ) -> Reply:
        async with pool.stream(
            "POST", self._url, headers=list(headers.items()), content=body, extensions={"trace": trace}
        ) as response:
            status: int = response.status
            tell(status)
            beginning = bytearray()
            with anyio.move_on_after(BODY_WITHIN_S):
                async for chunk in response.aiter_stream():
                    beginning += chunk
                    if len(beginning) > BODY_MAX_BYTES:
                        break
            found = {name.lower(): value for name, value in response.headers}
            return Reply(
                status=status,
                reason=_reason(status, bytes(beginning)),
                retry_after_s=_retry_after_s(found.get(b"retry-after", b"")),
            )


def _why(error: Exception, *, sent: bool) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time" if sent else "no connection in time"
    if isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout):
        return f"cannot be reached: {_text(str(error)) or type(error).__name__}"
    return f"the connection was lost ({type(error).__name__})"


def _reason(status: int, beginning: bytes) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"answered {status}: redirects are not followed"
    said = _text(beginning.decode(errors="replace"))
    return f"answered {status}" + (f": {said}" if said else "")


def _text(text: str) -> str:
    """Return the beginning of a text as one line that no terminal obeys."""
    shown = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * BODY_SHOWN_CHARS]).split())
    return shown[:BODY_SHOWN_CHARS]


def _retry_after_s(value: bytes) -> float | None:
    """Read Retry-After: seconds, or a date; what cannot be read says nothing."""
    text = value.decode("ascii", errors="replace").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
