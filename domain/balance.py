"""An invoice's balance as a fold of its changes and events: the specification of the SQL projection."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from moneyed import Money

from domain.invoice import ChangeKind, InvoiceChange
from domain.money import from_minor_units
from domain.payment_event import Kind, PaymentEvent


class Status(StrEnum):
    """What a balance amounts to; the first of these that holds."""

    VOID = "void"
    REFUNDED = "refunded"
    OVERPAID = "overpaid"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    PARTIALLY_PAID = "partially_paid"
    UNPAID = "unpaid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What an invoice asks for and what it has got. All amounts are of one currency; times are UTC."""

    due: Money
    received: Money
    """Received, with what was assigned to the invoice, less what was moved away from it."""
    refunded: Money
    voided: bool
    payments: int
    """How often money came: payments received, and payments or parts of them assigned."""
    first_paid_at: datetime | None
    last_paid_at: datetime | None

    @property
    def net(self) -> Money:
        """What the merchant holds."""
        return self.received - self.refunded

    @property
    def outstanding(self) -> Money:
        """What is still to be paid; a refund does not reopen a debt."""
        nothing = self.due - self.due
        return nothing if self.voided else max(nothing, self.due - self.received)

    @property
    def overpaid(self) -> Money:
        """What the merchant holds beyond what was asked for; all of it when the invoice is void."""
        nothing = self.due - self.due
        return max(nothing, self.net if self.voided else self.net - self.due)

    @property
    def status(self) -> Status:  # noqa: PLR0911 - one line for each status, in the order of the definition
        """Name the first status that holds."""
        nothing = self.due - self.due
        if self.voided:
            return Status.VOID
        if self.refunded > nothing and self.net == nothing:
            return Status.REFUNDED
        if self.overpaid > nothing:
            return Status.OVERPAID
        if self.net >= self.due:
            return Status.PAID
        if self.refunded > nothing:
            return Status.PARTIALLY_REFUNDED
        if self.net > nothing:
            return Status.PARTIALLY_PAID
        return Status.UNPAID


def fold(changes: Iterable[InvoiceChange], events: Iterable[PaymentEvent], *, currency: str) -> Balance:
    """Compute the balance of one invoice from all its changes and all its events, given in any order.

    `events` are those with this invoice's id, each once, in the invoice's `currency`.
    """
    nothing = from_minor_units(0, currency=currency)
    due, voided = nothing, False
    for change in sorted(changes, key=lambda change: change.position):
        match change.kind:
            case ChangeKind.AMOUNT:
                due = change.amount or nothing
            case ChangeKind.VOID:
                voided = True
            case _:
                assert_never(change.kind)

    received, refunded, paid_at = nothing, nothing, list[datetime]()
    for event in events:
        match event.kind:
            case Kind.RECEIVED | Kind.ASSIGNED:
                received += event.amount
                paid_at.append(event.occurred_at)
            case Kind.UNASSIGNED:
                received -= event.amount
            case Kind.REFUNDED:
                refunded += event.amount
            case _:
                assert_never(event.kind)
    return Balance(
        due=due,
        received=received,
        refunded=refunded,
        voided=voided,
        payments=len(paid_at),
        first_paid_at=min(paid_at, default=None),
        last_paid_at=max(paid_at, default=None),
    )
