"""Refund: a person records that money of a payment was given back, never more than the invoice holds of it."""

from collections.abc import Iterable
from datetime import datetime

from moneyed import Money

from domain.command import Command
from domain.payment_event import Kind
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded


class UnknownPaymentError(Exception):
    """No such payment is recorded, or not on this invoice. The message says where it is."""

    def __init__(self, holders: Iterable[str | None] = ()) -> None:
        known = sorted(map(name_of, holders))
        super().__init__(f"nothing of it is there; {' and '.join(known)} had it" if known else "it is not recorded")


class WrongCurrencyError(Exception):
    """The amount is in another currency than the payment."""

    def __init__(self, currency: str) -> None:
        super().__init__(f"the payment is in {currency}")
        self.currency = currency


class MoreThanHeldError(Exception):
    """More was asked for than is left there of the payment: it was refunded or moved before, or never came."""

    def __init__(self, left: Money) -> None:
        super().__init__(f"only {left} is left of it there")
        self.left = left


def plan_refund(
    recorded: Recorded,
    command: Command,
    *,
    payment: PaymentKey,
    invoice_id: str | None,
    amount: Money | None,
    now: datetime,
) -> Decision:
    """Decide on giving back `amount`, or all that is left, of what an invoice (None: suspense) holds of a payment.

    The same command again is nothing more. `now` is UTC.

    Raises:
        UnknownPaymentError: it is not recorded, or has never been there.
        MoreThanHeldError: less than that is left there.
        WrongCurrencyError: the amount is in another one than the payment.
        KeyUsedError: the key stands for another refund of this payment.

    """
    known = recorded.payments.get(payment)
    holdings = known.holdings() if known else {}
    if known is None or invoice_id not in holdings:
        raise UnknownPaymentError(holdings)
    holding = holdings[invoice_id]
    before = known.find(Kind.REFUNDED, command.key)
    if before is not None:
        command.require_same(before, invoice_id=invoice_id, amount=amount)
        return Decision()
    wanted = holding.left if amount is None else amount
    if wanted.currency != holding.left.currency:
        raise WrongCurrencyError(known.currency)
    if not 0 < wanted.amount <= holding.left.amount:
        raise MoreThanHeldError(holding.left)
    return Decision(events=(command.event(Kind.REFUNDED, payment, invoice_id=invoice_id, amount=wanted, now=now),))


def name_of(holder: str | None) -> str:
    """Name an invoice, or suspense, to a person."""
    return "suspense" if holder is None else holder
