"""Statements are read in, each line once, and no tögrög is counted twice, whichever way it was told first."""
# ruff: noqa: RUF001 - Mongolian is written in Cyrillic

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from adapters.bank.reader import open_statement
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.discrepancies import State as Asked
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import About
from domain.command import Command
from domain.manual import ManualPayment, Method
from domain.money import money
from domain.payment_event import Source
from domain.payment_row import CheckAnswer, PaymentRow, RowStatus
from domain.reconciler import CheckedInvoice, reconcile
from domain.statement_match import State, Why
from tests import statements as written
from tests.adapters.postgres.samples import open_qr, put
from tests.statements import ACCOUNT, NOON, Said, running
from worker.compose.database import correct_on, record_on
from worker.compose.statements import import_on, match_on, review_on
from worker.import_statement import Imported
from worker.match_lines import LOOKED_AT_STATES
from worker.review_lines import NotDoneError

AT_NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
"""NOON, by UTC."""


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=4) as pool:
        yield pool


@pytest.fixture
def orders(pool: Pool) -> None:
    """Four invoices, of 50,000, 30,000, 20,000 and 50,000."""
    for invoice_id, amount in (
        ("order-1001", "50000"),
        ("order-1002", "30000"),
        ("order-1003", "20000"),
        ("order-1004", "50000"),
    ):
        put(Invoices(pool), invoice_id, amount=amount)


def read_in(pool: Pool, path: Path, *, bank: str = "khan", dry_run: bool = False) -> Imported:
    statement = open_statement(path, bank=bank, account=ACCOUNT)
    return import_on(pool)(statement, who="Bat", dry_run=dry_run, tell=lambda *_: None)


def states(pool: Pool) -> dict[str, tuple[str, str | None]]:
    """By descriptions: the state of each line, and why."""
    lines = review_on(pool).waiting(states=list(State), after=0, page=1_000)
    return {line.description: (line.state.value, line.why) for line in lines}


def paid_by_qpay(
    pool: Pool,
    invoice_id: str,
    amount: str,
    *,
    payment_id: str = "100000000000001",
    fee: str | None = None,
    at: datetime = AT_NOON,
    qr: UUID | None = None,
) -> None:
    """A payment at QPay, as a check proves it."""
    qr = qr or open_qr(pool, invoice_id)
    row = PaymentRow(
        payment_id=payment_id,
        status=RowStatus.PAID,
        status_text="PAID",
        amount=money(amount, currency="MNT"),
        fee=None if fee is None else money(fee, currency="MNT"),
        paid_at=at,
        raw={"payment_id": payment_id},
    )
    checked = CheckedInvoice(
        gateway="qpay", gateway_invoice_id=qr, invoice_id=invoice_id, currency="MNT", source=Source.CALLBACK
    )
    Ledger(pool).append(
        About(
            invoices=frozenset({invoice_id}),
            payments=frozenset({("qpay", payment_id)}),
            gateway_invoices=frozenset({qr}),
        ),
        lambda recorded: reconcile(CheckAnswer(rows=(row,)), checked=checked, recorded=recorded, seen_at=at),
        recorded_at=at,
    )


def balance(pool: Pool, invoice_id: str) -> tuple[str, int]:
    invoice = Invoices(pool).read(invoice_id)
    assert invoice is not None
    return invoice.status, invoice.received_minor // 100


def open_questions(pool: Pool) -> list[str]:
    return [one.kind for one in Discrepancies(pool).list(state=Asked.OPEN, after=0, page=100)]


