"""Invoices: put by the merchant, read with their balance and their QRs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from adapters.postgres.connection import Connection, Pool, Row
from adapters.postgres.discrepancies import ask_all
from adapters.postgres.queries import load_queries
from domain.balance import Balance
from domain.discrepancy import Discrepancy
from domain.invoice import InvoiceTerms
from domain.money import from_minor_units, minor_units

_queries = load_queries("invoices")


class AmountLockedError(Exception):
    """The invoice has been paid on, so the amount that it asks for can no longer be put."""


class InvoiceVoidError(Exception):
    """The invoice is void and can no longer be put."""


class Put(StrEnum):
    """What became of an invoice that was put."""

    CREATED = "created"
    CHANGED = "changed"
    """It was there; now it asks for what was put, which may be the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInvoiceSummary:
    """One QR of an invoice. Times are UTC."""

    id: UUID
    gateway: str
    generation: int
    state: str
    amount_minor: int
    currency: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRecord:
    """An invoice as it stands, with its projected balance and its QRs by gateway and generation. Times are UTC."""

    id: str
    description: str
    receiver_code: str
    due_at: datetime | None
    voided_at: datetime | None
    currency: str
    due_minor: int
    received_minor: int
    refunded_minor: int
    outstanding_minor: int
    overpaid_minor: int
    status: str
    payments: int
    first_paid_at: datetime | None
    last_paid_at: datetime | None
    gateway_invoices: tuple[GatewayInvoiceSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided:
    """What came of a void."""

    again: bool
    """It was void before."""
    opened: Sequence[Discrepancy]


class Invoices:
    """The invoices of the merchant. Each method is one transaction, committed when it returns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def put(self, invoice_id: str, *, terms: InvoiceTerms, now: datetime, who: str) -> Put:
        """Make the invoice, or change it to these terms. Two at once are one after the other.

        A change of amount lets open QRs be closed; it is refused once money was received.

        Raises:
            AmountLockedError: another amount, after a payment.
            InvoiceVoidError: the invoice is void.

        """
        words = {"description": terms.description, "receiver_code": terms.receiver_code, "due_at": terms.due_at}
        amount_minor, currency = minor_units(terms.amount), terms.amount.currency.code
        asked = {"invoice_id": invoice_id, "amount_minor": amount_minor, "currency": currency, "who": who, "now": now}
        with self._pool.connection() as connection, connection.transaction():
            if _queries.insert_invoice(connection, id=invoice_id, now=now, **words):
                _queries.insert_amount_change(connection, **asked)
                _queries.insert_balance(connection, invoice_id=invoice_id, currency=currency, due_minor=amount_minor)
                return Put.CREATED
            row = _queries.lock_balance(connection, invoice_id=invoice_id)
            if row["voided_at"] is not None:
                raise InvoiceVoidError
            if row["due_minor"] != amount_minor:
                if row["payments"]:
                    raise AmountLockedError
                _queries.insert_amount_change(connection, **asked)
                _queries.update_due(connection, invoice_id=invoice_id, due_minor=amount_minor)
                _queries.close_open_gateway_invoices(connection, invoice_id=invoice_id)
            _queries.update_description(connection, id=invoice_id, **words)
            return Put.CHANGED

    def void(
        self,
        invoice_id: str,
        *,
        reason: str,
        now: datetime,
        who: str,
        ask: Callable[[Balance], Sequence[Discrepancy]] = lambda _: (),
    ) -> Voided | None:
        """Let nothing be due on an invoice any more, its open QRs be closed, and ask what that raises.

        All of it or nothing. An invoice that is void stays void since when it was; twice is once. Returns what came of
        it; None when there is no such invoice.
        """
        with self._pool.connection() as connection, connection.transaction():
            balance = lock_balance(connection, invoice_id)
            if balance is None:
                return None
            if not balance.voided:
                _queries.insert_void_change(connection, invoice_id=invoice_id, reason=reason, who=who, now=now)
                _queries.update_voided(connection, invoice_id=invoice_id, now=now)
                _queries.close_open_gateway_invoices(connection, invoice_id=invoice_id)
            questions = ask(balance)
            opened = ask_all(connection, questions, now=now) if questions else 0
            return Voided(again=balance.voided, opened=questions if opened else ())

    def read(self, invoice_id: str) -> InvoiceRecord | None:
        """Read an invoice as it stands; None when there is none."""
        with self._pool.connection() as connection:
            rows: list[Row] = list(_queries.read_invoice(connection, id=invoice_id))
        if not rows:
            return None
        first = rows[0]
        return InvoiceRecord(
            **{name: first[name] for name in _OF_INVOICE},
            gateway_invoices=tuple(_summary(row) for row in rows if row["qr_id"] is not None),
        )


_OF_INVOICE = tuple(field.name for field in fields(InvoiceRecord) if field.name != "gateway_invoices")
_OF_QR = tuple((field.name, f"qr_{field.name}") for field in fields(GatewayInvoiceSummary))


def _summary(row: Row) -> GatewayInvoiceSummary:
    return GatewayInvoiceSummary(**{name: row[column] for name, column in _OF_QR})


def lock_balance(connection: Connection, invoice_id: str) -> Balance | None:
    """Read and lock an invoice's balance in the caller's transaction; None when there is no such invoice."""
    row: Row | None = _queries.lock_balance(connection, invoice_id=invoice_id)
    if row is None:
        return None
    currency = row["currency"]
    return Balance(
        due=from_minor_units(row["due_minor"], currency=currency),
        received=from_minor_units(row["received_minor"], currency=currency),
        refunded=from_minor_units(row["refunded_minor"], currency=currency),
        voided=row["voided_at"] is not None,
        payments=row["payments"],
        first_paid_at=row["first_paid_at"],
        last_paid_at=row["last_paid_at"],
    )
