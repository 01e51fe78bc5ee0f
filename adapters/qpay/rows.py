"""From one row of QPay's to a payment whose money is exact, or to a reason why it is not one."""

from datetime import UTC, datetime

from moneyed import Money
from pydantic import ValidationError

from adapters.calls.answers import visible
from adapters.calls.json_body import as_storable
from adapters.calls.shapes import QR_TEXT_MAX_CHARS, faults
from adapters.qpay.wire import IdentityBody, NumberBody, PlaceBody, RowBody
from domain.money import money
from domain.payment_row import FoundPayment, PaymentRow, RowStatus, UnreadableRow

STATUS_MAX_CHARS = 40


def read_row(row: object) -> PaymentRow | UnreadableRow:
    """Read one row, given as `read_json` gives it. Never raises: what cannot be understood stops this row only.

    `raw` is the row as it came, ready for jsonb (see `as_storable`: a number with a fraction is a string in it).
    Money is `payment_amount`, gross; `p2p_transactions[].amount` is net of the fee (observed) and is not read.
    The fee is information: one that is absent or cannot be held exactly is None, and `raw` keeps it. The time likewise.
    """
    try:
        raw = as_storable(row)
    except ValueError as error:
        return UnreadableRow(reason=str(error), raw=None)
    if not isinstance(raw, dict):
        return UnreadableRow(reason="the row is not an object", raw=raw)
    try:
        body = RowBody.model_validate(row)
    except ValidationError as error:
        return UnreadableRow(reason=visible(faults(error)), raw=raw, payment_id=_read_identity(raw.get("payment_id")))
    try:
        amount = money(body.payment_amount, currency=body.payment_currency)
    except ValueError as error:
        return UnreadableRow(reason=visible(f"payment_amount: {error}"), raw=raw, payment_id=body.payment_id)
    return PaymentRow(
        payment_id=body.payment_id,
        status=_read_status(body.payment_status),
        status_text=visible(body.payment_status, max_chars=STATUS_MAX_CHARS),
        amount=amount,
        fee=_read_fee(body),
        paid_at=_read_paid_at(body),
        raw=raw,
    )


def read_found(row: object) -> FoundPayment | UnreadableRow:
    """Read one row of `payment/list`, or the answer of `GET payment`, likewise. Never raises.

    `object_id` should be the invoice's id (unverified), so it is told beside `qr_code`, which is its `qr_text`.
    """
    read = read_row(row)
    if isinstance(read, UnreadableRow):
        return read
    place = PlaceBody.model_validate(row)
    is_invoice = place.object_type in {None, "INVOICE"} if isinstance(place.object_type, str | None) else False
    return FoundPayment(
        row=read,
        external_id=_read_identity(place.object_id) if is_invoice else None,
        qr_text=_read_qr_text(place.qr_code),
    )


def _read_identity(told: object) -> str | None:
    try:
        return IdentityBody.model_validate({"identity": told}).identity
    except ValidationError:
        return None


def _read_qr_text(told: object) -> str | None:
    if not isinstance(told, str) or not told.strip() or not told.isprintable() or len(told) > QR_TEXT_MAX_CHARS:
        return None
    return told


def _read_status(word: str) -> RowStatus:
    known = {status.value: status for status in RowStatus if status is not RowStatus.UNKNOWN}
    return known.get(word, RowStatus.UNKNOWN)


def _read_fee(body: RowBody) -> Money | None:
    told = body.payment_fee if body.trx_fee is None else body.trx_fee
    try:
        fee = money(NumberBody.model_validate({"amount": told}).amount, currency=body.payment_currency)
    except ValueError:  # pydantic's ValidationError is one
        return None
    return fee if fee.amount >= 0 else None


def _read_paid_at(body: RowBody) -> datetime | None:
    cards = body.card_transactions if isinstance(body.card_transactions, list) else []
    told = [body.payment_date, *(card.get("date") for card in cards if isinstance(card, dict))]
    return next((moment for moment in map(_read_time, told) if moment is not None), None)


def _read_time(value: object) -> datetime | None:
    """Read an ISO 8601 time; without a zone it is UTC, as all of QPay's are (QPay v2 workbook, 2026-03)."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
