"""Dossiers: all that is recorded about an invoice, a QR or a payment, read in one snapshot."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from adapters.postgres.connection import Connection, Pool, Row
from adapters.postgres.queries import load_queries
from domain.balance import Balance
from domain.check_request import LEASE_S
from domain.dossier import (
    AnswerRow,
    CallbackFacts,
    ChangeFacts,
    CheckFacts,
    CheckOutcome,
    DiscrepancyFacts,
    Dossier,
    EventFacts,
    InvoiceFacts,
    NotificationFacts,
    QrFacts,
    Subject,
    SubjectKind,
)
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import from_minor_units
from domain.notification import NotificationType
from domain.pay_link import GatewayInvoiceState
from domain.payment_event import Kind, OccurredAtSource, PaymentEvent, Source

_queries = load_queries("dossiers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The dossier of what a text names first, and what else it names."""

    dossier: Dossier
    others: tuple[Subject, ...]


class Dossiers:
    """Reads dossiers; writes nothing."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def read(self, text: str, *, checks_max: int, discrepancies_max: int) -> Found | None:
        """Read what is recorded about whatever `text` names; None when it names nothing.

        An invoice by its id; else a QR by our id of it, the gateway's, or its number there; else a payment by its id,
        or by `gateway:id`. One snapshot: what is appended meanwhile is seen whole or not at all. Memory grows with the
        events; of checks and discrepancies the newest are read, and the others counted.
        """
        with self._pool.connection() as connection, connection.transaction():
            _queries.begin_snapshot(connection)
            subjects = _find(connection, text)
            if not subjects:
                return None
            dossier = _read(connection, subjects[0], checks_max=checks_max, discrepancies_max=discrepancies_max)
            return Found(dossier=dossier, others=tuple(subjects[1:]))


def _find(connection: Connection, text: str) -> list[Subject]:
    gateway_invoice_id: UUID | None = None
    with suppress(ValueError):
        gateway_invoice_id = UUID(text)
    gateway, _, payment_id = text.partition(":")
    rows = _queries.find_subjects(connection, text=text, id=gateway_invoice_id, gateway=gateway, payment_id=payment_id)
    return [
        Subject(
            kind=SubjectKind(row["kind"]),
            invoice_id=row["invoice_id"],
            gateway_invoice_id=row["gateway_invoice_id"],
            payment=(row["gateway"], row["payment_id"]) if row["payment_id"] is not None else None,
        )
        for row in rows
    ]


def _read(connection: Connection, subject: Subject, *, checks_max: int, discrepancies_max: int) -> Dossier:
    invoice_ids, qr_ids = _places(connection, subject)
    gateway, payment_id = subject.payment or (None, None)
    whole = subject.kind is SubjectKind.INVOICE
    qrs = {row["id"]: _qr(row) for row in _queries.read_qrs(connection, invoice_ids=invoice_ids * whole, ids=qr_ids)}
    ids = list(qrs)
    events = tuple(
        _event(row)
        for row in _queries.read_events(connection, invoice_ids=invoice_ids, gateway=gateway, payment_id=payment_id)
    )
    payments = sorted(_payments(subject, events))
    about = {
        "invoice_ids": invoice_ids * whole,
        "gateways": [gateway for gateway, _ in payments],
        "payment_ids": [payment_id for _, payment_id in payments],
    }
    checks = [_check(row) for row in _queries.read_checks(connection, ids=ids, page=checks_max, lease_s=LEASE_S)]
    questions = [
        DiscrepancyFacts(**row) for row in _queries.read_discrepancies(connection, page=discrepancies_max, **about)
    ]
    return Dossier(
        subject=subject,
        invoices={row["id"]: _invoice(row) for row in _queries.read_invoices(connection, invoice_ids=invoice_ids)},
        changes=tuple(_change(row) for row in _queries.read_changes(connection, invoice_ids=invoice_ids)),
        qrs=qrs,
        callbacks=tuple(CallbackFacts(**row) for row in _queries.read_callbacks(connection, ids=ids)),
        checks=tuple(reversed(checks)),
        events=events,
        discrepancies=tuple(reversed(questions)),
        notifications=tuple(
            NotificationFacts(sequence=row["sequence"], type=NotificationType(row["type"]), at=row["staged_at"])
            for row in _queries.read_notifications(connection, invoice_ids=invoice_ids * whole)
        ),
        checks_left_out=_queries.count_checks(connection, ids=ids) - len(checks),
        discrepancies_left_out=_queries.count_discrepancies(connection, **about) - len(questions),
    )


def _places(connection: Connection, subject: Subject) -> tuple[list[str], list[UUID]]:
    """Return the invoices and the single QRs that a subject is about."""
    if subject.payment is None:
        qr_id = subject.gateway_invoice_id
        return [subject.invoice_id or ""], [] if qr_id is None else [qr_id]
    gateway, payment_id = subject.payment
    rows = list(_queries.places_of_payment(connection, gateway=gateway, payment_id=payment_id))
    invoice_ids = {row["invoice_id"] for row in rows} - {None}
    qr_ids = {row["gateway_invoice_id"] for row in rows} - {None}
    return sorted(invoice_ids), sorted(qr_ids)


def _payments(subject: Subject, events: Iterable[EventFacts]) -> set[tuple[str, str]]:
    """Return the payments whose questions belong to a subject."""
    match subject.kind:
        case SubjectKind.PAYMENT:
            return {subject.payment} if subject.payment else set()
        case SubjectKind.QR:
            mine = (one.event for one in events if one.event.gateway_invoice_id == subject.gateway_invoice_id)
        case SubjectKind.INVOICE:
            mine = (one.event for one in events)
    return {(event.gateway, event.payment_id) for event in mine}


def _invoice(row: Row) -> InvoiceFacts:
    currency = row["currency"]
    live = Balance(
        due=from_minor_units(row["due_minor"], currency=currency),
        received=from_minor_units(row["received_minor"], currency=currency),
        refunded=from_minor_units(row["refunded_minor"], currency=currency),
        voided=row["voided_at"] is not None,
        payments=row["payments"],
        first_paid_at=row["first_paid_at"],
        last_paid_at=row["last_paid_at"],
    )
    words = {name: row[name] for name in ("id", "description", "due_at", "created_at")}
    return InvoiceFacts(currency=currency, live=live, **words)


def _change(row: Row) -> ChangeFacts:
    amount_minor = row["amount_minor"]
    change = InvoiceChange(
        position=row["position"],
        kind=ChangeKind(row["kind"]),
        amount=None if amount_minor is None else from_minor_units(amount_minor, currency=row["currency"]),
    )
    return ChangeFacts(
        invoice_id=row["invoice_id"], change=change, at=row["changed_at"], who=row["who"], reason=row["reason"]
    )


def _qr(row: Row) -> QrFacts:
    amount = from_minor_units(row.pop("amount_minor"), currency=row.pop("currency"))
    return QrFacts(amount=amount, state=GatewayInvoiceState(row.pop("state")), **row)


def _check(row: Row) -> CheckFacts:
    closing = row.pop("gateway_invoice_state") == GatewayInvoiceState.CLOSING.value
    answer = tuple(_answer_row(one) for one in row.pop("answer") or ())
    cause, outcome = Source(row.pop("cause")), CheckOutcome(row.pop("outcome"))
    return CheckFacts(
        qr_was_closing=closing,
        answer=answer,
        cause=cause,
        outcome=outcome,
        rows=row.pop("answer_rows") or 0,
        new_events=row.pop("new_events") or 0,
        new_discrepancies=row.pop("new_discrepancies") or 0,
        **row,
    )


def _answer_row(one: Row) -> AnswerRow:
    if "unreadable" in one:
        return AnswerRow(payment_id=None, status=None, amount=None, unreadable=one["unreadable"])
    amount = from_minor_units(one["amountMinor"], currency=one["currency"])
    return AnswerRow(payment_id=one["paymentId"], status=one["status"], amount=amount, unreadable=None)


def _event(row: Row) -> EventFacts:
    currency, fee_minor = row["currency"], row["fee_minor"]
    event = PaymentEvent(
        gateway=row["gateway"],
        payment_id=row["payment_id"],
        kind=Kind(row["kind"]),
        ref=row["ref"],
        invoice_id=row["invoice_id"],
        gateway_invoice_id=row["gateway_invoice_id"],
        amount=from_minor_units(row["amount_minor"], currency=currency),
        fee=None if fee_minor is None else from_minor_units(fee_minor, currency=currency),
        occurred_at=row["occurred_at"],
        occurred_at_source=OccurredAtSource(row["occurred_at_source"]),
        source=Source(row["source"]),
        raw={},
        who=row["who"],
    )
    told = {name: row[name] for name in ("position", "recorded_at", "reason", "moved", "other_invoice_id")}
    return EventFacts(event=event, **told)
