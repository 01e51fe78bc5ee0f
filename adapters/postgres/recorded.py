"""What is recorded at one moment, with what tells whether it still is so when a decision on it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.postgres.connection import Connection, Row
from adapters.postgres.queries import load_queries
from domain.money import from_minor_units
from domain.payment_event import Kind, OccurredAtSource
from domain.recorded import (
    BankMoney,
    PaymentKey,
    Recorded,
    RecordedEvent,
    RecordedInvoice,
    RecordedPayment,
    route_of,
)

_queries = load_queries("ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a decision is about: it sees these, and may write to these invoices and no others.

    The invoices that hold a part of one of the payments are found and seen as well.
    """

    invoices: frozenset[str] = frozenset()
    payments: frozenset[PaymentKey] = frozenset()
    gateway_invoices: frozenset[UUID] = frozenset()
    """QRs of these invoices; the payments that were seen on them before are to be seen too."""
    reference_keys: Mapping[PaymentKey, str] = field(default_factory=dict)
    """Of payments that are told apart by something else as well: where the gateway's row has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was recorded, and what PostgreSQL compares to tell whether it still is."""

    recorded: Recorded
    balances: Sequence[Row]
    """Of each balance what no event and no change leaves as it was; amounts in minor units."""

    @property
    def payments(self) -> list[PaymentKey]:
        """The payments that had events."""
        return sorted(self.recorded.payments)

    @property
    def events(self) -> int:
        """How many events these payments had. None is ever taken away, so the number says whether there are more."""
        return sum(len(payment.events) for payment in self.recorded.payments.values())


def nothing_paid(invoice_id: str, *, due_minor: int, currency: str) -> Seen:
    """Return what is recorded about an invoice that is not void, that no money ever came to, and about new payments."""
    balance: Row = {
        "invoice_id": invoice_id,
        "currency": currency,
        "due_minor": due_minor,
        "received_minor": 0,
        "refunded_minor": 0,
        "payments": 0,
        "voided": False,
    }
    return Seen(recorded=Recorded(invoices={invoice_id: _invoice(balance, routes=())}), balances=[balance])


def lock(connection: Connection, about: About) -> None:
    """Lock balances in id order, then payments in key order, to the end of the transaction."""
    gateways, payment_ids = _columns(about.payments)
    _queries.lock_invoices(connection, invoice_ids=sorted(about.invoices))
    _queries.lock_payments(connection, gateways=gateways, payment_ids=payment_ids)


def see(connection: Connection, about: About) -> Seen:
    """Read what is recorded, in one snapshot."""
    gateways, payment_ids = _columns(about.payments)
    row = _queries.recorded(
        connection,
        invoice_ids=sorted(about.invoices),
        gateways=gateways,
        payment_ids=payment_ids,
        gateway_invoice_ids=list(about.gateway_invoices),
    )
    references = _references(connection, about.reference_keys) if about.reference_keys else {}
    routes = {balance["invoice_id"]: balance.pop("routes") or () for balance in row["balances"]}
    by_bank = {balance["invoice_id"]: balance.pop("by_bank") or () for balance in row["balances"]}
    return Seen(
        recorded=Recorded(
            invoices={
                one["invoice_id"]: _invoice(one, routes=routes[one["invoice_id"]], by_bank=by_bank[one["invoice_id"]])
                for one in row["balances"]
            },
            payments=_payments(row["events"], references),
        ),
        balances=row["balances"],
    )


def holders(payments: Mapping[PaymentKey, RecordedPayment]) -> frozenset[str]:
    """Return the invoices that hold, or held, a part of the payments."""
    return frozenset(
        event.invoice_id for payment in payments.values() for event in payment.events if event.invoice_id is not None
    )


def _columns(payments: frozenset[PaymentKey]) -> tuple[list[str], list[str]]:
    return [gateway for gateway, _ in payments], [payment_id for _, payment_id in payments]


def _invoice(
    balance: Row, *, routes: Sequence[tuple[str, str | None]], by_bank: Sequence[tuple[str, int, str]] = ()
) -> RecordedInvoice:
    currency = balance["currency"]
    lacking = 0 if balance["voided"] else max(0, balance["due_minor"] - balance["received_minor"])
    return RecordedInvoice(
        id=balance["invoice_id"],
        currency=currency,
        due=from_minor_units(balance["due_minor"], currency=currency),
        net=from_minor_units(balance["received_minor"] - balance["refunded_minor"], currency=currency),
        outstanding=from_minor_units(lacking, currency=currency),
        voided=balance["voided"],
        by_bank=tuple(
            BankMoney(
                payment_id=payment_id,
                amount=from_minor_units(amount_minor, currency=currency),
                occurred_at=datetime.fromisoformat(at),
            )
            for payment_id, amount_minor, at in by_bank
        ),
        routes=frozenset(route_of(gateway, UUID(qr) if qr else None) for gateway, qr in routes),
    )


def _references(connection: Connection, keys: Mapping[PaymentKey, str]) -> dict[PaymentKey, str]:
    """Read what else payments were told apart by when they were received. Events never change, so any snapshot does."""
    gateways, payment_ids = _columns(frozenset(keys))
    rows = _queries.references_of(
        connection,
        gateways=gateways,
        payment_ids=payment_ids,
        reference_keys=[keys[one] for one in zip(gateways, payment_ids, strict=True)],
    )
    return {(row["gateway"], row["payment_id"]): row["reference"] for row in rows}


def _payments(rows: Sequence[Sequence[Any]], references: Mapping[PaymentKey, str]) -> dict[PaymentKey, RecordedPayment]:
    events: dict[PaymentKey, list[RecordedEvent]] = {}
    for gateway, payment_id, kind, ref, invoice_id, qr, amount_minor, currency, at, at_source, reason in rows:
        event = RecordedEvent(
            kind=Kind(kind),
            ref=ref,
            invoice_id=invoice_id,
            gateway_invoice_id=UUID(qr) if qr else None,
            amount=from_minor_units(amount_minor, currency=currency),
            occurred_at=datetime.fromisoformat(at),
            occurred_at_source=OccurredAtSource(at_source),
            reason=reason,
            reference=references.get((gateway, payment_id)) if kind == Kind.RECEIVED else None,
        )
        events.setdefault((gateway, payment_id), []).append(event)
    return {key: RecordedPayment(key=key, events=tuple(known)) for key, known in events.items()}
