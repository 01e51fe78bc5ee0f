"""The ledger appends each payment once, whoever comes how often at the same moment, and projects what it appended."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.connection import Pool
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.invoices import InvoiceRecord, Invoices
from adapters.postgres.ledger import Appended, Ledger
from adapters.postgres.recorded import About
from domain.balance import fold
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import minor_units, money
from domain.payment_event import Kind, PaymentEvent, Source
from domain.payment_row import CheckAnswer, PaymentRow
from domain.reconciler import CheckedInvoice, Decision, reconcile
from tests.adapters.postgres.samples import NOON, append, open_qr, put
from tests.domain.samples import a_row, an_event


def read(invoices: Invoices, invoice_id: str = "order-1") -> InvoiceRecord:
    record = invoices.read(invoice_id)
    assert record is not None
    return record


def test_two_parts_sum(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices, amount="100")

    append(ledger, [an_event("1", amount="40")])
    halfway = read(invoices)
    append(ledger, [an_event("2", amount="60", minutes=5)])
    done = read(invoices)

    assert (halfway.status, halfway.outstanding_minor) == ("partially_paid", 6_000)
    assert (done.status, done.received_minor, done.payments) == ("paid", 10_000, 2)
    assert done.last_paid_at != done.first_paid_at
    assert ledger.balances_unlike_events() == []


def test_a_hundred_appends_of_one_payment_at_once_make_one_event(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)

    with ThreadPoolExecutor(max_workers=16) as threads:
        appended = list(threads.map(lambda _: append(ledger, [an_event()]), range(100)))

    assert sum(len(one.events) for one in appended) == 1
    assert all(one.opened == () for one in appended)
    assert (read(invoices).received_minor, read(invoices).payments) == (10_000, 1)


def test_appends_in_opposite_orders_neither_deadlock_nor_lose_a_delta(invoices: Invoices, ledger: Ledger) -> None:
    ids = [f"order-{number}" for number in range(6)]
    for invoice_id in ids:
        put(invoices, invoice_id)

    def append_some(number: int) -> None:
        events = [an_event(f"{number}-{invoice_id}", amount="1", invoice_id=invoice_id) for invoice_id in ids]
        random.Random(number).shuffle(events)
        append(ledger, events)

    with ThreadPoolExecutor(max_workers=12) as threads:
        list(threads.map(append_some, range(60)))

    assert {read(invoices, invoice_id).payments for invoice_id in ids} == {60}
    assert ledger.balances_unlike_events() == []


def test_a_question_that_cannot_be_written_takes_the_events_down_with_it(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)
    about_nobody = Discrepancy(
        kind=DiscrepancyKind.UNKNOWN_STATUS,
        gateway="qpay",
        subject="1",
        fingerprint="",
        detail="of an invoice that is not there",
        invoice_id="order-2",
        payment_id=None,
    )

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        ledger.append(
            About(invoices=frozenset({"order-1"})),
            lambda _: Decision(events=(an_event(),), discrepancies=(about_nobody,)),
            recorded_at=NOON,
        )

    assert ledger.payments(after=0, page=10) == []
    assert read(invoices).received_minor == 0


def test_a_qr_is_settled_when_its_own_amount_has_been_paid_on_it(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    qr = open_qr(pool)

    append(ledger, [an_event("1", amount="40", gateway_invoice_id=qr)])
    assert [summary.state for summary in read(invoices).gateway_invoices] == ["open"]
    append(ledger, [an_event("2", amount="60", gateway_invoice_id=qr)])

    assert [summary.state for summary in read(invoices).gateway_invoices] == ["settled"]


def test_a_qr_of_an_invoice_that_was_paid_elsewhere_is_to_be_closed(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    open_qr(pool)

    append(ledger, [an_event(amount="100")])

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
def test_fault_32_the_application_cannot_change_what_is_append_only(
    pool: Pool, invoices: Invoices, ledger: Ledger, statement: str
) -> None:
    put(invoices)
    append(ledger, [an_event()])

    with pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("table", ["payment_event", "invoice_change"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET currency = 'USD'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_fault_32_not_even_the_owner_changes_them_by_mistake(
    database_url: str, invoices: Invoices, ledger: Ledger, table: str, verb: str
) -> None:
    put(invoices)
    append(ledger, [an_event()])

    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("SET search_path TO tootsoo")
        superuser.execute("SET session_replication_role TO replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            superuser.execute(verb.format(table))


def test_fault_37_a_payment_that_was_found_before_its_qr_was_saved_ends_on_its_invoice(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    append(ledger, [an_event("7", amount="100", invoice_id=None)])
    qr = open_qr(pool)
    checked = CheckedInvoice(
        gateway="qpay", gateway_invoice_id=qr, invoice_id="order-1", currency="MNT", source=Source.SWEEP
    )
    about = About(
        invoices=frozenset({"order-1"}), payments=frozenset({("qpay", "7")}), gateway_invoices=frozenset({qr})
    )
    answer = CheckAnswer(rows=(a_row("7", amount="100"),))

    for _ in range(2):
        ledger.append(
            about,
            lambda known: reconcile(answer, checked=checked, recorded=known, seen_at=NOON),
            recorded_at=NOON,
        )

    assert (read(invoices).status, read(invoices).received_minor) == ("paid", 10_000)
    assert _suspense(pool, "qpay") == 0
    assert len(ledger.payments(after=0, page=10)) == 3


@dataclass
class OneQr:
    """One QR of one invoice, and what the gateway answers about it."""

    ledger: Ledger
    qr: UUID

    def check(self, *rows: PaymentRow) -> Appended:
        checked = CheckedInvoice(
            gateway="qpay", gateway_invoice_id=self.qr, invoice_id="order-1", currency="MNT", source=Source.SWEEP
        )
        about = About(
            invoices=frozenset({"order-1"}),
            payments=frozenset(("qpay", row.payment_id) for row in rows),
            gateway_invoices=frozenset({self.qr}),
        )
        return self.ledger.append(
            about,
            lambda known: reconcile(CheckAnswer(rows=rows), checked=checked, recorded=known, seen_at=NOON),
            recorded_at=NOON,
        )


@pytest.fixture
def one_qr(pool: Pool, invoices: Invoices, ledger: Ledger) -> OneQr:
    put(invoices)
    return OneQr(ledger, open_qr(pool))


def opened(appended: Appended) -> list[DiscrepancyKind]:
    return [one.discrepancy.kind for one in appended.opened]


def test_a_qr_that_was_paid_by_way_of_suspense_is_settled(invoices: Invoices, one_qr: OneQr) -> None:
    append(one_qr.ledger, [an_event("7", amount="100", invoice_id=None)])

    one_qr.check(a_row("7", amount="100"))

    assert [summary.state for summary in read(invoices).gateway_invoices] == ["settled"]


@pytest.mark.parametrize("state", ["superseded", "cancelled", "expired"])
@pytest.mark.parametrize(("amount", "status"), [("100", "paid"), ("150", "overpaid"), ("40", "partially_paid")])
def test_fault_27_a_late_payment_on_a_qr_that_has_ended_counts_for_its_invoice(
    pool: Pool, invoices: Invoices, one_qr: OneQr, state: str, amount: str, status: str
) -> None:
    with pool.connection() as connection:
        connection.execute(
            "UPDATE gateway_invoice SET state = %s, expires_at = now() - interval '30 days' WHERE id = %s",
            [state, one_qr.qr],
        )

    one_qr.check(a_row("7", amount=amount))

    assert read(invoices).status == status
    assert [summary.state for summary in read(invoices).gateway_invoices] == [state]


def test_a_payment_in_another_currency_is_missed_when_it_vanishes(one_qr: OneQr) -> None:
    one_qr.check(a_row("7", amount="100", currency="USD"))

    assert [opened(one_qr.check()) for _ in range(3)] == [[], [DiscrepancyKind.MISSING_AT_GATEWAY], []]


def test_a_payment_that_came_by_way_of_suspense_is_missed_when_it_vanishes(one_qr: OneQr) -> None:
    append(one_qr.ledger, [an_event("7", amount="100", invoice_id=None)])
    one_qr.check(a_row("7", amount="100"))

    assert [opened(one_qr.check()) for _ in range(3)] == [[], [DiscrepancyKind.MISSING_AT_GATEWAY], []]


def test_what_was_answered_is_asked_again_when_it_happens_again(pool: Pool, one_qr: OneQr) -> None:
    paid = a_row("7", amount="100")
    one_qr.check(paid)
    one_qr.check()
    (first,) = one_qr.check().opened
    Discrepancies(pool).resolve(first.id, resolution="it is back", who="test", now=NOON)

    still_gone = [opened(one_qr.check()) for _ in range(3)]
    one_qr.check(paid)
    gone_again = [opened(one_qr.check()) for _ in range(3)]

    assert still_gone == [[], [], []]
    assert gone_again == [[], [DiscrepancyKind.MISSING_AT_GATEWAY], []]
    answered = Discrepancies(pool).read(first.id)
    assert answered is not None
    assert (answered.state, answered.resolution) == ("resolved", "it is back")


def test_fault_27_two_full_payments_at_the_same_moment_are_found_to_be_duplicates(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    ids = [f"order-{number}" for number in range(20)]
    for invoice_id in ids:
        put(invoices, invoice_id)

    def settle(work: tuple[str, str]) -> Appended:
        invoice_id, gateway = work
        checked = CheckedInvoice(
            gateway=gateway, gateway_invoice_id=uuid4(), invoice_id=invoice_id, currency="MNT", source=Source.CALLBACK
        )
        answer = CheckAnswer(rows=(a_row(f"{gateway}-{invoice_id}", amount="100"),))
        about = About(invoices=frozenset({invoice_id}), payments=frozenset({(gateway, f"{gateway}-{invoice_id}")}))
        return ledger.append(
            about,
            lambda known: without_qr(reconcile(answer, checked=checked, recorded=known, seen_at=NOON)),
            recorded_at=NOON,
        )

    with ThreadPoolExecutor(max_workers=8) as threads:
        done = list(threads.map(settle, [(invoice_id, gateway) for invoice_id in ids for gateway in ("qpay", "other")]))

    asked = [opened.discrepancy for one in done for opened in one.opened]
    assert sorted(one.invoice_id or "" for one in asked) == sorted(ids)
    assert {one.kind for one in asked} == {DiscrepancyKind.DUPLICATE_PAYMENT}
    with pool.connection() as connection:
        rows = connection.execute("SELECT DISTINCT status FROM invoice_balance").fetchall()
    assert [row["status"] for row in rows] == ["overpaid"]


def without_qr(decision: Decision) -> Decision:
    """The same decision about payments of QRs that this test does not make."""
    return replace(decision, events=tuple(replace(event, gateway_invoice_id=None) for event in decision.events))


def of_one_payment(
    payment_id: str, *, amount: int, suspended: bool, assigned: bool, refunds: list[int]
) -> list[PaymentEvent]:
    """An honest history of one payment: it came, perhaps to suspense, perhaps from there, and parts of it went back."""
    came_to = None if suspended else "order-1"
    events = [an_event(payment_id, amount=str(amount), invoice_id=came_to, minutes=amount % 60)]
    holder = came_to
    if suspended and assigned:
        holder = "order-1"
        events.append(an_event(payment_id, amount=str(amount), kind=Kind.UNASSIGNED, ref="key", invoice_id=None))
        events.append(an_event(payment_id, amount=str(amount), kind=Kind.ASSIGNED, ref="key", invoice_id=holder))
    left = amount
    for number, wanted in enumerate(refunds):
        if wanted <= left:
            left -= wanted
            ref = f"refund-{number}"
            events.append(an_event(payment_id, amount=str(wanted), kind=Kind.REFUNDED, ref=ref, invoice_id=holder))
    return events


histories = st.lists(
    st.builds(
        of_one_payment,
        st.uuids().map(str),
        amount=st.integers(1, 150),
        suspended=st.booleans(),
        assigned=st.booleans(),
        refunds=st.lists(st.integers(1, 150), max_size=3),
    ),
    max_size=5,
    unique_by=lambda events: events[0].payment_id,
)


def in_any_order(history: list[list[PaymentEvent]], chance: random.Random) -> list[PaymentEvent]:
    """Payments among one another in any order; the events of each in the order in which they can happen."""
    left = [list(events) for events in history]
    mixed: list[PaymentEvent] = []
    while any(left):
        mixed.append(chance.choice([events for events in left if events]).pop(0))
    return mixed


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=histories,
    batch=st.integers(1, 7),
    due=st.sampled_from(["1", "100", "200"]),
    chance=st.randoms(use_true_random=False),
    voided_after=st.none() | st.integers(0, 10),
)
def test_the_projections_are_the_fold_of_the_same_history_in_any_order_and_batches(
    pool: Pool,
    invoices: Invoices,
    ledger: Ledger,
    history: list[list[PaymentEvent]],
    batch: int,
    due: str,
    chance: random.Random,
    voided_after: int | None,
) -> None:
    invoice_id, gateway = f"order-{uuid4().hex[:24]}", uuid4().hex
    put(invoices, invoice_id, amount=due)
    mine = [
        replace(event, gateway=gateway, invoice_id=invoice_id if event.invoice_id else None)
        for event in in_any_order(history, chance)
    ]

    for start in range(0, len(mine), batch):
        if voided_after is not None and start >= voided_after:
            invoices.void(invoice_id, reason="cancelled", now=NOON, who="test")
        append(ledger, mine[start : start + batch])
        append(ledger, mine[: start + batch])

    changes = [InvoiceChange(position=1, kind=ChangeKind.AMOUNT, amount=money(due, currency="MNT"))]
    if voided_after is not None and mine and voided_after <= (len(mine) - 1) // batch * batch:
        changes.append(InvoiceChange(position=2, kind=ChangeKind.VOID, amount=None))
    expected = fold(changes, [event for event in mine if event.invoice_id], currency="MNT")
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
    suspended = fold([], [event for event in mine if event.invoice_id is None], currency="MNT")
    assert _suspense(pool, gateway) == minor_units(suspended.net)
    assert _payments(pool, gateway) == {
        events[0].payment_id: (
            minor_units(events[0].amount),
            sum(minor_units(event.amount) for event in events if event.kind is Kind.REFUNDED),
        )
        for events in history
    }


def _suspense(pool: Pool, gateway: str) -> int:
    with pool.connection() as connection:
        row = connection.execute("SELECT net_minor FROM suspense_balance WHERE gateway = %s", [gateway]).fetchone()
    return int(row["net_minor"]) if row else 0


def _payments(pool: Pool, gateway: str) -> dict[str, tuple[int, int]]:
    with pool.connection() as connection:
        rows = connection.execute("SELECT * FROM payment WHERE gateway = %s", [gateway]).fetchall()
    return {row["payment_id"]: (row["received_minor"], row["refunded_minor"]) for row in rows}


def test_unmatched_is_what_still_lies_in_suspense(ledger: Ledger, invoices: Invoices) -> None:
    put(invoices)
    lump = an_event("1", amount="100", invoice_id=None)
    whole = an_event("2", amount="50", invoice_id=None)
    given_back = an_event("3", amount="50", invoice_id=None)
    append(ledger, [lump, whole, given_back, an_event("4", amount="100")])
    for payment_id, amount in (("1", "60"), ("2", "50")):
        away = an_event(payment_id, amount=amount, invoice_id=None, kind=Kind.UNASSIGNED, ref="k1")
        append(ledger, [an_event(payment_id, amount=amount, kind=Kind.ASSIGNED, ref="k1"), away])
    append(ledger, [an_event("3", amount="50", invoice_id=None, kind=Kind.REFUNDED, ref="k1")])

    found = ledger.payments(after=0, page=100, unmatched=True)

    assert [(one.payment_id, one.kind, one.amount_minor) for one in found] == [
        ("1", "received", 10_000),
        ("1", "unassigned", 6_000),
    ]
