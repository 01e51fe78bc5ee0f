"""What was done, undone on QPay's wire: an invoice cancelled, a payment refunded or cancelled, and their success."""

from collections.abc import Mapping
from typing import Literal

from adapters.calls.answers import Answer, visible
from adapters.calls.http import Request
from adapters.qpay.details import path_part
from adapters.qpay.wire import read_any
from domain.gateway import GatewayUnreadableError

NOTE_MAX_CHARS = 255
"""Counts what QPay takes as an invoice's description (QPay v2 workbook, 2026-03); of the note it tells no bound."""


def cancel_request(external_id: str) -> Request:
    """Say `DELETE invoice` of one invoice.

    Raises:
        ValueError: `external_id` cannot be a part of a path.

    """
    path = f"/invoice/{path_part(external_id, called='external_id')}"
    return Request(endpoint="DELETE invoice", method="DELETE", path=path)


def give_back_request(payment_id: str, *, how: Literal["refund", "cancel"], note: str) -> Request:
    """Say `DELETE payment/refund` or `payment/cancel` of one payment, with the note as QPay takes it.

    The note becomes one line without control characters, cut to `NOTE_MAX_CHARS`: it is for people, and no money
    stays away because of it. No `callback_url` is sent: a check tells what became of it.

    Raises:
        ValueError: `payment_id` cannot be a part of a path.

    """
    path = f"/payment/{how}/{path_part(payment_id, called='payment_id')}"
    body = {"note": visible(note, max_chars=NOTE_MAX_CHARS)}
    return Request(endpoint=f"DELETE payment/{how}", method="DELETE", path=path, body=body)


def require_done(request: Request, answer: Answer) -> None:
    """Take a 2xx answer for a yes when its body is empty, or an object that speaks of no error.

    Raises:
        GatewayUnreadableError: it says something else.

    """
    if not answer.body.strip():
        return
    body = read_any(answer.body)
    if not isinstance(body, Mapping) or body.get("error"):
        raise GatewayUnreadableError(f"QPay's answer to {request.endpoint} says neither yes nor no")
