"""From SocialPay's words to the port's errors. The bank has not published its errors, so their words are guessed at."""

import re
from enum import StrEnum

from adapters.calls.answers import (
    CODE_MAX_CHARS,
    UNAUTHORISED,
    Answer,
    error_of_status,
    is_success,
    visible,
)
from adapters.socialpay.wire import TITLE, Envelope
from domain.gateway import (
    GatewayError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
)


class Meaning(StrEnum):
    """What an error says, as far as can be told."""

    NOT_OURS = "not ours"
    """The terminal or the checksum is not taken."""
    BUSY = "busy"
    """Something is wrong over there; whether anything was done nobody knows."""
    NOT_PAID = "not paid"
    NOT_FOUND = "not found"
    """There is no invoice of that number and amount."""
    CANCELLED = "cancelled"
    PAID = "paid"
    UNKNOWN = "unknown"


_SAYINGS = (
    (Meaning.NOT_OURS, re.compile(r"checksum|terminal|терминал|unauthori[sz]ed|хандах эрх")),
    (Meaning.BUSY, re.compile(r"busy|system|timeout|завгүй|систем")),
    (Meaning.NOT_PAID, re.compile(r"not.?paid|unpaid|төлөгдөөгүй|төлөөгүй|төлбөр хийгдээгүй")),
    (Meaning.NOT_FOUND, re.compile(r"not.?found|not.?exist|олдсонгүй|бүртгэлгүй|байхгүй")),
    (Meaning.CANCELLED, re.compile(r"cancel|цуцлагдсан|цуцалсан")),
    (Meaning.PAID, re.compile(r"paid|төлөгдсөн|төлсөн")),
)
"""In this order: who says "not paid" says "paid" as well."""


def meaning_of(envelope: Envelope) -> Meaning:
    """Tell what an error says: by its type, and where that tells nothing by its words, English or Mongolian."""
    for text in (envelope.error_type, envelope.error_words):
        for meaning, saying in _SAYINGS:
            if saying.search(text.casefold()):
                return meaning
    return Meaning.UNKNOWN


def error_from(answer: Answer, envelope: Envelope | None) -> GatewayError:
    """Translate an answer that is no success: by HTTP's status, and under HTTP 200 by what the error says.

    What the words do not tell is a refusal, with the error's type as its code.
    """
    code, words = (envelope.error_type, envelope.error_words) if envelope else ("", "")
    meaning = meaning_of(envelope) if envelope else Meaning.UNKNOWN
    if not is_success(answer.status):
        is_refusal = 400 <= answer.status <= 499 and answer.status != UNAUTHORISED  # noqa: PLR2004 - a status class
        if meaning is Meaning.NOT_OURS and is_refusal:
            return GatewayUnauthorisedError(_message(answer, code, words))
        return error_of_status(answer, title=TITLE, code=code, words=words, final=meaning is Meaning.NOT_FOUND)
    code = code or f"CODE_{envelope.code if envelope else answer.status}"
    message = _message(answer, code, words)
    match meaning:
        case Meaning.NOT_OURS:
            return GatewayUnauthorisedError(message)
        case Meaning.BUSY:
            return GatewayOutcomeUnknownError(message)
        case _:
            shown = visible(code, secrets=answer.secrets, max_chars=CODE_MAX_CHARS)
            return GatewayRefusedError(shown, message, final=meaning is Meaning.NOT_FOUND)


def _message(answer: Answer, code: str, words: str) -> str:
    return visible(f"{TITLE} answered {code}: {words or 'no reason given'}", secrets=answer.secrets)
