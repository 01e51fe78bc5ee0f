"""Manual: a person records money that no gateway tells of: cash, a transfer, a card at the till."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from moneyed import Money

from domain.payment_event import Kind, OccurredAtSource, PaymentEvent, Source
from domain.questions import questions_about
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded

GATEWAY = "manual_bank"
"""Who knows the payment: nobody but us."""

FUTURE_MAX = timedelta(minutes=5)
"""By so much a till's clock may be fast."""

AGE_MAX = timedelta(days=5 * 366)
"""Older is a slip of the pen: nobody enters what was paid before."""


class Method(StrEnum):
    """How the customer paid."""

    CASH = "cash"
    TRANSFER = "transfer"
    CARD = "card"
    OTHER = "other"


class NotRecordableError(Exception):
    """What was said of a payment cannot be: `field` is the one to blame, the message says what it should be."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualPayment:
    """What a person says of a payment. The same key with the same content is one payment."""

    key: str
    """See `domain.command.require_key`; it is the payment's id as well."""
    who: str
    invoice_id: str
    amount: Money
    method: Method
    paid_at: datetime | None
    """Aware; None for now."""
    reference: str | None
    """What the slip or the bank calls it."""
    note: str | None

    @property
    def payment(self) -> PaymentKey:
        """By which it is refunded and moved."""
        return GATEWAY, self.key


def require_recordable(payment: ManualPayment, *, currency: str, now: datetime) -> None:
    """Let pass what can be: before a key is taken for it. `currency` is the invoice's, `now` UTC.

    Raises:
        NotRecordableError: no more than nothing, in another currency, in the future or long ago.

    """
    if payment.amount.amount <= 0:
        raise NotRecordableError("amount.amount", "must be more than 0")
    if payment.amount.currency.code != currency:
        raise NotRecordableError("amount.currency", f"the invoice is in {currency}: say what it counts for there")
    if payment.paid_at is None:
        return
    if payment.paid_at > now + FUTURE_MAX:
        raise NotRecordableError("paidAt", "must not be in the future")
    if payment.paid_at < now - AGE_MAX:
        raise NotRecordableError("paidAt", f"must not be more than {AGE_MAX.days // 366} years ago")


def plan_manual(recorded: Recorded, payment: ManualPayment, *, now: datetime) -> Decision:
    """Decide on a payment that a person tells of; what was recorded before under its key is nothing more.

    A void invoice takes it too: the money is there, and what becomes of it is a question. `now` is UTC.
    """
    if payment.payment in recorded.payments:
        return Decision()
    gateway, payment_id = payment.payment
    event = PaymentEvent(
        gateway=gateway,
        payment_id=payment_id,
        kind=Kind.RECEIVED,
        ref=payment.key,
        invoice_id=payment.invoice_id,
        gateway_invoice_id=None,
        amount=payment.amount,
        fee=None,
        occurred_at=payment.paid_at or now,
        occurred_at_source=OccurredAtSource.PERSON,
        source=Source.MANUAL,
        raw={
            "method": payment.method.value,
            "reference": payment.reference,
            "note": payment.note,
            "reason": _in_words(payment),
        },
        who=payment.who,
    )
    return Decision(events=(event,), discrepancies=questions_about(recorded.invoices[payment.invoice_id], (event,)))


def _in_words(payment: ManualPayment) -> str:
    """Say how it was paid in one line, for whoever asks why the balance is what it is."""
    parts = [payment.method.value, payment.reference and f"reference {payment.reference}", payment.note]
    return ", ".join(part for part in parts if part)
