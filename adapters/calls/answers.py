"""One HTTP answer, what its status says about whether the gateway acted, and another's words made fit to be shown."""

import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    GatewayUnreadableError,
)

MESSAGE_MAX_CHARS = 200
CODE_MAX_CHARS = 64

RETRY_AFTER_MAX_S = 3_600.0
"""Counts an hour: a check waits for so long, and with it a payment. Who asks for more has sent nonsense, most likely,
and is asked once an hour then."""

UNAUTHORISED = 401
TOO_MANY = 429
_REDACTED = "[hidden]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, read to its end. Its repr shows the status alone."""

    status: int
    body: bytes = field(repr=False)
    retry_after_s: float | None
    """What the gateway asks to wait."""
    secrets: tuple[str, ...] = field(repr=False)
    """What was sent and must not come back in a message: a gateway may echo it."""


def is_success(status: int) -> bool:
    """Tell whether the status is 2xx."""
    return 200 <= status <= 299  # noqa: PLR2004 - the bounds of a status class


def error_of_status(answer: Answer, *, title: str, code: str, words: str, final: bool = False) -> GatewayError:
    """Translate an answer outside 2xx by its status class; `code` and `words` are the gateway's, or empty.

    401 is `GatewayUnauthorisedError`, 429 `GatewayBusyError`, other 4xx `GatewayRefusedError` with the gateway's code,
    5xx `GatewayOutcomeUnknownError`; anything else, such as a redirect, `GatewayUnreadableError`.
    """
    code = code or f"HTTP_{answer.status}"
    message = visible(f"{title} answered {answer.status} {code}: {words or 'no reason given'}", secrets=answer.secrets)
    match answer.status:
        case status if status == UNAUTHORISED:
            return GatewayUnauthorisedError(message)
        case status if status == TOO_MANY:
            return GatewayBusyError(message, retry_after_s=answer.retry_after_s)
        case status if 400 <= status <= 499:  # noqa: PLR2004 - the bounds of a status class
            shown = visible(code, secrets=answer.secrets, max_chars=CODE_MAX_CHARS)
            return GatewayRefusedError(shown, message, final=final)
        case status if 500 <= status <= 599:  # noqa: PLR2004 - the bounds of a status class
            return GatewayOutcomeUnknownError(message, retry_after_s=answer.retry_after_s)
        case status:
            return GatewayUnreadableError(f"{title} answered {status}, which is neither success nor error")


def visible(text: str, *, secrets: tuple[str, ...] = (), max_chars: int = MESSAGE_MAX_CHARS) -> str:
    """Make another's words fit to be shown: secrets hidden, control characters out, cut to `max_chars`."""
    for secret in sorted((each for each in secrets if each), key=len, reverse=True):
        text = text.replace(secret, _REDACTED)
    text = re.sub(r"\s+", " ", text[: 10 * max_chars])
    return "".join(character for character in text if character.isprintable())[:max_chars].strip()


def read_retry_after(value: str | None, *, now_s: float) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from `now_s` (UNIX time).

    Returns 0 to `RETRY_AFTER_MAX_S`; None when the header is absent or says neither.
    """
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,12}", value.strip()):
        return min(float(value), RETRY_AFTER_MAX_S)
    try:
        moment = parsedate_to_datetime(value)
        wait_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)
