"""A dossier: all that is recorded about one invoice, one QR or one payment, as facts; the story is told from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from moneyed import Money

from domain.balance import Balance
from domain.invoice import InvoiceChange
from domain.notification import NotificationType
from domain.pay_link import GatewayInvoiceState
from domain.payment_event import PaymentEvent, Source
from domain.recorded import PaymentKey


class SubjectKind(StrEnum):
    """What a dossier is about."""

    INVOICE = "invoice"
    QR = "qr"
    PAYMENT = "payment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a dossier is about: the part that its kind names is set, and what that belongs to."""

    kind: SubjectKind
    invoice_id: str | None = None
    """None for a payment: it may be on several invoices, or on none."""
    gateway_invoice_id: UUID | None = None
    payment: PaymentKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFacts:
    """An invoice and its balance as it is projected. Times in these classes are UTC."""

    id: str
    description: str
    due_at: datetime | None
    created_at: datetime
    currency: str
    live: Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFacts:
    """One change of an invoice, and who made it."""

    invoice_id: str
    change: InvoiceChange
    at: datetime
    who: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QrFacts:
    """One QR. `opened_at`, `closing_at` and `ended_at` are None before, and where they were not written down yet."""

    id: UUID
    invoice_id: str
    gateway: str
    generation: int
    number: str
    external_id: str | None
    amount: Money
    state: GatewayInvoiceState
    kept_open: bool
    issued_at: datetime
    opened_at: datetime | None
    closing_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime
    failure_code: str | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackFacts:
    """The callbacks of one QR. What they announced is a hint and proves nothing."""

    gateway_invoice_id: UUID
    first_at: datetime
    last_at: datetime
    count: int
    announced: str | None


class CheckOutcome(StrEnum):
    """What became of a check."""

    ANSWERED = "answered"
    FAILED = "failed"
    """The gateway gave no answer, and is asked again."""
    RUNNING = "running"
    NEVER_FINISHED = "never_finished"
    """Begun, and nobody wrote down how it ended: whoever made it died over it, or lost the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One payment in a gateway's answer: its parts, or why it could not be read."""

    payment_id: str | None
    status: str | None
    amount: Money | None
    unreadable: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFacts:
    """One check of one QR."""

    id: int
    gateway_invoice_id: UUID
    started_at: datetime
    cause: Source
    qr_was_closing: bool
    requests: int
    """How many requests it answers."""
    attempt: int
    awaited_since: datetime | None
    outcome: CheckOutcome
    duration_ms: int | None
    """How long the gateway took; None without an outcome."""
    seen_at: datetime | None
    """The `recorded_at` of the events that it proved; on another clock than `started_at`."""
    rows: int
    """How many payments the gateway showed; `answer` holds the first of them."""
    answer: tuple[AnswerRow, ...]
    new_events: int
    new_discrepancies: int
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFacts:
    """One event as it is stored; its `raw` is left out."""

    position: int
    event: PaymentEvent
    recorded_at: datetime
    reason: str | None
    """Why, for what a person did."""
    moved: bool
    """Another event of the same command took or gave the money: it was moved."""
    other_invoice_id: str | None
    """Where a moved payment came from or went to; None is suspense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscrepancyFacts:
    """One question for a person."""

    id: int
    kind: str
    gateway: str
    invoice_id: str | None
    payment_id: str | None
    detail: str
    state: str
    seen: int
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFacts:
    """What the merchant's application is to be told about an invoice."""

    sequence: int
    type: NotificationType
    at: datetime
    """When it was staged: the `recorded_at` of what it tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """What is recorded about a subject, read at one moment.

    `changes` and `events` are all of the invoices named, also where the subject is less, so that balances can be
    computed. Of checks and discrepancies the newest are here, and the older ones are counted.
    """

    subject: Subject
    invoices: Mapping[str, InvoiceFacts]
    changes: tuple[ChangeFacts, ...]
    qrs: Mapping[UUID, QrFacts]
    callbacks: tuple[CallbackFacts, ...]
    checks: tuple[CheckFacts, ...]
    events: tuple[EventFacts, ...]
    discrepancies: tuple[DiscrepancyFacts, ...]
    notifications: tuple[NotificationFacts, ...]
    """Of an invoice; empty for a QR or a payment."""
    checks_left_out: int
    discrepancies_left_out: int
