"""The ledger appends each payment once, whoever comes how often at the same moment, and projects what it appended."""

import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.connection import Connection, Pool
from adapters.postgres.invoices import InvoiceRecord, Invoices
from adapters.postgres.ledger import Ledger
from domain.balance import fold
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import minor_units, money
from domain.payment_event import Kind, PaymentEvent
from domain.reconciler import DiscrepancyKind
from tests.adapters.postgres.samples import NOON, open_qr, put
from tests.domain.samples import an_event


def read(invoices: Invoices, invoice_id: str = "order-1") -> InvoiceRecord:
    record = invoices.read(invoice_id)
    assert record is not None
    return record


def test_two_parts_sum(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices, amount="100")

    ledger.append([an_event("1", amount="40")], recorded_at=NOON)
    halfway = read(invoices)
    ledger.append([an_event("2", amount="60", minutes=5)], recorded_at=NOON)
    done = read(invoices)

    assert (halfway.status, halfway.outstanding_minor) == ("partially_paid", 6_000)
    assert (done.status, done.received_minor, done.payments) == ("paid", 10_000, 2)
    assert done.last_paid_at != done.first_paid_at
    assert ledger.balances_unlike_events() == []


def test_a_hundred_appends_of_one_payment_at_once_make_one_event(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)

    with ThreadPoolExecutor(max_workers=16) as threads:
        appended = list(threads.map(lambda _: ledger.append([an_event()], recorded_at=NOON), range(100)))

    assert sum(len(one.events) for one in appended) == 1
    assert all(one.discrepancies == () for one in appended)
    assert (read(invoices).received_minor, read(invoices).payments) == (10_000, 1)


def test_appends_in_opposite_orders_neither_deadlock_nor_lose_a_delta(invoices: Invoices, ledger: Ledger) -> None:
    ids = [f"order-{number}" for number in range(6)]
    for invoice_id in ids:
        put(invoices, invoice_id)

    def append(number: int) -> None:
        events = [an_event(f"{number}-{invoice_id}", amount="1", invoice_id=invoice_id) for invoice_id in ids]
        random.Random(number).shuffle(events)  # noqa: S311 - an order, not a secret
        ledger.append(events, recorded_at=NOON)

    with ThreadPoolExecutor(max_workers=12) as threads:
        list(threads.map(append, range(60)))

    assert {read(invoices, invoice_id).payments for invoice_id in ids} == {60}
    assert ledger.balances_unlike_events() == []


def test_a_known_payment_with_another_amount_is_a_question_and_the_event_stays(
    invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    ledger.append([an_event(amount="100")], recorded_at=NOON)

    again = ledger.append([an_event(amount="90")], recorded_at=NOON)

    assert again.events == ()
    assert [discrepancy.kind for discrepancy in again.discrepancies] == [DiscrepancyKind.CHANGED_ROW]
    assert read(invoices).received_minor == 10_000


def test_what_runs_in_the_transaction_takes_the_events_down_with_it(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)

    def fail(_: Connection) -> None:
        raise RuntimeError("the check request cannot be finished")

    with pytest.raises(RuntimeError):
        ledger.append([an_event()], recorded_at=NOON, in_transaction=fail)

    assert ledger.payments(after=0, page=10) == []
    assert read(invoices).received_minor == 0


def test_a_qr_is_settled_when_its_own_amount_has_been_paid_on_it(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    qr = open_qr(pool)

    ledger.append([an_event("1", amount="40", gateway_invoice_id=qr)], recorded_at=NOON)
    assert [summary.state for summary in read(invoices).gateway_invoices] == ["open"]
    ledger.append([an_event("2", amount="60", gateway_invoice_id=qr)], recorded_at=NOON)

    assert [summary.state for summary in read(invoices).gateway_invoices] == ["settled"]


def test_a_qr_of_an_invoice_that_was_paid_elsewhere_is_to_be_closed(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    open_qr(pool)

    ledger.append([an_event(amount="100")], recorded_at=NOON)

    assert [summary.state for summary in read(invoices).gateway_invoices] == ["closing"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payment_event SET amount_minor = 1",
        "DELETE FROM payment_event",
        "TRUNCATE payment_event",
        "UPDATE invoice_change SET amount_minor = 1",
        "DELETE FROM invoice_change",
        "TRUNCATE invoice_change",
    ],
)
def test_the_application_cannot_change_what_is_append_only(
    pool: Pool, invoices: Invoices, ledger: Ledger, statement: str
) -> None:
    put(invoices)
    ledger.append([an_event()], recorded_at=NOON)

    with pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("table", ["payment_event", "invoice_change"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET currency = 'USD'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_not_even_the_owner_changes_them_by_mistake(
    database_url: str, invoices: Invoices, ledger: Ledger, table: str, verb: str
) -> None:
    put(invoices)
    ledger.append([an_event()], recorded_at=NOON)

    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("SET search_path TO tootsoo")
        superuser.execute("SET session_replication_role TO replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            superuser.execute(verb.format(table))


histories = st.lists(
    st.builds(
        an_event,
        st.integers(1, 6).map(str),
        amount=st.sampled_from(["1", "40", "60", "100", "0.50"]),
        kind=st.sampled_from(Kind),
        ref=st.sampled_from(["gateway", "key-1"]),
        minutes=st.integers(0, 100),
    ),
    max_size=12,
    unique_by=lambda event: event.key,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, batch=st.integers(1, 5), due=st.sampled_from(["1", "100", "200"]))
def test_the_projection_is_the_fold_of_the_same_history_in_any_batches(
    invoices: Invoices, ledger: Ledger, history: list[PaymentEvent], batch: int, due: str
) -> None:
    invoice_id = f"order-{uuid4().hex[:24]}"
    put(invoices, invoice_id, amount=due)
    mine = [_moved(event, invoice_id) for event in history]

    for start in range(0, len(mine), batch):
        ledger.append(mine[start : start + batch], recorded_at=NOON)
        ledger.append(mine[: start + batch], recorded_at=NOON)

    change = InvoiceChange(position=1, kind=ChangeKind.AMOUNT, amount=money(due, currency="MNT"))
    expected = fold([change], mine, currency="MNT")
    record = read(invoices, invoice_id)
    assert record.received_minor == minor_units(expected.received)
    assert record.refunded_minor == minor_units(expected.refunded)
    assert record.outstanding_minor == minor_units(expected.outstanding)
    assert record.overpaid_minor == minor_units(expected.overpaid)
    assert record.status == expected.status.value
    assert (record.payments, record.first_paid_at, record.last_paid_at) == (
        expected.payments,
        expected.first_paid_at,
        expected.last_paid_at,
    )


def _moved(event: PaymentEvent, invoice_id: str) -> PaymentEvent:
    """The same event of a payment and an invoice that no earlier example has met."""
    return an_event(
        f"{event.payment_id}-{invoice_id}",
        amount=str(Decimal(event.amount.amount)),
        kind=event.kind,
        ref=event.ref,
        invoice_id=invoice_id,
        minutes=int((event.occurred_at - an_event().occurred_at).total_seconds() // 60),
    )
