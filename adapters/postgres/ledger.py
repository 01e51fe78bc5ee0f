"""The ledger: appends payment events and adds what was really inserted to the balances, in one transaction."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.postgres.connection import Connection, Pool, Row
from adapters.postgres.queries import load_queries
from domain.money import from_minor_units, minor_units
from domain.payment_event import PaymentEvent
from domain.reconciler import Discrepancy, DiscrepancyKind

_queries = load_queries("ledger")

EventKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What an append came to."""

    events: tuple[PaymentEvent, ...]
    """Those that were not known before."""
    discrepancies: tuple[Discrepancy, ...]
    """Stored events that differ from what was given under the same key; the stored ones stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPayment:
    """One event as it is stored. Times are UTC; amounts are in minor units."""

    position: int
    gateway: str
    payment_id: str
    kind: str
    invoice_id: str | None
    amount_minor: int
    currency: str
    fee_minor: int | None
    occurred_at: datetime
    occurred_at_source: str
    recorded_at: datetime
    source: str


class Ledger:
    """Payment events and the balances that they come to."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def append(
        self,
        events: Sequence[PaymentEvent],
        *,
        recorded_at: datetime,
        in_transaction: Callable[[Connection], object] = lambda _: None,
    ) -> Appended:
        """Append those events that are not known yet, and project them; nothing is done twice, or by half.

        One transaction: balances are locked in id order, events inserted in key order, a known one is compared with
        what is stored, and `in_transaction` runs last (it finishes the check request). Safe to repeat after an error
        whose outcome is unknown.

        Raises:
            psycopg.Error: the transaction failed, or nobody knows whether it was committed.

        """
        with self._pool.connection() as connection, connection.transaction():
            appended = self._append(connection, events, recorded_at=recorded_at)
            in_transaction(connection)
        return appended

    def payments(
        self,
        *,
        after: int,
        page: int,
        invoice_id: str | None = None,
        gateway: str | None = None,
        occurred_from: datetime | None = None,
        occurred_to: datetime | None = None,
        unmatched: bool = False,
    ) -> list[RecordedPayment]:
        """Read up to `page` events behind position `after`, oldest position first; `occurred_to` is exclusive."""
        with self._pool.connection() as connection:
            rows = _queries.events_page(
                connection,
                invoice_id=invoice_id,
                gateway=gateway,
                occurred_from=occurred_from,
                occurred_to=occurred_to,
                unmatched=unmatched,
                after=after,
                page=page,
            )
            return [RecordedPayment(**row) for row in rows]

    def balances_unlike_events(self) -> list[str]:
        """Return the invoices whose balance is not the sum of their changes and events; none, if all is well."""
        with self._pool.connection() as connection:
            return [row["invoice_id"] for row in _queries.balances_unlike_events(connection)]

    def _append(self, connection: Connection, events: Sequence[PaymentEvent], *, recorded_at: datetime) -> Appended:
        if not events:
            return Appended(events=(), discrepancies=())
        invoice_ids = sorted({event.invoice_id for event in events if event.invoice_id is not None})
        _drain(_queries.lock_balances(connection, invoice_ids=invoice_ids))
        inserted = {_key(row) for row in _queries.append_events(connection, **_columns(events, recorded_at))}
        new = tuple(event for event in events if event.key in inserted)
        known = [event for event in events if event.key not in inserted]
        if new:
            _queries.move_paid_gateway_invoices(connection, invoice_ids=invoice_ids)
        return Appended(events=new, discrepancies=self._compare(connection, known))

    def _compare(self, connection: Connection, known: Sequence[PaymentEvent]) -> tuple[Discrepancy, ...]:
        if not known:
            return ()
        columns = _columns(known, known[0].occurred_at)
        keys = {name: columns[name] for name in ("gateways", "payment_ids", "kinds", "refs")}
        stored = {_key(row): row for row in _queries.stored_events(connection, **keys)}
        return tuple(
            _changed(event, stored[event.key]) for event in known if not _is_the_same(event, stored[event.key])
        )


def _columns(events: Sequence[PaymentEvent], recorded_at: datetime) -> dict[str, object]:
    return {
        "gateways": [event.gateway for event in events],
        "payment_ids": [event.payment_id for event in events],
        "kinds": [event.kind.value for event in events],
        "refs": [event.ref for event in events],
        "invoice_ids": [event.invoice_id for event in events],
        "gateway_invoice_ids": [event.gateway_invoice_id for event in events],
        "amounts_minor": [minor_units(event.amount) for event in events],
        "currencies": [event.amount.currency.code for event in events],
        "fees_minor": [None if event.fee is None else minor_units(event.fee) for event in events],
        "occurred_ats": [event.occurred_at for event in events],
        "occurred_at_sources": [event.occurred_at_source.value for event in events],
        "recorded_at": recorded_at,
        "sources": [event.source.value for event in events],
        "raws": [json.dumps(event.raw, ensure_ascii=False) for event in events],
        "whos": [event.who for event in events],
    }


def _key(row: Row) -> EventKey:
    return (row["gateway"], row["payment_id"], row["kind"], row["ref"])


def _is_the_same(event: PaymentEvent, stored: Row) -> bool:
    return (event.invoice_id, minor_units(event.amount), event.amount.currency.code) == (
        stored["invoice_id"],
        stored["amount_minor"],
        stored["currency"],
    )


def _changed(event: PaymentEvent, stored: Row) -> Discrepancy:
    was = from_minor_units(stored["amount_minor"], currency=stored["currency"])
    return Discrepancy(
        kind=DiscrepancyKind.CHANGED_ROW,
        payment_id=event.payment_id,
        detail=f"recorded as {was} on {stored['invoice_id']}, now {event.amount} on {event.invoice_id}",
    )


def _drain(rows: object) -> None:
    """Run a query whose rows do not matter: aiosql runs it only when it is consumed."""
    list(rows)  # type: ignore[call-overload]  # aiosql is untyped
