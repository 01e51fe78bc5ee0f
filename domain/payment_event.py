"""A payment event: one past fact about money, never changed, told apart by payment, kind and ref."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from moneyed import Money

GATEWAY_REF = "gateway"
"""The ref of an event that a gateway's own answer proves; a person's command brings the caller's key instead."""


class Kind(StrEnum):
    """What happened to the money of one payment on one invoice (or, without an invoice, in suspense)."""

    RECEIVED = "received"
    REFUNDED = "refunded"
    UNASSIGNED = "unassigned"
    """The payment, or part of it, was moved away from here."""
    ASSIGNED = "assigned"
    """The payment, or part of it, was moved to here."""


class Source(StrEnum):
    """What made us look, or who said so."""

    CALLBACK = "callback"
    SWEEP = "sweep"
    REFRESH = "refresh"
    COMMAND = "command"
    MANUAL = "manual"
    STATEMENT = "statement"


class OccurredAtSource(StrEnum):
    """How it is known when the money moved."""

    GATEWAY = "gateway"
    OBSERVED = "observed"
    """The gateway told no time: this is when we first saw it."""
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """One fact. (`gateway`, `payment_id`, `kind`, `ref`) is unique; `amount` and `fee` are positive or zero fee.

    `invoice_id` is None for money of no known invoice (suspense). Times are UTC.
    """

    gateway: str
    payment_id: str
    kind: Kind
    ref: str
    invoice_id: str | None
    gateway_invoice_id: UUID | None
    amount: Money
    fee: Money | None
    occurred_at: datetime
    occurred_at_source: OccurredAtSource
    source: Source
    raw: Mapping[str, object]
    """The gateway's row as it came, ready for JSON."""
    who: str | None
    """The person, for an event that a person made."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes this fact the same fact when it is met again; also the order in which events are inserted."""
        return (self.gateway, self.payment_id, self.kind, self.ref)
