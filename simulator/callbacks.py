"""Sending callbacks: in the background, at once, and without showing the secret in their URLs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx
import structlog

from simulator.book import Book
from simulator.clock import Clock
from simulator.facts import Invoice, Payment, SentCallback
from simulator.loopback import is_loopback
from simulator.switches import Switches

TIMEOUT_S = 5.0
"""For a whole callback, from connecting to the end of the answer."""
RETRY_PAUSE_S = 1.0
"""Before a callback is sent a second time; the double before each further time."""
HTTP_OK = 200
KEPT_BODY_BYTES = 1_000
"""So much of an answer is kept; a word is all that it should be."""

log = structlog.get_logger()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """One callback that is to be sent."""

    payment: Payment
    invoice: Invoice
    attempt: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """An announcement in the words of its gateway."""

    method: str
    url: str = field(repr=False)
    body: Mapping[str, object] | None
    """Goes as JSON; None is no body."""
    wants: str | None
    """The answer's body has to be this; None is any, as long as the status is 200."""


Say = Callable[[Announcement], Outgoing]
"""How one gateway announces a payment."""


class Callbacks:
    """Sends callbacks from background tasks of the loop that `running` was entered in, and records their outcome.

    `says` has for each gateway how it announces. Whether it tries again is a switch, for that is not documented.
    Targets off this machine are refused unless `call_anywhere`.
    """

    def __init__(
        self,
        book: Book,
        *,
        clock: Clock,
        call_anywhere: bool,
        says: Mapping[str, Say],
        switches: Callable[[], Switches] = Switches,
    ) -> None:
        self._says = says
        self._book = book
        self._clock = clock
        self._call_anywhere = call_anywhere
        self._switches = switches
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Announcement] = []

    @property
    def pending(self) -> int:
        """How many are under way, or wait for their time; held ones are not."""
        return len(self._tasks)

    @property
    def held(self) -> list[Announcement]:
        """Those that wait until somebody lets them go, oldest first."""
        return list(self._held)

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

    def send(
        self, payment: Payment, invoice: Invoice, *, times: int, delay_s: float = 0, url: str | None = None
    ) -> None:
        """Start sending one payment's callback after `delay_s`, `times` times at once, and return at once.

        `url` is called instead of the invoice's own. Raises RuntimeError outside `running`.
        """
        for announcement in _announcements(payment, invoice, times=times, url=url):
            self._start([announcement], delay_s=delay_s)

    def hold(self, payment: Payment, invoice: Invoice, *, times: int) -> None:
        """Keep one payment's callbacks back until `release`."""
        self._held += _announcements(payment, invoice, times=times, url=None)

    def release(self, *, arranged: Callable[[list[Announcement]], list[Announcement]]) -> int:
        """Send the held callbacks as they are `arranged`, one after the other; tell how many.

        Raises RuntimeError outside `running`.
        """
        released, self._held = self._held, []
        if released:
            self._start(arranged(released), delay_s=0)
        return len(released)

    async def give_up(self) -> None:
        """Cancel what is under way, which is recorded as such, and forget what is held."""
        self._held.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, announcements: list[Announcement], *, delay_s: float) -> None:
        if self._transport is None:
            raise RuntimeError("callbacks are sent only while the application's lifespan runs")
        task = asyncio.create_task(self._send_all(self._transport, announcements, delay_s=delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_all(
        self, transport: httpx.AsyncHTTPTransport, announcements: list[Announcement], *, delay_s: float
    ) -> None:
        """Send one after the other, and again what was not taken, if the switch says so."""
        if delay_s:
            await asyncio.sleep(delay_s)
        for announcement in announcements:
            tried = announcement
            taken = await self._send(transport, tried)
            for again in range(self._switches().callback_retries):
                if taken:
                    break
                await asyncio.sleep(RETRY_PAUSE_S * 2**again)
                tried = replace(tried, attempt=tried.attempt + 1)
                taken = await self._send(transport, tried)

    async def _send(self, transport: httpx.AsyncHTTPTransport, announcement: Announcement) -> bool:
        """Send once, record what came of it, and tell whether the merchant took it."""
        sent_at = self._clock()
        status_code: int | None = None
        body: str | None = None
        error: str | None = "broken off by a mistake of the simulator"
        outgoing = self._says[announcement.invoice.gateway](announcement)
        try:
            if not (self._call_anywhere or stays_here(outgoing.url)):
                error = "not sent: the target is not on this machine"
            else:
                async with asyncio.timeout(TIMEOUT_S):
                    status_code, body = await _call(transport, outgoing)
                error = None
        except TimeoutError:
            error = f"no answer within {TIMEOUT_S:g} s"
        except (httpx.TransportError, httpx.InvalidURL) as failure:
            error = type(failure).__name__
        except asyncio.CancelledError:
            error = "given up: the simulator was stopped or reset"
            raise
        finally:
            taken = status_code == HTTP_OK and outgoing.wants in {None, body}
            sent = SentCallback(
                payment_id=announcement.payment.payment_id,
                invoice_id=announcement.invoice.invoice_id,
                attempt=announcement.attempt,
                masked_url=masked(outgoing.url),
                sent_at=sent_at,
                status_code=status_code,
                body=body,
                error=error,
                taken=taken,
            )
            self._book.add_callback(sent)
            _tell(sent)
        return taken


def _announcements(payment: Payment, invoice: Invoice, *, times: int, url: str | None) -> list[Announcement]:
    target = invoice.callback_url if url is None else url
    if not target:
        return []
    return [
        Announcement(payment=payment, invoice=invoice, attempt=attempt, url=target) for attempt in range(1, times + 1)
    ]


async def _call(transport: httpx.AsyncHTTPTransport, outgoing: Outgoing) -> tuple[int, str]:
    timeouts = httpx.Timeout(TIMEOUT_S).as_dict()
    headers = {"User-Agent": "tootsoo-simulator"}
    if outgoing.body is not None:
        headers["Content-Type"] = "application/json"
    request = httpx.Request(
        outgoing.method,
        outgoing.url,
        headers=headers,
        content=None if outgoing.body is None else json.dumps(outgoing.body, ensure_ascii=False),
        extensions={"timeout": timeouts},
    )
    response = await transport.handle_async_request(request)
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
