"""Ask an address one question, as a gateway would: no redirect and no proxy followed, little read and waited for."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from worker.words import plain

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 5.0
"""Between two pieces; the whole is bounded by the check's own limit."""

BODY_MAX_BYTES = 4_000


class NoAnswerError(Exception):
    """Nobody answered. The message says why, without an address."""


class NoTrustError(NoAnswerError):
    """Somebody takes connections there, and nobody who looks at certificates speaks with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: str
    """Its beginning, fit to be printed."""
    date: datetime | None
    """The server's own time, UTC, to the second; None where it tells none that can be read."""
    simulated: bool
    """Our simulator says of itself that it is one."""


Ask = Callable[..., Answer]
"""`ask(method, url, content=b"")`; raises NoAnswerError."""


def asking(client: httpx.Client) -> Ask:
    """Return what asks through this client."""

    def ask(method: str, url: str, *, content: bytes | None = None) -> Answer:
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            with client.stream(method, url, content=content, headers=headers) as response:
                return _read(response)
        except httpx.InvalidURL:
            raise NoAnswerError("the address cannot be called") from None
        except httpx.HTTPError as error:
            raise _no_answer(error) from None

    return ask


def open_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Make the client. Another `transport` is for tests, which have no public address."""
    return httpx.Client(
        timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "tootsoo doctor", "Accept-Encoding": "identity"},
        transport=transport,
    )


def _read(response: httpx.Response) -> Answer:
    body = b""
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            break
    return Answer(
        status=response.status_code,
        body=plain(body[:BODY_MAX_BYTES].decode(errors="replace")),
        date=_date(response.headers.get("Date", "")),
        simulated="X-Simulator" in response.headers,
    )


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _no_answer(error: httpx.HTTPError) -> NoAnswerError:
    """Say why nobody answered; what an error says itself may repeat the address, which holds a token."""
    if isinstance(error, httpx.ConnectError):
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return NoTrustError(f"its certificate is not taken: {plain(cause.verify_message)}")
            if isinstance(cause, ssl.SSLError):
                return NoTrustError("it does not speak TLS as it should")
            cause = cause.__cause__ or cause.__context__
        return NoAnswerError("nobody takes connections there")
    if isinstance(error, httpx.TimeoutException):
        return NoAnswerError("no answer in time")
    return NoAnswerError(f"the connection was lost ({type(error).__name__})")
