"""What is known of lines of statements when they are matched: invoices they name, payments they may settle, payers."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from moneyed import Money
from pydantic_core import to_json

from adapters.postgres.connection import Connection, Row
from adapters.postgres.queries import load_queries
from domain.money import from_minor_units, minor_units
from domain.statement_match import NEAR, Facts, InvoiceNamed, KnownPayment, OpenLine
from domain.statement_reference import TELLING_MIN_CHARS, is_telling, references_in, words_in

_queries = load_queries("statements")

PAYER_WORDS_MAX = 20
"""So many words of a line are tried as a receiver's code."""


def facts_of(connection: Connection, lines: Sequence[OpenLine]) -> Facts:
    """Read what is known of lines, in the transaction of the caller."""
    references = {line.id: references_in(line.description) for line in lines}
    named = _named(connection, frozenset().union(*references.values()))
    nameless = [line for line in lines if not any(is_telling(one) and one in named for one in references[line.id])]
    return Facts(
        recorded=recorded(connection, [line.key for line in lines]),
        named=named,
        on_invoices=payments_on(connection, {one.id for invoices in named.values() for one in invoices}),
        near=_near(connection, lines),
        of_payers=_of_payers(connection, nameless),
    )


def recorded(connection: Connection, keys: Sequence[str]) -> dict[str, str | None]:
    """Read, by keys of lines, the invoices on which those that have an event were received."""
    return {row["payment_id"]: row["invoice_id"] for row in _queries.recorded_lines(connection, keys=_as_json(keys))}


def _as_json(texts: Iterable[str]) -> str:
    """Return texts as a parameter for `jsonb_array_elements_text`: psycopg takes ten times as long over an array."""
    return to_json(list(texts)).decode()


def _named(connection: Connection, references: frozenset[str]) -> dict[str, tuple[InvoiceNamed, ...]]:
    found: dict[str, list[InvoiceNamed]] = {}
    for row in _queries.invoices_named(connection, references_=_as_json(references)):
        outstanding = from_minor_units(row["outstanding_minor"], currency=row["currency"])
        invoice = InvoiceNamed(id=row["id"], outstanding=outstanding, voided=row["voided"])
        found.setdefault(row["reference"], []).append(invoice)
    return {reference: tuple(invoices) for reference, invoices in found.items()}


def payments_on(connection: Connection, invoice_ids: set[str]) -> dict[str, tuple[KnownPayment, ...]]:
    """Read, by invoices, the payments of gateways and people that they have had something of."""
    found: dict[str, list[KnownPayment]] = {}
    for row in _queries.payments_on(connection, invoice_ids=_as_json(invoice_ids)):
        invoice_id = row.pop("invoice_id")
        found.setdefault(invoice_id, []).append(known_payment(row | {"invoice_ids": [invoice_id]}))
    return {invoice_id: tuple(payments) for invoice_id, payments in found.items()}


def _near(connection: Connection, lines: Sequence[OpenLine]) -> dict[Money, tuple[KnownPayment, ...]]:
    found: dict[Money, list[KnownPayment]] = {}
    moments = [line.posted_at for line in lines]
    rows = _queries.payments_near(
        connection,
        since=min(moments) - NEAR,
        until=max(moments) + NEAR + timedelta(days=1),
        amounts=sorted({minor_units(line.amount) for line in lines}),
    )
    for row in rows:
        payment = known_payment(row | {"linked": False})
        for amount in payment.arrives_as:
            found.setdefault(amount, []).append(payment)
    return {amount: tuple(payments) for amount, payments in found.items()}


def _of_payers(connection: Connection, lines: Sequence[OpenLine]) -> dict[int, tuple[str, ...]]:
    asked = [
        {
            "id": line.id,
            "account": line.counterparty_account,
            "words": sorted(
                word
                for word in words_in(f"{line.description} , {line.counterparty_name or ''}")
                if len(word) >= TELLING_MIN_CHARS
            )[:PAYER_WORDS_MAX],
            "amount_minor": minor_units(line.amount),
            "currency": line.amount.currency.code,
        }
        for line in lines
    ]
    found: dict[int, list[str]] = {}
    for row in _queries.invoices_of_payers(connection, asked=to_json(asked).decode()):
        found.setdefault(row["line_id"], []).append(row["invoice_id"])
    return {line_id: tuple(invoice_ids) for line_id, invoice_ids in found.items()}


def known_payment(row: Row) -> KnownPayment:
    """Return a row as matching needs it."""
    currency, fee_minor = row["currency"], row["fee_minor"]
    return KnownPayment(
        key=(row["gateway"], row["payment_id"]),
        invoice_ids=frozenset(row["invoice_ids"]),
        amount=from_minor_units(row["amount_minor"], currency=currency),
        fee=None if fee_minor is None else from_minor_units(fee_minor, currency=currency),
        occurred_at=row["occurred_at"],
        reference=row["reference"],
        linked=row["linked"],
        in_cash=row["in_cash"],
    )
