"""The ledger: lets a rule decide on what is recorded, under lock, and writes what it decides, in one transaction."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from adapters.postgres.connection import Connection, Pool, Row
from adapters.postgres.queries import load_queries
from domain.discrepancy import Discrepancy
from domain.money import from_minor_units, minor_units
from domain.payment_event import Kind, PaymentEvent
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded, RecordedEvent, RecordedInvoice, RecordedPayment, route_of

_queries = load_queries("ledger")

TRIES = 8
"""How often a decision is made anew because others were faster; each time more is locked, or more is known."""


class LedgerBusyError(Exception):
    """Others changed what a decision was about, time and again. Nothing was written; trying again helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a decision is about: it sees these, locked, and may write to these invoices and no others.

    The invoices that hold a part of one of the payments are found and locked as well.
    """

    invoices: frozenset[str] = frozenset()
    payments: frozenset[PaymentKey] = frozenset()
    gateway_invoices: frozenset[UUID] = frozenset()
    """QRs whose recorded payments are to be seen too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A question that was not open before."""

    id: int
    discrepancy: Discrepancy


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What an append came to."""

    events: tuple[PaymentEvent, ...] = ()
    opened: tuple[Opened, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
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
        about: About,
        decide: Callable[[Recorded], Decision],
        *,
        recorded_at: datetime,
        in_transaction: Callable[[Connection], object] = lambda _: None,
    ) -> Appended:
        """Let `decide` see what is recorded, under lock, and write what it decides: all of it, or nothing.

        One transaction: balances are locked in id order, then payments in key order; events are inserted in key order
        and added to balances, payments and suspense; discrepancies are opened; `in_transaction` runs last (it finishes
        a check request). Where others were faster everything is rolled back and decided anew, so `decide` must have no
        effect of its own. Safe to repeat after an error whose outcome is unknown.

        Raises:
            LedgerBusyError: others were faster each time.
            psycopg.Error: the transaction failed, or nobody knows whether it was committed.

        """
        invoices = about.invoices
        for _ in range(TRIES):
            try:
                with self._pool.connection() as connection, connection.transaction():
                    decision = decide(_lock(connection, about, invoices))
                    opened = _write(connection, decision, recorded_at=recorded_at)
                    in_transaction(connection)
                return Appended(events=decision.events, opened=opened)
            except _DecideAnewError as anew:
                invoices |= anew.also_lock
        raise LedgerBusyError

    def event(self, gateway: str, payment_id: str, *, kind: Kind, ref: str) -> StoredEvent:
        """Read one event.

        Raises:
            LookupError: there is none of that key.

        """
        with self._pool.connection() as connection:
            row = _queries.event_by_key(connection, gateway=gateway, payment_id=payment_id, kind=kind.value, ref=ref)
        if row is None:
            raise LookupError(f"no event {kind} {ref} of {gateway}:{payment_id}")
        return StoredEvent(**row)

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
    ) -> list[StoredEvent]:
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
            return [StoredEvent(**row) for row in rows]

    def balances_unlike_events(self) -> list[str]:
        """Return the invoices whose balance is not the sum of their changes and events; none, if all is well."""
        with self._pool.connection() as connection:
            return [row["invoice_id"] for row in _queries.balances_unlike_events(connection)]


