"""The shapes of SocialPay's bodies, as far as we read them; what they do not name is passed over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from adapters.calls import shapes
from adapters.calls.shapes import Amount, Body, Identity, QrText
from domain.gateway import GatewayUnreadableError

TITLE = "SocialPay"
OK = 200
"""The header's code of a success, whatever HTTP says."""
SUCCESS = "SUCCESS"
"""The status of an invoice that was made, or cancelled."""
PAID = "00"
"""The resp_code of a payment."""


def _code(value: object) -> object:
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value) else value


class _Header(Body):
    code: Annotated[int, BeforeValidator(_code)]


class _Inner(Body):
    response: Mapping[str, object] | None = None
    error: object = None


class _EnvelopeBody(Body):
    header: _Header
    body: _Inner


class DoneBody(Body):
    """The response of a create and of a cancel."""

    status: str
    desc: object = None


class QrBody(Body):
    """What a create gives to be shown: the text of a QR, which mostly is a link into SocialPay."""

    desc: QrText


class PaymentBody(Body):
    """Whose payment a check's response, or a push, speaks of."""

    terminal: str
    invoice: Identity
    amount: Amount
    checksum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One answer, opened. Its error is empty where there is none."""

    code: int
    response: Mapping[str, object]
    error_type: str
    error_words: str


def read_envelope(body: bytes) -> Envelope:
    """Open an answer. `body.error` may be absent, empty or of another shape (in-store API).

    Raises:
        GatewayUnreadableError: not JSON, or without a header that has a code.

    """
    read = shapes.read_shape(_EnvelopeBody, shapes.read_any(body, title=TITLE), title=TITLE)
    error = read.body.error if isinstance(read.body.error, Mapping) else {}
    return Envelope(
        code=read.header.code,
        response=read.body.response or {},
        error_type=_text(error.get("errorType")),
        error_words=_text(error.get("errorDesc")),
    )


def try_envelope(body: bytes) -> Envelope | None:
    """Open an answer that may be none, such as a proxy's."""
    try:
        return read_envelope(body)
    except GatewayUnreadableError:
        return None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
