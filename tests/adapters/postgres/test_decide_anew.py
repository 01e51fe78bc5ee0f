"""A decision is written only if what it was made on is still recorded; else it is made anew, under lock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from uuid import UUID, uuid4

import pytest

from adapters.postgres.connection import Pool
from adapters.postgres.gateway_invoices import Intent
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import About, nothing_paid
from domain.command import Command
from domain.money import money
from domain.payment_event import Kind, Source
from domain.payment_row import CheckAnswer
from domain.reconciler import CheckedInvoice, Decision, reconcile
from domain.recorded import Recorded
from domain.refund import plan_refund
from tests.adapters.postgres.samples import NOON, an_answer, append, open_qr, put, qr_store
from tests.domain.samples import a_row, an_event

ABOUT = About(invoices=frozenset({"order-1"}), payments=frozenset({("qpay", "1")}))


@dataclass
class Deciding:
    """Decides on a PAID row of 100, and lets others be faster while it thinks for the first time."""

    meanwhile: Callable[[], object]
    seen: list[Recorded] = field(default_factory=list)

    def __call__(self, recorded: Recorded) -> Decision:
        self.seen.append(recorded)
        if len(self.seen) == 1:
            self.meanwhile()
        known = ("qpay", "1") in recorded.payments
        return Decision(events=() if known else (an_event("1", amount="100"),))


def received(invoices: Invoices, invoice_id: str = "order-1") -> int:
    record = invoices.read(invoice_id)
    assert record is not None
    return record.received_minor


@pytest.mark.parametrize("guessed", [False, True])
def test_another_payment_of_the_invoice_was_faster(invoices: Invoices, ledger: Ledger, guessed: bool) -> None:
    put(invoices)
    deciding = Deciding(lambda: append(ledger, [an_event("2", amount="30")]))
    guess = nothing_paid("order-1", due_minor=10_000, currency="MNT") if guessed else None

    ledger.append(ABOUT, deciding, recorded_at=NOON, guess=guess)

    assert [str(seen.invoices["order-1"].net.amount) for seen in deciding.seen] == ["0", "30"]
    assert received(invoices) == 13_000


@pytest.mark.parametrize("guessed", [False, True])
@pytest.mark.parametrize("holder", ["order-1", "order-2", None])
def test_the_same_payment_was_faster(invoices: Invoices, ledger: Ledger, guessed: bool, holder: str | None) -> None:
    put(invoices)
    put(invoices, "order-2")
    deciding = Deciding(lambda: append(ledger, [an_event("1", amount="100", invoice_id=holder)]))
    guess = nothing_paid("order-1", due_minor=10_000, currency="MNT") if guessed else None

    appended = ledger.append(ABOUT, deciding, recorded_at=NOON, guess=guess)

    assert appended.events == ()
    assert ("qpay", "1") in deciding.seen[-1].payments
    assert received(invoices) == (10_000 if holder == "order-1" else 0)
    assert len(ledger.payments(after=0, page=10)) == 1


def test_the_invoice_was_voided_meanwhile(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)
    deciding = Deciding(lambda: invoices.void("order-1", reason="cancelled", now=NOON, who="test"))

    ledger.append(ABOUT, deciding, recorded_at=NOON)

    assert [seen.invoices["order-1"].voided for seen in deciding.seen] == [False, True]


def test_a_payment_in_suspense_was_given_back_meanwhile(ledger: Ledger) -> None:
    append(ledger, [an_event("1", amount="100", invoice_id=None)])
    about = About(payments=frozenset({("qpay", "1")}))
    command = Command(key="slower", who="test", reason="returned")
    calls = 0

    def refund_all(recorded: Recorded) -> Decision:
        nonlocal calls
        calls += 1
        if calls == 1:
            append(ledger, [an_event("1", amount="30", kind=Kind.REFUNDED, ref="faster", invoice_id=None)])
        return plan_refund(recorded, command, payment=("qpay", "1"), invoice_id=None, amount=None, now=NOON)

    appended = ledger.append(about, refund_all, recorded_at=NOON)

    assert [event.amount for event in appended.events] == [money("70", currency="MNT")]
    assert calls == 2


def test_a_guess_that_holds_is_decided_on_once(invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)
    seen: list[Recorded] = []

    def decide(recorded: Recorded) -> Decision:
        seen.append(recorded)
        return Decision(events=(an_event("1", amount="100"),))

    ledger.append(ABOUT, decide, recorded_at=NOON, guess=nothing_paid("order-1", due_minor=10_000, currency="MNT"))

    assert len(seen) == 1
    assert received(invoices) == 10_000


def test_a_qr_that_was_opened_while_the_append_waited_is_closed_too(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    store = qr_store(pool)
    intent = store.next_step(
        "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
    )
    assert isinstance(intent, Intent)
    with pool.connection() as holding, holding.transaction():
        holding.execute("SELECT FROM invoice_balance WHERE invoice_id = 'order-1' FOR UPDATE")
        waiting = Thread(target=append, args=(ledger, [an_event("1", amount="100")]))
        waiting.start()
        _until_somebody_waits(pool)
        holding.execute(
            "UPDATE gateway_invoice SET state = 'open', external_id = %s, qr_text = 'qr' WHERE id = %s",
            [an_answer().external_id, intent.id],
        )
    waiting.join(timeout=10)

    record = invoices.read("order-1")
    assert record is not None
    assert [qr.state for qr in record.gateway_invoices] == ["closing"]


def _until_somebody_waits(pool: Pool) -> None:
    with pool.connection() as connection:
        for _ in range(10_000):
            row = connection.execute("SELECT count(*) AS n FROM pg_locks WHERE NOT granted").fetchone()
            if row is not None and row["n"]:
                return
    raise AssertionError("nobody waits")


def test_two_answers_about_one_payment_at_once_are_one_event(pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)
    qr = open_qr(pool)
    deciding = Deciding(lambda: ledger.append(_about(qr), _settling(qr), recorded_at=NOON))

    ledger.append(_about(qr), deciding, recorded_at=NOON)

    assert received(invoices) == 10_000
    assert len(deciding.seen) == 2


def _about(qr: UUID) -> About:
    return About(invoices=frozenset({"order-1"}), payments=frozenset({("qpay", "1")}), gateway_invoices=frozenset({qr}))


def _settling(qr: UUID) -> Callable[[Recorded], Decision]:
    checked = CheckedInvoice(
        gateway="qpay", gateway_invoice_id=qr, invoice_id="order-1", currency="MNT", source=Source.SWEEP
    )

    def decide(recorded: Recorded) -> Decision:
        return reconcile(CheckAnswer(rows=(a_row("1"),)), checked=checked, recorded=recorded, seen_at=NOON)

    return decide
