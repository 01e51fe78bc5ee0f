"""Refund at the gateway: when a payment may be given back there, and what is recorded once it was."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from moneyed import Money

from domain.command import Command
from domain.payment_event import Kind
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded
from domain.refund import UnknownPaymentError

KNOWN_AFTER_S = 60.0
"""A check that begins so long after the gateway was asked shows what came of it: far longer than the call may take."""


class RefundState(StrEnum):
    """What is known of a refund that a gateway was asked for."""

    ASKED = "asked"
    """It is on its way, or its outcome is unknown: the money may have gone."""
    GIVEN = "given"
    """The money went back, and that is recorded."""
    REFUSED = "refused"
    """The gateway said no."""
    NOT_ACTED = "not_acted"
    """The gateway certainly did nothing; it may be asked again."""
    NOT_GIVEN = "not_given"
    """No answer came, and a check long after still shows the payment as paid."""


class NotWholeError(Exception):
    """A part of the payment was refunded or moved before, and the gateway gives back whole payments only."""

    def __init__(self, *, received: Money, left: Money) -> None:
        super().__init__(f"only {left} of its {received} is left there")
        self.received = received
        self.left = left


class NoQrError(Exception):
    """The payment is on no QR of ours, so no check could tell what became of the refund."""


class UnknownGatewayError(Exception):
    """There is no gateway of that name here."""


class RefundUnderwayError(Exception):
    """The gateway was asked to give this payment back, and nobody knows yet whether it did."""

    def __init__(self, *, key: str, who: str, asked_at: datetime) -> None:
        super().__init__(
            f"{who} asked the gateway at {asked_at:%Y-%m-%d %H:%M} UTC to give it back, with the key {key}"
        )
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class IntendedRefund:
    """What the gateway is about to be asked for."""

    gateway_invoice_id: UUID
    """The QR whose check shows what became of it."""
    amount: Money


def plan_gateway_refund(recorded: Recorded, *, payment: PaymentKey, invoice_id: str | None) -> IntendedRefund:
    """Decide whether a gateway may be asked to give a whole payment back: an invoice (None: suspense) holds all of it.

    Raises:
        UnknownPaymentError: it is not recorded, or has never been there.
        NotWholeError: a part was refunded or moved.
        NoQrError: nobody could look up what became of it.

    """
    known = recorded.payments.get(payment)
    holdings = known.holdings() if known else {}
    if known is None or known.received is None or invoice_id not in holdings:
        raise UnknownPaymentError(holdings)
    holding = holdings[invoice_id]
    if holding.left != known.received.amount:
        raise NotWholeError(received=known.received.amount, left=holding.left)
    if known.received.gateway_invoice_id is None:
        raise NoQrError
    return IntendedRefund(gateway_invoice_id=known.received.gateway_invoice_id, amount=holding.left)


def plan_given_back(
    recorded: Recorded, command: Command, *, payment: PaymentKey, invoice_id: str | None, now: datetime
) -> Decision:
    """Decide what to record once the gateway said that it gave the payment back: what no check was faster to record.

    `now` is UTC.
    """
    known = recorded.payments.get(payment)
    holding = known.holdings().get(invoice_id) if known else None
    if holding is None or holding.left.amount <= 0:
        return Decision()
    event = command.event(Kind.REFUNDED, payment, invoice_id=invoice_id, amount=holding.left, now=now)
    return Decision(events=(event,))
