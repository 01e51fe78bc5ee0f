"""Those who record payments: our ledger, the usual inline handler, and the library `eventsourcing`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.ledger import Ledger
from tests.adapters.postgres.samples import append
from tests.bench.contest import DUE_MINOR, Answer, analyse, balances_in, in_groups
from tests.bench.database import load_bench_queries, seed_qrs
from tests.bench.payments import an_event

_sql = load_bench_queries("peers")

CATCH_UP_LIMIT_S = 600.0
PREFIX = "order"
SEED_STEP = 500


# --- Ours ------------------------------------------------------------------------------------------------------------


class OurLedger:
    """One transaction for each group of answers: of one answer, or of some 500 rows."""

    def __init__(self, url: str, pool: Pool, qrs: dict[str, UUID], *, rows_together: int) -> None:
        self._url = url
        self._pool = pool
        self._ledger = Ledger(pool)
        self._qrs = qrs
        self._rows_together = rows_together

    def record(self, answers: Sequence[Answer], /) -> None:
        for group in in_groups(answers, self._rows_together):
            events = [
                an_event(
                    row.payment_id,
                    invoice_id=answer.invoice_id,
                    qr=self._qrs[answer.invoice_id],
                    amount_minor=row.amount_minor,
                    raw=row.raw,
                )
                for answer in group
                for row in answer.rows
            ]
            append(self._ledger, events)

    def analyse(self) -> None:
        analyse(self._url)

    def balances(self) -> dict[str, int]:
        with self._pool.connection() as connection:
            return {row["invoice_id"]: row["received_minor"] for row in _sql.our_balances(connection)}


@contextmanager
def our_ledger(url: str, *, invoices: int, rows_together: int) -> Iterator[OurLedger]:
    qrs = seed_qrs(url, invoices, prefix=PREFIX, due_minor=DUE_MINOR)
    with open_pool(url, size=1) as pool:
        yield OurLedger(url, pool, {qr.invoice_id: qr.gateway_invoice_id for qr in qrs}, rows_together=rows_together)


# --- The usual inline handler ----------------------------------------------------------------------------------------


class InlineHandler:
    """For each row one transaction: look for the payment; if it is not there, insert it and add it to its invoice."""

    def __init__(self, url: str, connection: psycopg.Connection[Any]) -> None:
        self._url = url
        self._connection = connection

    def record(self, answers: Sequence[Answer], /) -> None:
        for answer in answers:
            for row in answer.rows:
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    known = cursor.execute(_sql.find_payment.sql, {"payment_id": row.payment_id}).fetchone()
                    if known is None:
                        payment = {
                            "payment_id": row.payment_id,
                            "invoice_id": answer.invoice_id,
                            "amount": row.amount_minor,
                            "raw": json.dumps(row.raw, ensure_ascii=False),
                        }
                        cursor.execute(_sql.insert_payment.sql, payment)
                        cursor.execute(_sql.add_to_invoice.sql, payment)

    def analyse(self) -> None:
        analyse(self._url)

    def balances(self) -> dict[str, int]:
        return dict(self._connection.execute(_sql.paid_amounts.sql).fetchall())


@contextmanager
def inline_handler(url: str, *, invoice_ids: Sequence[str]) -> Iterator[InlineHandler]:
    with psycopg.connect(url) as connection:
        _sql.create_tables(connection)
        _sql.insert_invoices(connection, ids=list(invoice_ids), amount=DUE_MINOR)
        connection.commit()
        yield InlineHandler(url, connection)


# --- eventsourcing ---------------------------------------------------------------------------------------------------


class PaidInvoice(Aggregate):
    """An aggregate for each invoice; it knows its payments, so it takes each of them once."""

    class Received(Aggregate.Event):
        invoice_id: str
        payment_id: str
        amount: int
        raw: dict[str, object]

    @event("Opened")
    def __init__(self, invoice_id: str) -> None:
        self.invoice_id = invoice_id
        self.received = 0
        self.payments: set[str] = set()

    @staticmethod
    def create_id(invoice_id: str) -> UUID:
        return uuid5(NAMESPACE_URL, f"/invoices/{invoice_id}")

    def receive(self, payment_id: str, amount: int, raw: dict[str, object]) -> None:
        if payment_id not in self.payments:
            self._receive(self.invoice_id, payment_id, amount, raw)

    @event(Received)
    def _receive(self, invoice_id: str, payment_id: str, amount: int, raw: dict[str, object]) -> None:  # noqa: ARG002 - they are what the event keeps
        self.received += amount
        self.payments.add(payment_id)


class Payments(Application[UUID]):
    """The application: aggregates are cached, so none is read twice."""

    def open(self, invoice_ids: Sequence[str]) -> None:
        for start in range(0, len(invoice_ids), SEED_STEP):
            self.save(*[PaidInvoice(invoice_id) for invoice_id in invoice_ids[start : start + SEED_STEP]])

    def receive(self, answers: Sequence[Answer]) -> int | None:
        """Record some answers in one transaction; returns where the projection must have come to."""
        invoices: dict[UUID, PaidInvoice] = {}
        for answer in answers:
            id_ = PaidInvoice.create_id(answer.invoice_id)
            invoice = invoices.get(id_) or self.repository.get(id_)
            invoices[id_] = invoice
            for row in answer.rows:
                invoice.receive(row.payment_id, row.amount_minor, row.raw)
        recordings = self.save(*invoices.values())
        return recordings[-1].notification.id if recordings else None


class BalanceView(PostgresTrackingRecorder):
    """The materialised view: balances, each update recorded together with how far it came."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)

    def add(self, invoice_id: str, amount: int, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(_sql.project_payment.sql, {"invoice_id": invoice_id, "amount": amount}, prepare=True)


class Balances(Projection[BalanceView]):
    topics = (get_topic(PaidInvoice.Received),)

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.add(domain_event.invoice_id, domain_event.amount, tracking)


class EventSourced:
    """A save for each group of answers; done when the projection has come to its last event."""

    def __init__(self, url: str, runner: "ProjectionRunner[Payments, BalanceView]", *, rows_together: int) -> None:
        self._url = url
        self._runner = runner
        self._rows_together = rows_together

    def record(self, answers: Sequence[Answer], /) -> None:
        position: int | None = None
        for group in in_groups(answers, self._rows_together):
            position = self._runner.app.receive(group) or position
        self._runner.wait(position, timeout=CATCH_UP_LIMIT_S)

    def analyse(self) -> None:
        analyse(self._url)

    def balances(self) -> dict[str, int]:
        with psycopg.connect(self._url) as connection:
            return balances_in(connection, _sql.projected_balances.sql)


@contextmanager
def event_sourced(url: str, *, invoice_ids: Sequence[str], rows_together: int) -> Iterator[EventSourced]:
    with psycopg.connect(url) as connection:
        _sql.create_view(connection)
    with ProjectionRunner(
        application_class=Payments,
        projection_class=Balances,
        view_class=BalanceView,
        env=_environment(url, invoices=len(invoice_ids)),
    ) as runner:
        runner.app.open(invoice_ids)
        yield EventSourced(url, runner, rows_together=rows_together)


def _environment(url: str, *, invoices: int) -> dict[str, str]:
    """What its documentation offers to be fast: its database functions, and every aggregate cached without copying."""
    parts = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts["port"]),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": "",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
        "AGGREGATE_CACHE_MAXSIZE": str(invoices),
        "AGGREGATE_CACHE_FASTFORWARD": "n",
        "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
    }
