"""What the ledger knows at the moment of a decision: read under the locks of the payments and invoices it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never
from uuid import UUID

from moneyed import Money

from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource

PaymentKey = tuple[str, str]
"""Gateway and payment id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """What decisions need of a stored event."""

    kind: Kind
    ref: str
    invoice_id: str | None
    gateway_invoice_id: UUID | None
    amount: Money
    occurred_at: datetime
    occurred_at_source: OccurredAtSource
    reason: str | None = None
    """A person's, for what a person recorded."""
    reference: str | None = None
    """What else the gateway told it apart by; None where that was not asked for, or it told nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one invoice, or suspense, has of one payment."""

    invoice_id: str | None
    received: Money
    """Received, with what was assigned, less what was moved away."""
    refunded: Money

    @property
    def left(self) -> Money:
        """What can still be given back or moved."""
        return self.received - self.refunded


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPayment:
    """One payment, by its events. It has at least one, and all are of one currency."""

    key: PaymentKey
    events: tuple[RecordedEvent, ...]

    @property
    def currency(self) -> str:
        """The ISO 4217 code of all its amounts."""
        return self.events[0].amount.currency.code

    @property
    def received(self) -> RecordedEvent | None:
        """The event that it came with; None only for a history that is not whole."""
        return next((event for event in self.events if event.kind is Kind.RECEIVED), None)

    def find(self, kind: Kind, ref: str) -> RecordedEvent | None:
        """Return the event of this kind and ref, if there is one."""
        return next((event for event in self.events if (event.kind, event.ref) == (kind, ref)), None)

    @property
    def refunded_by_gateway(self) -> bool:
        """Whether an event says that the gateway gave it back."""
        return any(event.kind is Kind.REFUNDED and event.ref.startswith(GATEWAY_REF) for event in self.events)

    @property
    def holders(self) -> list[str | None]:
        """The invoices, and suspense, that have something left of it; suspense first."""
        left = [holder for holder, holding in self.holdings().items() if holding.left.amount > 0]
        return sorted(left, key=lambda holder: holder or "")

    def was_on(self, gateway_invoice_id: UUID) -> bool:
        """Tell whether an answer about this QR has shown it."""
        return any(event.gateway_invoice_id == gateway_invoice_id for event in self.events)

    def holdings(self) -> dict[str | None, Holding]:
        """Return what each invoice has of it, and suspense under None; those with nothing left are there as well."""
        nothing = self.events[0].amount - self.events[0].amount
        received: dict[str | None, Money] = {}
        refunded: dict[str | None, Money] = {}
        for event in self.events:
            before = received.setdefault(event.invoice_id, nothing)
            refunded.setdefault(event.invoice_id, nothing)
            match event.kind:
                case Kind.RECEIVED | Kind.ASSIGNED:
                    received[event.invoice_id] = before + event.amount
                case Kind.UNASSIGNED:
                    received[event.invoice_id] = before - event.amount
                case Kind.REFUNDED:
                    refunded[event.invoice_id] += event.amount
                case _:
                    assert_never(event.kind)
        return {
            invoice_id: Holding(invoice_id=invoice_id, received=amount, refunded=refunded[invoice_id])
            for invoice_id, amount in received.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BankMoney:
    """A payment that a bank's statement proved. `occurred_at` is UTC."""

    payment_id: str
    amount: Money
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInvoice:
    """What decisions need of an invoice's balance."""

    id: str
    currency: str
    due: Money
    net: Money
    """Received less refunded."""
    outstanding: Money
    """What is still to be paid; nothing when void."""
    voided: bool
    routes: frozenset[str]
    """The gateways and QRs by which it has received money."""
    by_bank: tuple[BankMoney, ...] = ()
    """What statements brought: a gateway may tell of the same money later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """All that is known of the payments and invoices that a decision is about; what is not in here is not known."""

    payments: Mapping[PaymentKey, RecordedPayment] = field(default_factory=dict)
    invoices: Mapping[str, RecordedInvoice] = field(default_factory=dict)


def route_of(gateway: str, gateway_invoice_id: UUID | None) -> str:
    """Name the way that money came: one QR of one gateway, or a gateway that has no QRs."""
    return f"{gateway}:{gateway_invoice_id or ''}"
