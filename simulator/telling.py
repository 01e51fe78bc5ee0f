"""What the wire tells of a payment, which tests may turn away from what happened: stale, changed, gone or broken."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from simulator.facts import Payment, PaymentType

CURRENCY = "MNT"
"""In which everything here is really paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What is told of one payment instead of the truth; None tells the truth. Nothing of it is a fact."""

    status: str | None = None
    amount: Decimal | None = None
    """In tögrög, with up to two decimals."""
    currency: str | None = None
    hidden: bool = False
    """No call shows it: neither payment/check nor payment/list nor GET payment; SocialPay calls its invoice unpaid."""
    hidden_until: datetime | None = None
    """It is hidden before this time: a row that becomes visible later than its callback."""
    duplicated: int = 1
    """So many rows of payment/check are this payment, one after the other. SocialPay has no rows."""
    garbled: bool = False
    """Wherever it is told, its amount is missing."""

    def hides(self, *, now: datetime) -> bool:
        """Tell whether the payment is kept from the wire at `now`."""
        return self.hidden or (self.hidden_until is not None and now < self.hidden_until)


TRUTH = Telling()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPayment:
    """A payment as the wire tells it; fields as in `Payment`, but that the amount may have two decimals."""

    payment_id: str
    invoice_id: str
    amount: Decimal
    currency: str
    fee: int
    type: PaymentType
    status: str
    paid_at: datetime
    approval_code: str
    garbled: bool


def tell(payment: Payment, *, telling: Telling) -> ToldPayment:
    """Tell of a payment what `telling` says, and the truth where it says nothing."""
    return ToldPayment(
        payment_id=payment.payment_id,
        invoice_id=payment.invoice_id,
        amount=Decimal(payment.amount) if telling.amount is None else telling.amount,
        currency=telling.currency or CURRENCY,
        fee=payment.fee,
        type=payment.type,
        status=telling.status or payment.status,
        paid_at=payment.paid_at,
        approval_code=payment.approval_code,
        garbled=telling.garbled,
    )
