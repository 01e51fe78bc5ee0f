"""Refund: a person records that money of a payment was given back, never more than the invoice holds of it."""

from datetime import datetime

from moneyed import Money

from domain.payment_event import Kind, OccurredAtSource, PaymentEvent, Source
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded


class UnknownPaymentError(Exception):
    """No such payment is recorded, or not on this invoice."""


class MoreThanHeldError(Exception):
    """More was asked for than is left there of the payment: it was refunded or moved before, or never came."""

    def __init__(self, left: Money) -> None:
        super().__init__(f"only {left} is left of it there")
        self.left = left


class KeyUsedError(Exception):
    """The caller's key stands for something else already."""


def plan_refund(
    recorded: Recorded,
    *,
    payment: PaymentKey,
    invoice_id: str | None,
    amount: Money | None,
    key: str,
    who: str,
    reason: str,
    now: datetime,
) -> Decision:
    """Decide on giving back `amount`, or all that is left, of what an invoice (None: suspense) holds of a payment.

    The same `key` with the same content again is nothing more. `now` is UTC.

    Raises:
        UnknownPaymentError: it is not recorded, or has never been there.
        MoreThanHeldError: less than that is left there.
        KeyUsedError: the key stands for another refund of this payment.

    """
    known = recorded.payments.get(payment)
    holding = known.holdings().get(invoice_id) if known else None
    if known is None or holding is None:
        raise UnknownPaymentError
    before = known.find(Kind.REFUNDED, key)
    if before is not None:
        if before.invoice_id != invoice_id or amount not in {None, before.amount}:
            raise KeyUsedError
        return Decision()
    wanted = holding.left if amount is None else amount
    if wanted.currency != holding.left.currency or not 0 < wanted.amount <= holding.left.amount:
        raise MoreThanHeldError(holding.left)
    event = by_hand(
        payment, Kind.REFUNDED, key=key, invoice_id=invoice_id, amount=wanted, who=who, reason=reason, now=now
    )
    return Decision(events=(event,))


def by_hand(
    payment: PaymentKey,
    kind: Kind,
    *,
    key: str,
    invoice_id: str | None,
    amount: Money,
    who: str,
    reason: str,
    now: datetime,
) -> PaymentEvent:
    """Make the event of a person's command."""
    gateway, payment_id = payment
    return PaymentEvent(
        gateway=gateway,
        payment_id=payment_id,
        kind=kind,
        ref=key,
        invoice_id=invoice_id,
        gateway_invoice_id=None,
        amount=amount,
        fee=None,
        occurred_at=now,
        occurred_at_source=OccurredAtSource.PERSON,
        source=Source.COMMAND,
        raw={"reason": reason},
        who=who,
    )