class _DecideAnewError(Exception):
    """Rolls back a transaction whose decision was, or would be, made on less than what is known."""

    def __init__(self, also_lock: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.also_lock = also_lock


def _lock(connection: Connection, about: About, invoice_ids: frozenset[str]) -> Recorded:
    ids = sorted(invoice_ids)
    rows = list(_queries.lock_invoices(connection, invoice_ids=ids))
    routes = _read_routes(connection, [row["invoice_id"] for row in rows if row["payments"]])
    invoices = {row["invoice_id"]: _invoice(row, routes.get(row["invoice_id"], set())) for row in rows}
    if not about.payments and not any(invoice.routes for invoice in invoices.values()):
        return Recorded(invoices=invoices)
    locked = [
        (row["gateway"], row["payment_id"])
        for row in _queries.lock_payments(
            connection,
            gateways=[gateway for gateway, _ in about.payments],
            payment_ids=[payment_id for _, payment_id in about.payments],
            invoice_ids=ids,
            gateway_invoice_ids=list(about.gateway_invoices),
        )
    ]
    payments = _read_payments(connection, locked) if locked else {}
    beyond = _holders(payments) - invoice_ids
    if beyond:
        raise _DecideAnewError(also_lock=beyond)
    return Recorded(invoices=invoices, payments=payments)


def _read_payments(connection: Connection, keys: Sequence[PaymentKey]) -> dict[PaymentKey, RecordedPayment]:
    events: dict[PaymentKey, list[RecordedEvent]] = {}
    gateways, payment_ids = [key[0] for key in keys], [key[1] for key in keys]
    for row in _queries.events_of_payments(connection, gateways=gateways, payment_ids=payment_ids):
        events.setdefault((row["gateway"], row["payment_id"]), []).append(_event(row))
    return {key: RecordedPayment(key=key, events=tuple(events[key])) for key in keys}


def _holders(payments: Mapping[PaymentKey, RecordedPayment]) -> frozenset[str]:
    """Return the invoices that hold, or held, a part of the payments."""
    return frozenset(
        event.invoice_id for payment in payments.values() for event in payment.events if event.invoice_id is not None
    )


def _write(connection: Connection, decision: Decision, *, recorded_at: datetime) -> tuple[Opened, ...]:
    if decision.events:
        (row,) = _queries.append_events(connection, events=_as_json(decision.events), recorded_at=recorded_at)
        if row["events"] != len(decision.events):
            raise _DecideAnewError
        invoice_ids = sorted({event.invoice_id for event in decision.events if event.invoice_id is not None})
        _queries.move_paid_gateway_invoices(connection, invoice_ids=invoice_ids)
    if decision.cleared:
        gateways, payment_ids = zip(*sorted(decision.cleared), strict=True)
        _queries.withdraw_suspicions(connection, gateways=list(gateways), payment_ids=list(payment_ids))
    return _note(connection, decision.discrepancies, now=recorded_at) if decision.discrepancies else ()


def _note(connection: Connection, discrepancies: Sequence[Discrepancy], *, now: datetime) -> tuple[Opened, ...]:
    asked = {(one.kind.value, one.gateway, one.subject, one.fingerprint): one for one in discrepancies}
    rows = _queries.note_discrepancies(
        connection,
        kinds=[one.kind.value for one in asked.values()],
        gateways=[one.gateway for one in asked.values()],
        subjects=[one.subject for one in asked.values()],
        fingerprints=[one.fingerprint for one in asked.values()],
        invoice_ids=[one.invoice_id for one in asked.values()],
        payment_ids=[one.payment_id for one in asked.values()],
        details=[one.detail for one in asked.values()],
        certain=[one.certain for one in asked.values()],
        now=now,
    )
    opened: list[Opened] = []
    for row in rows:
        one = asked[row["kind"], row["gateway"], row["subject"], row["fingerprint"]]
        if row["state"] == "open" and row["seen"] == (1 if one.certain else 2):
            opened.append(Opened(id=row["id"], discrepancy=one))
    return tuple(opened)


def _read_routes(connection: Connection, invoice_ids: list[str]) -> dict[str, set[str]]:
    routes: dict[str, set[str]] = {}
    if invoice_ids:
        for row in _queries.routes_of_invoices(connection, invoice_ids=invoice_ids):
            routes.setdefault(row["invoice_id"], set()).add(route_of(row["gateway"], row["gateway_invoice_id"]))
    return routes


def _invoice(row: Row, routes: set[str]) -> RecordedInvoice:
    return RecordedInvoice(
        id=row["invoice_id"],
        currency=row["currency"],
        due=from_minor_units(row["due_minor"], currency=row["currency"]),
        net=from_minor_units(row["net_minor"], currency=row["currency"]),
        voided=row["voided"],
        routes=frozenset(routes),
    )


def _event(row: Row) -> RecordedEvent:
    return RecordedEvent(
        kind=Kind(row["kind"]),
        ref=row["ref"],
        invoice_id=row["invoice_id"],
        gateway_invoice_id=row["gateway_invoice_id"],
        amount=from_minor_units(row["amount_minor"], currency=row["currency"]),
    )


def _as_json(events: Sequence[PaymentEvent]) -> str:
    """Write events as one parameter: psycopg takes ten times as long over an array for each column."""
    return json.dumps(
        [
            {
                "gateway": event.gateway,
                "payment_id": event.payment_id,
                "kind": event.kind.value,
                "ref": event.ref,
                "invoice_id": event.invoice_id,
                "gateway_invoice_id": None if event.gateway_invoice_id is None else str(event.gateway_invoice_id),
                "amount_minor": minor_units(event.amount),
                "currency": event.amount.currency.code,
                "fee_minor": None if event.fee is None else minor_units(event.fee),
                "occurred_at": event.occurred_at.isoformat(),
                "occurred_at_source": event.occurred_at_source.value,
                "source": event.source.value,
                "raw": event.raw,
                "who": event.who,
            }
            for event in events
        ],
        ensure_ascii=False,
    )
