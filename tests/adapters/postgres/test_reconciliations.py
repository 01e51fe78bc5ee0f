"""What is recorded of a day, by the gateway's time where it was learnt, and what comparisons leave behind."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from adapters.postgres.connection import Pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.reconciliations import CleanRun, Reconciliations, Run
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.money import money
from domain.payment_event import Kind
from domain.reconciliation import compare
from domain.tally import Tally
from tests.adapters.postgres.samples import NOON, append, open_qr, put
from tests.domain.samples import an_event
from tests.domain.test_reconciliation import on_record

DAY = date(2026, 11, 22)
SINCE, UNTIL = NOON - timedelta(hours=12), NOON + timedelta(hours=12)


@pytest.fixture
def reconciliations(pool: Pool) -> Reconciliations:
    return Reconciliations(pool)


def ids(reconciliations: Reconciliations, since: datetime = SINCE, until: datetime = UNTIL) -> list[str]:
    return reconciliations.ids_on_day(
        "qpay", since=since, until=until, recorded_before=NOON + timedelta(days=9), after=""
    )


def run(tally: Tally, *, night: date | None = None) -> Run:
    return Run(
        gateway="qpay", day=DAY, night=night, began_at=NOON, ended_at=NOON, list_calls=2, listed_rows=101, tally=tally
    )


def test_a_payment_on_record_is_the_sum_of_its_events(
    pool: Pool, invoices: Invoices, ledger: Ledger, reconciliations: Reconciliations
) -> None:
    put(invoices)
    qr = open_qr(pool)
    received = replace(an_event("1", amount="100", gateway_invoice_id=qr), fee=money(1, currency="MNT"))
    back = an_event("1", amount="30", kind=Kind.REFUNDED, ref="by-hand")
    append(ledger, [received, back, an_event("2", amount="50", invoice_id=None)])

    known = reconciliations.on_record("qpay", ["1", "2", "3"])

    one, two = known["1"], known["2"]
    assert known.keys() == {"1", "2"}
    assert [int(each.amount) for each in (one.received, one.refunded, one.refunded_by_gateway, one.left)] == [
        100, 30, 0, 70,
    ]  # fmt: skip
    assert (one.invoice_id, one.gateway_invoice_id, one.fee) == ("order-1", qr, money(1, currency="MNT"))
    assert (int(two.in_suspense.amount), two.invoice_id, two.gateway_invoice_id) == (50, None, None)


def test_the_day_of_a_payment_is_the_one_that_a_list_has_told(
    invoices: Invoices, ledger: Ledger, reconciliations: Reconciliations
) -> None:
    put(invoices)
    append(ledger, [an_event("1"), an_event("2", minutes=1)])

    reconciliations.learn_days("qpay", {"2": SINCE - timedelta(minutes=1)})

    assert ids(reconciliations) == ["1"]
    assert ids(reconciliations, SINCE - timedelta(days=1), SINCE) == ["2"]
    assert reconciliations.on_record("qpay", ["2"])["2"].paid_at == SINCE - timedelta(minutes=1)


def test_what_was_recorded_after_the_list_was_read_is_not_looked_for(
    invoices: Invoices, ledger: Ledger, reconciliations: Reconciliations
) -> None:
    put(invoices)
    append(ledger, [an_event("1")])

    before = reconciliations.ids_on_day("qpay", since=SINCE, until=UNTIL, recorded_before=NOON, after="")

    assert before == []


def test_the_question_about_a_day_is_made_of_its_last_clean_comparison_and_saved_with_it(
    pool: Pool, reconciliations: Reconciliations
) -> None:
    clean, spoilt = Tally(), Tally()
    spoilt.add(compare(None, on_record()))
    seen: list[CleanRun | None] = []

    def ask(last: CleanRun | None) -> list[Discrepancy]:
        seen.append(last)
        return [
            Discrepancy(
                kind=DiscrepancyKind.CHANGED_DAY, gateway="qpay", subject=DAY.isoformat(), fingerprint="", detail="?",
                invoice_id=None, payment_id=None,
            )
        ] if last else []  # fmt: skip

    opened = [reconciliations.save(run(tally), ask=ask) for tally in (clean, spoilt, spoilt)]

    assert opened == [0, 1, 0]
    assert [last and last.state for last in seen] == [None, clean.state, clean.state]
    assert reconciliations.last_clean("qpay", DAY) == seen[1]
    with pool.connection() as connection:
        rows = connection.execute("SELECT open, verdicts ->> 'only_here' AS here FROM reconciliation_run").fetchall()
    assert [(row["open"], row["here"]) for row in rows] == [(0, "0"), (1, "1"), (1, "1")]


def test_a_night_knows_what_it_has_compared_and_at_what_cost(reconciliations: Reconciliations) -> None:
    tonight = DAY + timedelta(days=1)
    reconciliations.save(run(Tally(), night=DAY), ask=lambda _: [])
    reconciliations.save(run(Tally(), night=tonight), ask=lambda _: [])

    compared = reconciliations.compared("qpay", first=DAY, last=DAY, night=tonight)

    assert (compared[DAY].tonight, compared[DAY].calls_tonight) == (True, 2)
    assert (
        reconciliations.compared("qpay", first=DAY, last=DAY, night=tonight + timedelta(days=1))[DAY].tonight is False
    )


def test_comparisons_of_long_ago_are_forgotten(reconciliations: Reconciliations) -> None:
    reconciliations.save(
        replace(run(Tally()), began_at=datetime.fromisoformat("2020-01-01T00:00:00Z")), ask=lambda _: []
    )

    assert [reconciliations.forget() for _ in range(2)] == [1, 0]


def test_a_day_of_a_large_ledger_is_found_by_its_index(pool: Pool) -> None:
    with pool.connection() as connection, connection.transaction():
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT payment_id FROM payment_event WHERE occurred_at >= now() AND occurred_at < now()"
        ).fetchall()

    assert any("payment_event_occurred" in str(line) for line in plan)
