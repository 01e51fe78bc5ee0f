"""Sending callbacks: in the background, at once, and without showing the secret in their URLs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import structlog

from simulator.book import Book
from simulator.clock import Clock
from simulator.facts import Invoice, Payment, SentCallback
from simulator.loopback import is_loopback

TIMEOUT_S = 5.0
"""For a whole callback, from connecting to the end of the answer."""
KEPT_BODY_BYTES = 1_000
"""So much of an answer is kept; SUCCESS is all that it should be."""

log = structlog.get_logger()


def callback_target(callback_url: str, *, payment_id: str) -> str:
    """Append the payment's id to the merchant's URL, with `?` or `&` as it needs."""
    url = callback_url.partition("#")[0]
    return f"{url}{'&' if '?' in url else '?'}qpay_payment_id={payment_id}"


def masked(url: str) -> str:
    """Show whom a URL calls, without the last segment of its path, which is a secret, and without its query."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "•••"
    origin = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
    return f"{origin}{parsed.path.rstrip('/').rpartition('/')[0]}/•••"


def stays_here(url: str) -> bool:
    """Tell whether a URL calls this machine itself."""
    try:
        return is_loopback(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False


class Callbacks:
    """Sends callbacks from background tasks of the loop that `running` was entered in, and records their outcome.

    It does not try again: whether QPay does is not documented. Targets off this machine are refused unless
    `call_anywhere`.
    """

    def __init__(self, book: Book, *, clock: Clock, call_anywhere: bool) -> None:
        self._book = book
        self._clock = clock
        self._call_anywhere = call_anywhere
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make sending possible; give up what is under way at the end."""
        # A transport, not a client: it logs no URLs, follows no redirects and asks the environment for no proxies.
        # Each callback has its own connection, as they all have at a gateway with many machines.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncHTTPTransport(limits=limits, trust_env=False) as transport:
            self._transport = transport
            try:
                yield
            finally:
                await self.give_up()
                self._transport = None

    def send(self, payment: Payment, invoice: Invoice, *, times: int) -> None:
        """Start sending one payment's callback, `times` times at once, and return at once.

        Raises RuntimeError outside `running`.
        """
        if self._transport is None:
            raise RuntimeError("callbacks are sent only while the application's lifespan runs")
        for attempt in range(1, times + 1):
            task = asyncio.create_task(self._send(self._transport, payment, invoice, attempt=attempt))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def give_up(self) -> None:
        """Cancel what is under way; it is recorded as such."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _send(
        self, transport: httpx.AsyncHTTPTransport, payment: Payment, invoice: Invoice, *, attempt: int
    ) -> None:
        sent_at = self._clock()
        status_code: int | None = None
        body: str | None = None
        error: str | None = "broken off by a mistake of the simulator"
        url = callback_target(invoice.callback_url, payment_id=payment.payment_id)
        try:
            if not (self._call_anywhere or stays_here(url)):
                error = "not sent: the target is not on this machine"
            else:
                async with asyncio.timeout(TIMEOUT_S):
                    status_code, body = await _get(transport, url)
                error = None
        except TimeoutError:
            error = f"no answer within {TIMEOUT_S:g} s"
        except (httpx.TransportError, httpx.InvalidURL) as failure:
            error = type(failure).__name__
        except asyncio.CancelledError:
            error = "given up: the simulator was stopped or reset"
            raise
        finally:
            sent = SentCallback(
                payment_id=payment.payment_id,
                invoice_id=invoice.invoice_id,
                attempt=attempt,
                masked_url=masked(url),
                sent_at=sent_at,
                status_code=status_code,
                body=body,
                error=error,
            )
            self._book.add_callback(sent)
            _tell(sent)


async def _get(transport: httpx.AsyncHTTPTransport, url: str) -> tuple[int, str]:
    timeouts = httpx.Timeout(TIMEOUT_S).as_dict()
    response = await transport.handle_async_request(
        httpx.Request("GET", url, headers={"User-Agent": "qpay-simulator"}, extensions={"timeout": timeouts})
    )
    try:
        body = b""
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= KEPT_BODY_BYTES:
                break
    finally:
        await response.aclose()
    return response.status_code, body[:KEPT_BODY_BYTES].decode(errors="replace")


def _tell(sent: SentCallback) -> None:
    event = "simulator.callback_sent" if sent.status_code is not None else "simulator.callback_failed"
    log.info(
        event,
        payment_id=sent.payment_id,
        invoice_id=sent.invoice_id,
        attempt=sent.attempt,
        url=sent.masked_url,
        status_code=sent.status_code,
        error=sent.error,
    )
