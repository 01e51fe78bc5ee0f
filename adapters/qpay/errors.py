"""From a status and an error envelope to the port's errors: who has to do what about it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from adapters.qpay.json_body import read_json
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
VALIDATION = "VALIDATION"
"""Our code for QPay's validation errors, whose own `error` is an object of fields instead of a code."""

RETRY_AFTER_MAX_S = 86_400.0
"""Counts a day: who asks for more has sent nonsense, and a person should look before that."""

FINAL_CODES = frozenset({"INVOICE_NOTFOUND"})
"""QPay does not know what was asked about. Other refusals may be about the account, or something on the way."""

UNAUTHORISED = 401
TOO_MANY = 429
_REDACTED = "[hidden]"
_FIELDS_MAX = 20


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


def error_from(answer: Answer) -> GatewayError:
    """Translate an answer outside 2xx; an unknown code is treated by its status class.

    401 is `GatewayUnauthorisedError`, 429 `GatewayBusyError`, other 4xx `GatewayRefusedError` with the gateway's code,
    5xx `GatewayOutcomeUnknownError`; anything else, such as a redirect, `GatewayUnreadableError`.
    Both envelopes are read (QPay v2 workbook, 2026-03): strings, and objects of fields for validation errors.
    """
    code, words = _read_envelope(answer.body)
    code = code or f"HTTP_{answer.status}"
    message = visible(f"QPay answered {answer.status} {code}: {words or 'no reason given'}", secrets=answer.secrets)
    match answer.status:
        case status if status == UNAUTHORISED:
            return GatewayUnauthorisedError(message)
        case status if status == TOO_MANY:
            return GatewayBusyError(message, retry_after_s=answer.retry_after_s)
        case status if 400 <= status <= 499:  # noqa: PLR2004 - the bounds of a status class
            shown = visible(code, secrets=answer.secrets, max_chars=CODE_MAX_CHARS)
            return GatewayRefusedError(shown, message, final=code in FINAL_CODES)
        case status if 500 <= status <= 599:  # noqa: PLR2004 - the bounds of a status class
            return GatewayOutcomeUnknownError(message, retry_after_s=answer.retry_after_s)
        case status:
            return GatewayUnreadableError(f"QPay answered {status}, which is neither success nor error")


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


def _read_envelope(body: bytes) -> tuple[str, str]:
    """Return (code, words), each empty where the envelope does not tell."""
    try:
        envelope = read_json(body)
    except ValueError:
        return "", ""
    if not isinstance(envelope, Mapping):
        return "", ""
    match envelope.get("error"), envelope.get("message"):
        case Mapping() as fields, _:
            return VALIDATION, _name_fields(fields)
        case code, Mapping() as fields:
            return (code.strip() if isinstance(code, str) else VALIDATION), _name_fields(fields)
        case code, words:
            return (code.strip() if isinstance(code, str) else ""), (words if isinstance(words, str) else "")


def _name_fields(fields: Mapping[str, object]) -> str:
    return "; ".join(f"{field}: {_fault(fault)}" for field, fault in list(fields.items())[:_FIELDS_MAX])


def _fault(fault: object) -> str:
    match fault:
        case str():
            return fault
        case {"message": str(words)}:
            return words
        case {"type": str(kind)}:
            return kind
        case _:
            return "refused"