def events(pool: Pool) -> list[tuple[str, str, str | None, int]]:
    found = Ledger(pool).payments(after=0, page=1_000)
    return [(one.gateway, one.kind, one.invoice_id, one.amount_minor // 100) for one in found]


MIXED = running(
    (50_000, "Төлбөр order-1001 Бат"),
    (-1_500, "Шимтгэл"),
    (30_000, "ОRDЕR 1002"),
    (15_000, "order-1003"),
    (7_777, "Ээж"),
)


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize(
    ("write", "name", "bank"),
    [
        (written.khan_json, "a.json", "khan"),
        (written.golomt_json, "a.json", "golomt"),
        (written.tdb_json, "a.json", "tdb"),
        (written.export_csv, "a.csv", "khan"),
        (written.export_xlsx, "a.xlsx", "tdb"),
        (written.generic_csv, "a.csv", "generic"),
    ],
)
def test_exact_references_with_exact_amounts_are_recorded_whatever_the_format(
    tmp_path: Path, pool: Pool, write: Callable[..., Path], name: str, bank: str
) -> None:
    imported = read_in(pool, write(tmp_path / name, MIXED), bank=bank)

    assert (imported.lines, imported.new, imported.outgoing, imported.all_well) == (5, 5, 1, True)
    assert states(pool) == {
        "Төлбөр order-1001 Бат": ("recorded", "reference_and_amount"),
        "Шимтгэл": ("outgoing", None),
        "ОRDЕR 1002": ("recorded", "reference_and_amount"),
        "order-1003": ("proposed", "reference_with_other_amount"),
        "Ээж": ("unmatched", "nothing_known"),
    }
    assert [balance(pool, f"order-100{number}") for number in (1, 2, 3)] == [
        ("paid", 50_000),
        ("paid", 30_000),
        ("unpaid", 0),
    ]
    assert Ledger(pool).balances_unlike_events() == []


@pytest.mark.usefixtures("orders")
def test_fault_31_the_same_statement_twice_in_every_format_makes_nothing(tmp_path: Path, pool: Pool) -> None:
    first = read_in(pool, written.khan_json(tmp_path / "a.json", MIXED))
    before = events(pool)

    again = [
        read_in(pool, written.khan_json(tmp_path / "b.json", MIXED)),
        read_in(pool, written.export_csv(tmp_path / "b.csv", MIXED)),
        read_in(pool, written.export_xlsx(tmp_path / "b.xlsx", MIXED)),
        read_in(pool, written.golomt_json(tmp_path / "c.json", MIXED), bank="golomt"),
        read_in(pool, written.tdb_json(tmp_path / "d.json", MIXED), bank="tdb"),
    ]

    assert (first.new, [(one.new, one.seen) for one in again]) == (5, [(0, 5)] * 5)
    assert again[0].before
    assert events(pool) == before
    assert open_questions(pool) == []


@pytest.mark.usefixtures("orders")
def test_fault_31_overlapping_statements_bring_only_what_is_new(tmp_path: Path, pool: Pool) -> None:
    read_in(pool, written.khan_json(tmp_path / "a.json", MIXED[:2]))

    imported = read_in(pool, written.khan_json(tmp_path / "b.json", MIXED[1:]))

    assert (imported.new, imported.seen) == (3, 1)
    assert len(events(pool)) == 2


@pytest.mark.usefixtures("orders")
def test_fault_31_equal_lines_of_a_day_are_as_many_as_there_are(tmp_path: Path, pool: Pool) -> None:
    twice = [replace(Said(amount=20_000, description="x"), record=number) for number in (1, 2)]
    morning, whole_day = twice[:1], twice

    first = read_in(pool, written.tdb_json(tmp_path / "a.json", morning), bank="tdb")
    second = read_in(pool, written.tdb_json(tmp_path / "b.json", whole_day), bank="tdb")
    third = read_in(pool, written.tdb_json(tmp_path / "c.json", twice[1:]), bank="tdb")

    assert [(one.new, one.seen) for one in (first, second, third)] == [(1, 0), (1, 1), (0, 1)]


@pytest.mark.usefixtures("orders")
def test_fault_38_a_qpay_payment_and_its_line_in_the_statement_are_counted_once(tmp_path: Path, pool: Pool) -> None:
    paid_by_qpay(pool, "order-1001", "50000", fee="500")

    read_in(pool, written.khan_json(tmp_path / "a.json", running((49_500, "qpay order-1001"))))

    assert states(pool) == {"qpay order-1001": ("linked", "settlement")}
    assert balance(pool, "order-1001") == ("paid", 50_000)
    assert open_questions(pool) == []


@pytest.mark.usefixtures("orders")
def test_fault_38_a_line_that_was_recorded_before_qpay_told_of_it_is_noticed(tmp_path: Path, pool: Pool) -> None:
    qr = open_qr(pool, "order-1001")
    read_in(pool, written.khan_json(tmp_path / "a.json", running((50_000, "order-1001"))))
    assert balance(pool, "order-1001") == ("paid", 50_000)

    paid_by_qpay(pool, "order-1001", "50000", fee="500", qr=qr)

    assert open_questions(pool) == ["same_money_by_two_routes"]
    key = review_on(pool).line(1).key
    command = Command(key="k1", who="Bat", reason="The same money as qpay:100000000000001")
    correct_on(pool).refund(command, ("bank", key), invoice_id="order-1001", amount=None)
    assert balance(pool, "order-1001")[0] == "paid"


@pytest.mark.usefixtures("orders")
def test_fault_38_a_settlement_before_its_payment_is_known_waits_and_is_linked_later(
    tmp_path: Path, pool: Pool
) -> None:
    read_in(pool, written.khan_json(tmp_path / "a.json", running((50_000, "QPay order-1001"))))
    assert states(pool) == {"QPay order-1001": ("proposed", "gateway_payment_unknown")}
    paid_by_qpay(pool, "order-1001", "50000")

    match_on(pool)(states=LOOKED_AT_STATES, tell=lambda *_: None)

    assert states(pool) == {"QPay order-1001": ("linked", "settlement")}
    assert balance(pool, "order-1001") == ("paid", 50_000)


@pytest.mark.usefixtures("orders")
def test_fault_38_money_that_may_be_a_known_payments_is_never_recorded_by_itself(tmp_path: Path, pool: Pool) -> None:
    paid_by_qpay(pool, "order-1004", "50000", at=AT_NOON - timedelta(days=2))

    read_in(pool, written.khan_json(tmp_path / "a.json", running((50_000, "order-1001"), (50_000, "Бат"))))

    assert states(pool) == {
        "order-1001": ("proposed", "same_money_by_two_routes"),
        "Бат": ("proposed", "same_money_by_two_routes"),
    }
    assert balance(pool, "order-1001") == ("unpaid", 0)


def test_fault_38_a_day_of_qpay_and_the_statement_of_its_settlements_count_every_tugrug_once(
    tmp_path: Path, pool: Pool
) -> None:
    for number in range(40):
        put(Invoices(pool), f"day-{number}", amount="1000" if number % 2 else "2000")
        if number % 4 != 3:
            amount = "1000" if number % 2 else "2000"
            paid_by_qpay(
                pool,
                f"day-{number}",
                amount,
                payment_id=f"2000000000000{number:02d}",
                fee="10",
                at=AT_NOON + timedelta(minutes=number),
            )
    settled = [
        (990 if number % 2 else 1_990, f"QPAY day-{number}" if number % 3 else "QPAY 22/11")
        for number in range(40)
        if number % 4 != 3
    ]
    direct = [(1_000, f"day-{number} Бат") for number in range(40) if number % 4 == 3]

    read_in(pool, written.khan_json(tmp_path / "a.json", running(*settled, *direct)))

    linked = [line for line in states(pool).values() if line[0] == "linked"]
    assert linked
    assert sum(amount for _, kind, _, amount in events(pool) if kind == "received") == 20 * 2_000 + 10 * 1_000 + sum(
        1_000 for gateway, *_ in events(pool) if gateway == "bank"
    )
    assert {balance(pool, f"day-{number}")[0] for number in range(40)} <= {"paid", "unpaid"}
    assert all(balance(pool, f"day-{number}")[0] == "paid" for number in range(40) if number % 4 != 3)
    assert open_questions(pool) == []


def enter_by_hand(
    pool: Pool,
    invoice_id: str,
    amount: str,
    *,
    method: Method,
    reference: str | None = None,
    at: datetime | None = AT_NOON,
) -> None:
    """Record what a person says was paid."""
    record_on(pool)(
        ManualPayment(
            key="till-1",
            who="Bat",
            invoice_id=invoice_id,
            amount=money(amount, currency="MNT"),
            method=method,
            paid_at=at,
            reference=reference,
            note=None,
        )
    )


@pytest.mark.usefixtures("orders")
def test_a_line_with_the_reference_of_a_payment_by_hand_is_linked_with_it(tmp_path: Path, pool: Pool) -> None:
    enter_by_hand(pool, "order-1001", "50000", method=Method.TRANSFER, reference="1")

    read_in(pool, written.khan_json(tmp_path / "a.json", running((50_000, "Бат order-1001"))))

    assert states(pool) == {"Бат order-1001": ("linked", "settlement")}


@pytest.mark.usefixtures("orders")
def test_a_transfer_after_cash_over_the_same_amount_waits_for_a_person(tmp_path: Path, pool: Pool) -> None:
    enter_by_hand(pool, "order-1001", "50000", method=Method.CASH)

    read_in(pool, written.khan_json(tmp_path / "a.json", running((50_000, "Бат order-1001"))))

    assert states(pool) == {"Бат order-1001": ("proposed", "same_money_by_two_routes")}


@pytest.mark.usefixtures("orders")
def test_a_dry_run_says_what_would_come_and_writes_nothing(tmp_path: Path, pool: Pool) -> None:
    path = written.khan_json(tmp_path / "a.json", MIXED)

    rehearsed = read_in(pool, path, dry_run=True)

    assert (states(pool), events(pool)) == ({}, [])
    done = read_in(pool, path)
    assert rehearsed.matched.counts == done.matched.counts
    assert not done.before


@pytest.mark.usefixtures("orders")
def test_a_person_accepts_assigns_links_and_ignores(tmp_path: Path, pool: Pool) -> None:
    paid_by_qpay(pool, "order-1004", "20000")
    lines = running((15_000, "order-1003"), (12_345, "Ээж"), (20_000, "Аав"), (1, "Хүү"))
    read_in(pool, written.khan_json(tmp_path / "a.json", lines))
    review = review_on(pool)
    by_words = {line.description: line.id for line in review.waiting(after=0, page=100)}

    accepted = review.accept(by_words["order-1003"], who="Bat")
    again = review.accept(by_words["order-1003"], who="Bat")
    assigned = review.assign(by_words["Ээж"], "order-1002", who="Bat", reason="She called")
    linked = review.accept(by_words["Аав"], who="Bat")
    ignored = review.ignore(by_words["Хүү"], who="Bat", reason="Interest")

    assert [one.line.state for one in (accepted, assigned, linked, ignored)] == [
        State.RECORDED,
        State.RECORDED,
        State.LINKED,
        State.IGNORED,
    ]
    assert again.again
    assert (balance(pool, "order-1003"), balance(pool, "order-1002")) == (
        ("partially_paid", 15_000),
        ("partially_paid", 12_345),
    )
    with pytest.raises(NotDoneError, match="is recorded on order-1002"):
        review.assign(by_words["Ээж"], "order-1001", who="Bat")
    assert review.waiting(after=0, page=100) == []


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("days_ago", [0, 10])
def test_money_that_is_on_the_invoice_already_takes_a_second_word(tmp_path: Path, pool: Pool, days_ago: int) -> None:
    paid_by_qpay(pool, "order-1001", "20000", at=AT_NOON - timedelta(days=days_ago))
    read_in(pool, written.khan_json(tmp_path / "a.json", running((20_000, "Аав"))))
    review = review_on(pool)

    with pytest.raises(NotDoneError, match="qpay:100000000000001"):
        review.assign(1, "order-1001", who="Bat")
    review.assign(1, "order-1001", who="Bat", anyway=True)

    assert balance(pool, "order-1001") == ("partially_paid", 40_000)


@pytest.mark.usefixtures("orders")
def test_a_second_payment_that_was_taken_for_a_settlement_is_put_right_by_a_person(tmp_path: Path, pool: Pool) -> None:
    paid_by_qpay(pool, "order-1001", "50000")
    path = written.khan_json(tmp_path / "a.json", running((50_000, "order-1001 Бат"), (50_000, "QPAY 22/11")))
    read_in(pool, path)
    assert states(pool) == {
        "order-1001 Бат": ("linked", "settlement"),
        "QPAY 22/11": ("unmatched", "nothing_known"),
    }
    review = review_on(pool)

    with pytest.raises(NotDoneError, match="is linked with qpay:100000000000001: to undo that say --anyway"):
        review.assign(1, "order-1001", who="Bat")
    with pytest.raises(NotDoneError, match="is linked with"):
        review.ignore(1, who="Bat", reason="x")
    review.assign(1, "order-1001", who="Bat", anyway=True)
    match_on(pool)(states=LOOKED_AT_STATES, tell=lambda *_: None)

    assert states(pool) == {"order-1001 Бат": ("recorded", "person"), "QPAY 22/11": ("linked", "settlement")}
    assert balance(pool, "order-1001") == ("overpaid", 100_000)


@pytest.mark.usefixtures("orders")
def test_corrections_and_reversals_are_for_a_person(tmp_path: Path, pool: Pool) -> None:
    lines = running((50_000, "order-1001"), (-50_000, "буруу"), (30_000, "Буцаалт order-1002"))
    lines[1] = replace(lines[1], correction=True)

    path = written.khan_json(tmp_path / "a.json", lines)
    rehearsed, done = read_in(pool, path, dry_run=True), read_in(pool, path)

    assert rehearsed.matched.counts == done.matched.counts
    assert done.matched.counts[State.PROPOSED, Why.CORRECTION] == 2
    found = states(pool)
    assert (found["буруу"], found["Буцаалт order-1002"]) == (("proposed", "correction"),) * 2
    match_on(pool)(states=LOOKED_AT_STATES, tell=lambda *_: None)
    assert states(pool) == found


@pytest.mark.usefixtures("orders")
def test_the_banks_reference_with_other_content_is_asked_about_and_waits(tmp_path: Path, pool: Pool) -> None:
    line = running((50_000, "order-1001"))[0]
    read_in(pool, written.khan_json(tmp_path / "a.json", [line]))

    other = replace(line, amount=30_000, description="order-1002", balance=999)
    imported = read_in(pool, written.khan_json(tmp_path / "b.json", [other]))

    assert (imported.changed, imported.matched.of(State.PROPOSED), imported.all_well) == (1, 1, False)
    assert states(pool)["order-1002"] == ("proposed", "changed_line")
    assert open_questions(pool) == ["changed_line"]


@pytest.mark.usefixtures("orders")
def test_a_line_that_cannot_be_read_stops_itself_alone(tmp_path: Path, pool: Pool) -> None:
    path = written.khan_json(tmp_path / "a.json", running((50_000, "order-1001"), (1, "x"), (30_000, "order-1002")))
    path.write_text(path.read_text(encoding="utf-8").replace('"amount": 1,', '"amount": "1,5",'), encoding="utf-8")

    imported = read_in(pool, path)

    assert (imported.lines, imported.unreadable, imported.all_well) == (2, 1, False)
    assert (imported.unreadable_lines[0].number, imported.unreadable_lines[0].reason) == (2, "'1,5' is not an amount")
    assert open_questions(pool) == ["unreadable_row"]
    assert len(events(pool)) == 2


def test_balances_that_do_not_add_up_are_told(tmp_path: Path, pool: Pool) -> None:
    lines = running((1, "a"), (2, "b"), (3, "c"), (4, "d"))
    lines[2] = replace(lines[2], balance=5)
    newest_first = list(reversed(running((1, "e"), (2, "f"), (-3, "g"))))

    broken = read_in(pool, written.khan_json(tmp_path / "a.json", lines))
    whole = read_in(pool, written.export_csv(tmp_path / "b.csv", newest_first))

    assert (broken.balance_breaks, broken.balance_break_lines) == (2, (3, 4))
    assert whole.balance_breaks == 0


def test_a_payer_who_paid_before_with_the_right_amount_is_proposed_and_never_guessed(
    tmp_path: Path, pool: Pool
) -> None:
    from domain.invoice import InvoiceTerms  # noqa: PLC0415 - of this test alone

    for invoice_id in ("rent-10", "rent-11"):
        terms = InvoiceTerms(
            amount=money("700000", currency="MNT"), description="Rent", receiver_code="99112233", due_at=None
        )
        Invoices(pool).put(invoice_id, terms=terms, now=AT_NOON, who="test")
    read_in(pool, written.khan_json(tmp_path / "a.json", running((700_000, "rent-10"))))
    later = [replace(line, at=NOON + timedelta(days=30)) for line in running((700_000, "түрээс"), start=5)]

    read_in(pool, written.khan_json(tmp_path / "b.json", [replace(line, record=9) for line in later]))

    assert states(pool)["түрээс"] == ("proposed", "payer_and_amount")
    assert review_on(pool).waiting(after=0, page=9)[0].candidates == ("rent-11",)
    assert balance(pool, "rent-11") == ("unpaid", 0)
