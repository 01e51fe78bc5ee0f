"""From a gateway's rows and what is recorded to events and questions: no row stops another, nothing is done twice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.balance import Balance, fold
from domain.discrepancy import DiscrepancyKind
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import money
from domain.payment_event import Kind, OccurredAtSource, PaymentEvent
from domain.payment_row import CheckAnswer, PaymentRow, RowStatus, UnreadableRow
from domain.reconciler import Decision, reconcile
from domain.recorded import Recorded
from tests.domain.samples import GATEWAY_INVOICE, NOON, a_check, a_row, an_event, recorded

Row = PaymentRow | UnreadableRow
P = "100000000000001"
RECEIVED = an_event(P, amount="100", gateway_invoice_id=GATEWAY_INVOICE)
IN_SUSPENSE = an_event(P, amount="100", invoice_id=None, gateway_invoice_id=GATEWAY_INVOICE)


def decide(*rows: Row, known: Recorded | None = None) -> Decision:
    return reconcile(CheckAnswer(rows=rows), checked=a_check(), recorded=known or recorded(), seen_at=NOON)


def outline(events: tuple[PaymentEvent, ...]) -> list[tuple[str, str, str | None, str]]:
    return [(event.kind.value, event.ref, event.invoice_id, str(event.amount.amount)) for event in events]


def kinds(decision: Decision) -> list[DiscrepancyKind]:
    return [discrepancy.kind for discrepancy in decision.discrepancies]


# --- Payments that are not recorded ----------------------------------------------------------------------------------


def test_a_paid_row_is_received_on_the_checked_invoice() -> None:
    decision = decide(a_row(amount="100"))

    (event,) = decision.events
    assert (event.invoice_id, event.gateway_invoice_id, event.kind) == ("order-1", GATEWAY_INVOICE, Kind.RECEIVED)
    assert (event.occurred_at, event.occurred_at_source) == (NOON, OccurredAtSource.OBSERVED)
    assert decision.discrepancies == ()


def test_a_row_with_a_time_occurred_then() -> None:
    (event,) = decide(a_row(paid_at=NOON.replace(hour=1))).events

    assert (event.occurred_at, event.occurred_at_source) == (NOON.replace(hour=1), OccurredAtSource.GATEWAY)


@pytest.mark.parametrize("status", [RowStatus.NEW, RowStatus.FAILED, RowStatus.PARTIAL])
def test_what_is_not_paid_is_no_money_and_no_question(status: RowStatus) -> None:
    assert decide(a_row(status=status)) == Decision()


def test_a_refund_that_was_never_seen_as_paid_is_both() -> None:
    decision = decide(a_row(status=RowStatus.REFUNDED))

    assert outline(decision.events) == [
        ("received", "gateway", "order-1", "100"),
        ("refunded", "gateway", "order-1", "100"),
    ]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (a_row(status=RowStatus.UNKNOWN, status_text="SETTLING"), DiscrepancyKind.UNKNOWN_STATUS),
        (a_row(amount="0"), DiscrepancyKind.NOT_AN_AMOUNT),
        (a_row(amount="-5"), DiscrepancyKind.NOT_AN_AMOUNT),
        (a_row(status=RowStatus.REFUNDED, amount="0"), DiscrepancyKind.NOT_AN_AMOUNT),
        (UnreadableRow(reason="payment_amount is missing", raw={}), DiscrepancyKind.UNREADABLE_ROW),
    ],
)
def test_a_strange_row_is_a_question_and_its_neighbour_is_still_money(row: Row, kind: DiscrepancyKind) -> None:
    decision = decide(row, a_row("100000000000009"))

    assert kinds(decision) == [kind]
    assert [event.payment_id for event in decision.events] == ["100000000000009"]


def test_another_currency_lies_in_suspense() -> None:
    decision = decide(a_row(currency="USD"))

    assert outline(decision.events) == [("received", "gateway", None, "100")]
    assert kinds(decision) == [DiscrepancyKind.OTHER_CURRENCY]


def test_one_payment_with_two_amounts_is_one_event_and_a_question() -> None:
    decision = decide(a_row(amount="100"), a_row(amount="90"))

    assert outline(decision.events) == [("received", "gateway", "order-1", "90")]
    assert kinds(decision) == [DiscrepancyKind.CHANGED_AMOUNT]


# --- Payments that are recorded --------------------------------------------------------------------------------------


def test_a_known_payment_is_nothing_and_clears_what_was_suspected_of_it() -> None:
    assert decide(a_row(), known=recorded(RECEIVED)) == Decision(cleared=frozenset({("qpay", P)}))


@pytest.mark.parametrize("row", [a_row(amount="90"), a_row(amount="100", currency="USD")])
def test_a_known_payment_with_another_amount_is_a_question_and_the_event_stays(row: PaymentRow) -> None:
    decision = decide(row, known=recorded(RECEIVED))

    assert (decision.events, kinds(decision)) == ((), [DiscrepancyKind.CHANGED_AMOUNT])


def test_a_known_payment_of_another_invoice_is_a_question() -> None:
    elsewhere = an_event(P, amount="100", invoice_id="order-2")
    decision = decide(a_row(), known=recorded(elsewhere, invoice_ids=("order-1", "order-2")))

    assert (decision.events, kinds(decision)) == ((), [DiscrepancyKind.CHANGED_INVOICE])


def test_what_lay_in_suspense_goes_to_the_invoice_that_the_check_proves() -> None:
    decision = decide(a_row(), known=recorded(IN_SUSPENSE))

    assert outline(decision.events) == [
        ("assigned", "gateway", "order-1", "100"),
        ("unassigned", "gateway", None, "100"),
    ]
    assert decision.discrepancies == ()


def test_what_a_person_assigned_elsewhere_stays_there_and_is_a_question() -> None:
    moved = (
        an_event(P, amount="100", kind=Kind.UNASSIGNED, ref="key", invoice_id=None),
        an_event(P, amount="100", kind=Kind.ASSIGNED, ref="key", invoice_id="order-2"),
    )
    decision = decide(a_row(), known=recorded(IN_SUSPENSE, *moved, invoice_ids=("order-1", "order-2")))

    assert (decision.events, kinds(decision)) == ((), [DiscrepancyKind.CHANGED_INVOICE])


@pytest.mark.parametrize(
    ("by_hand", "taken_back"),
    [((), ["100"]), (("30",), ["70"]), (("30", "70"), []), (("100",), [])],
)
def test_a_refund_takes_back_only_what_hands_have_not(by_hand: tuple[str, ...], taken_back: list[str]) -> None:
    manual = [
        an_event(P, amount=amount, kind=Kind.REFUNDED, ref=f"key-{number}") for number, amount in enumerate(by_hand)
    ]

    decision = decide(a_row(status=RowStatus.REFUNDED), known=recorded(RECEIVED, *manual))

    assert [str(event.amount.amount) for event in decision.events] == taken_back
    assert decision.discrepancies == ()


def test_a_refund_of_a_payment_that_was_moved_is_taken_from_whoever_holds_it() -> None:
    moved = (
        an_event(P, amount="40", kind=Kind.UNASSIGNED, ref="key"),
        an_event(P, amount="40", kind=Kind.ASSIGNED, ref="key", invoice_id="order-2"),
    )
    known = recorded(RECEIVED, *moved, invoice_ids=("order-1", "order-2"))

    decision = decide(a_row(status=RowStatus.REFUNDED), known=known)

    assert outline(decision.events) == [
        ("refunded", "gateway:order-1", "order-1", "60"),
        ("refunded", "gateway:order-2", "order-2", "40"),
    ]


@pytest.mark.parametrize("ref", ["gateway", "gateway:order-1"])
def test_paid_after_the_gateways_own_refund_brings_nothing_back_and_is_only_suspected(ref: str) -> None:
    back = an_event(P, amount="100", kind=Kind.REFUNDED, ref=ref)

    decision = decide(a_row(), known=recorded(RECEIVED, back))

    assert (decision.events, kinds(decision), decision.cleared) == ((), [DiscrepancyKind.CHANGED_STATUS], frozenset())
    assert not decision.discrepancies[0].certain


def test_paid_after_a_refund_by_hand_is_as_it_should_be() -> None:
    by_hand = an_event(P, amount="100", kind=Kind.REFUNDED, ref="key")

    assert decide(a_row(), known=recorded(RECEIVED, by_hand)) == Decision(cleared=frozenset({("qpay", P)}))


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (a_row(status=RowStatus.REFUNDED, amount="40"), DiscrepancyKind.CHANGED_AMOUNT),
        (a_row(status=RowStatus.REFUNDED, amount="500"), DiscrepancyKind.CHANGED_AMOUNT),
        (a_row(status=RowStatus.REFUNDED, currency="USD"), DiscrepancyKind.CHANGED_AMOUNT),
        (a_row(status=RowStatus.REFUNDED, amount="0"), DiscrepancyKind.NOT_AN_AMOUNT),
        (a_row(status=RowStatus.REFUNDED, amount="-100"), DiscrepancyKind.NOT_AN_AMOUNT),
    ],
)
def test_a_refund_of_another_amount_than_came_is_a_question_and_takes_nothing_back(
    row: PaymentRow, kind: DiscrepancyKind
) -> None:
    decision = decide(row, known=recorded(RECEIVED))

    assert (decision.events, kinds(decision)) == ((), [kind])


def test_a_refund_shown_on_another_invoices_qr_is_a_question_and_takes_nothing_back() -> None:
    elsewhere = recorded(an_event(P, amount="100", invoice_id="order-2"), invoice_ids=("order-1", "order-2"))

    decision = decide(a_row(status=RowStatus.REFUNDED), known=elsewhere)

    assert (decision.events, kinds(decision)) == ((), [DiscrepancyKind.CHANGED_INVOICE])


def test_paid_and_refunded_with_two_amounts_is_the_payment_and_a_question() -> None:
    decision = decide(a_row(status=RowStatus.REFUNDED, amount="40"), a_row(amount="100"))

    assert outline(decision.events) == [("received", "gateway", "order-1", "100")]
    assert kinds(decision) == [DiscrepancyKind.CHANGED_AMOUNT]


def test_two_amounts_of_a_known_payment_are_one_question() -> None:
    decision = decide(a_row(amount="100"), a_row(amount="90"), known=recorded(RECEIVED))

    assert (decision.events, kinds(decision)) == ((), [DiscrepancyKind.CHANGED_AMOUNT])


@pytest.mark.parametrize("status", [RowStatus.NEW, RowStatus.FAILED, RowStatus.PARTIAL, None])
def test_what_was_given_back_whole_may_be_called_anything_or_vanish(status: RowStatus | None) -> None:
    back = an_event(P, amount="100", kind=Kind.REFUNDED)
    rows = [] if status is None else [a_row(status=status)]

    assert decide(*rows, known=recorded(RECEIVED, back)) == Decision()


def test_whatever_it_is_called_instead_of_paid_it_is_one_question() -> None:
    asked = {
        (one.kind, one.fingerprint)
        for status in (RowStatus.NEW, RowStatus.FAILED, RowStatus.PARTIAL)
        for one in decide(a_row(status=status), known=recorded(RECEIVED)).discrepancies
    }

    assert len(asked) == 1


def test_what_a_person_moved_to_where_the_gateway_shows_it_is_no_question() -> None:
    moved = (
        an_event(P, amount="100", invoice_id="order-2"),
        an_event(P, amount="100", kind=Kind.UNASSIGNED, ref="key", invoice_id="order-2"),
        an_event(P, amount="100", kind=Kind.ASSIGNED, ref="key", invoice_id="order-1"),
    )

    assert decide(a_row(), known=recorded(*moved, invoice_ids=("order-1", "order-2"))).discrepancies == ()


def test_behind_an_unreadable_row_nothing_is_missed() -> None:
    decision = decide(UnreadableRow(reason="no amount", raw=None), known=recorded(RECEIVED))

    assert kinds(decision) == [DiscrepancyKind.UNREADABLE_ROW]


UNKNOWN = a_row(status=RowStatus.UNKNOWN, status_text="SETTLING")
UNREADABLE = UnreadableRow(reason="no amount", raw={"at": 1}, payment_id=P)


@pytest.mark.parametrize("row", [UNKNOWN, UNREADABLE, replace(UNREADABLE, payment_id=None)])
def test_what_cannot_be_understood_is_only_suspected(row: Row) -> None:
    (asked,) = decide(row).discrepancies

    assert (asked.certain, asked.payment_id) == (False, P if row != replace(UNREADABLE, payment_id=None) else None)


@pytest.mark.parametrize("payment_id", [P, None])
def test_an_unreadable_row_that_holds_something_else_each_time_is_one_question(payment_id: str | None) -> None:
    (one,), (other,) = (
        decide(replace(UNREADABLE, raw={"at": number}, payment_id=payment_id)).discrepancies for number in range(2)
    )

    assert (one.subject, one.fingerprint) == (other.subject, other.fingerprint)


@pytest.mark.parametrize("status", [status for status in RowStatus if status is not RowStatus.UNKNOWN])
def test_a_payment_is_understood_once_all_its_rows_are(status: RowStatus) -> None:
    row = a_row(status=status)
    again = a_check(answered_before=True)

    def understood(*rows: Row) -> frozenset[tuple[str, str]]:
        return reconcile(CheckAnswer(rows=rows), checked=again, recorded=recorded(), seen_at=NOON).understood

    assert understood(row) == {("qpay", P)}
    assert understood(UNKNOWN) == understood(UNREADABLE) == understood(row, UNREADABLE) == frozenset()
    assert decide(row).understood == frozenset()  # nothing can have been asked yet


def test_the_same_unreadable_row_of_two_qrs_is_two_questions() -> None:
    row = UnreadableRow(reason="no amount", raw=None)
    other_qr = replace(a_check(), gateway_invoice_id=UUID(int=2))

    (one,) = decide(row).discrepancies
    (other,) = reconcile(CheckAnswer(rows=(row,)), checked=other_qr, recorded=recorded(), seen_at=NOON).discrepancies

    assert one.subject != other.subject


def test_a_payment_that_came_through_suspense_is_missed_when_it_vanishes() -> None:
    found = an_event(P, amount="100", invoice_id=None)
    proved = (
        an_event(P, amount="100", kind=Kind.UNASSIGNED, invoice_id=None, gateway_invoice_id=GATEWAY_INVOICE),
        an_event(P, amount="100", kind=Kind.ASSIGNED, gateway_invoice_id=GATEWAY_INVOICE),
    )

    assert kinds(decide(known=recorded(found, *proved))) == [DiscrepancyKind.MISSING_AT_GATEWAY]


@pytest.mark.parametrize("status", [RowStatus.NEW, RowStatus.FAILED, RowStatus.PARTIAL])
def test_not_paid_after_paid_takes_nothing_back_and_is_only_suspected(status: RowStatus) -> None:
    decision = decide(a_row(status=status), known=recorded(RECEIVED))

    assert (decision.events, kinds(decision)) == ((), [DiscrepancyKind.CHANGED_STATUS])
    assert not decision.discrepancies[0].certain


def test_a_payment_that_has_vanished_is_only_suspected() -> None:
    decision = decide(known=recorded(RECEIVED))

    assert (decision.events, kinds(decision)) == ((), [DiscrepancyKind.MISSING_AT_GATEWAY])
    assert not decision.discrepancies[0].certain


def test_a_payment_of_another_qr_is_not_missed_here() -> None:
    assert decide(known=recorded(an_event(P, gateway_invoice_id=None))) == Decision()


# --- What payments raise about their invoice -------------------------------------------------------------------------


def test_money_on_a_void_invoice_is_recorded_and_a_question() -> None:
    decision = decide(a_row(), known=recorded(voided=True))

    assert outline(decision.events) == [("received", "gateway", "order-1", "100")]
    assert kinds(decision) == [DiscrepancyKind.PAID_AFTER_VOID]


def test_a_second_full_payment_by_another_qr_is_a_duplicate() -> None:
    first = an_event("7", amount="100", gateway_invoice_id=None)

    decision = decide(a_row(), known=recorded(first))

    assert outline(decision.events) == [("received", "gateway", "order-1", "100")]
    assert kinds(decision) == [DiscrepancyKind.DUPLICATE_PAYMENT]


def test_a_second_full_payment_that_was_found_in_suspense_is_a_duplicate() -> None:
    first = an_event("7", amount="100", gateway_invoice_id=UUID(int=2))

    decision = decide(a_row(), known=recorded(first, IN_SUSPENSE))

    assert kinds(decision) == [DiscrepancyKind.DUPLICATE_PAYMENT]


def test_a_first_payment_that_was_found_in_suspense_makes_the_second_a_duplicate() -> None:
    found = (
        an_event("7", amount="100", invoice_id=None),
        an_event("7", amount="100", kind=Kind.UNASSIGNED, invoice_id=None, gateway_invoice_id=UUID(int=2)),
        an_event("7", amount="100", kind=Kind.ASSIGNED, gateway_invoice_id=UUID(int=2)),
    )

    assert kinds(decide(a_row(), known=recorded(*found))) == [DiscrepancyKind.DUPLICATE_PAYMENT]


def test_each_further_payment_beyond_the_due_is_another_question() -> None:
    first = an_event("7", amount="100", gateway_invoice_id=None)
    second = decide(a_row(), known=recorded(first))
    third = decide(a_row(), a_row("100000000000003"), known=recorded(first, *second.events))

    asked = {one.fingerprint for decision in (second, third) for one in decision.discrepancies}
    assert len(asked) == 2


def test_parts_by_two_qrs_and_too_much_on_one_are_no_duplicates() -> None:
    part = an_event("7", amount="40", gateway_invoice_id=None)
    too_much = an_event("7", amount="90", gateway_invoice_id=GATEWAY_INVOICE)

    assert kinds(decide(a_row(amount="60"), known=recorded(part))) == []
    assert kinds(decide(a_row("7", amount="90"), a_row(amount="100"), known=recorded(too_much))) == []


# --- Properties ------------------------------------------------------------------------------------------------------

amounts = st.sampled_from(["1", "100", "250.50"])
lives = st.sampled_from(
    [
        (RowStatus.PAID,),
        (RowStatus.NEW, RowStatus.PAID),
        (RowStatus.PARTIAL, RowStatus.PAID),
        (RowStatus.NEW, RowStatus.FAILED),
        (RowStatus.NEW, RowStatus.PARTIAL),
        (RowStatus.PAID, RowStatus.REFUNDED),
        (RowStatus.NEW, RowStatus.PAID, RowStatus.REFUNDED),
        (RowStatus.REFUNDED,),
    ]
)
QRS = [GATEWAY_INVOICE, UUID(int=2)]


@dataclass(frozen=True, slots=True)
class Life:
    """What happens to one payment at the gateway, and whether somebody found it there before any check showed it."""

    amount: str
    statuses: tuple[RowStatus, ...]
    qr: UUID
    found_first: bool

    @property
    def kinds(self) -> list[Kind]:
        """What a ledger holds of it at last."""
        match self.statuses[-1]:
            case RowStatus.PAID:
                return [Kind.RECEIVED]
            case RowStatus.REFUNDED:
                return [Kind.RECEIVED, Kind.REFUNDED]
            case _:
                return []


History = dict[str, Life]
histories = st.dictionaries(
    st.sampled_from(["1", "2", "3", "4"]),
    st.builds(Life, amounts, lives, st.sampled_from(QRS), st.booleans()),
    max_size=4,
)


def show(history: History, chance: Random, qr: UUID, *, final: bool) -> list[Row]:
    """One honest answer: each payment at some moment of its life, or not yet, or twice; at the end all as they are."""
    rows: list[Row] = []
    for payment_id, life in history.items():
        moment = len(life.statuses) - 1 if final else chance.randrange(-1, len(life.statuses))
        if life.qr == qr and moment >= 0:
            row = a_row(payment_id, status=life.statuses[moment], amount=life.amount)
            rows += [row] * chance.choice([1, 1, 2])
    chance.shuffle(rows)
    return rows


def play(history: History, chance: Random, *, answers: int, voided: bool) -> list[PaymentEvent]:
    events = [
        an_event(payment_id, amount=life.amount, invoice_id=None)
        for payment_id, life in history.items()
        if life.found_first and life.kinds
    ]
    asked = [(chance.choice(QRS), False) for _ in range(answers)] + [(qr, True) for qr in QRS]
    for qr, final in asked:
        decision = reconcile(
            CheckAnswer(rows=tuple(show(history, chance, qr, final=final))),
            checked=replace(a_check(), gateway_invoice_id=qr),
            recorded=recorded(*events, due="300", voided=voided),
            seen_at=NOON,
        )
        assert not {event.key for event in decision.events} & {event.key for event in events}
        events += decision.events
    return events


def balance(events: Sequence[PaymentEvent]) -> Balance:
    changes = [InvoiceChange(position=1, kind=ChangeKind.AMOUNT, amount=money("300", currency="MNT"))]
    return fold(changes, [event for event in events if event.invoice_id == "order-1"], currency="MNT")


any_history = given(histories, st.randoms(use_true_random=False), st.integers(0, 5), st.integers(0, 5), st.booleans())


@settings(max_examples=200, deadline=None)  # a machine may have others on it
@any_history
def test_whatever_a_gateway_shows_on_the_way_the_same_events_and_balances_come_out(
    history: History, chance: Random, answers: int, others: int, voided: bool
) -> None:
    require_the_same_either_way(history, chance, answers, others, voided=voided)


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None)
@any_history
def test_in_two_thousand_histories_the_same_events_and_balances_come_out(
    history: History, chance: Random, answers: int, others: int, voided: bool
) -> None:
    require_the_same_either_way(history, chance, answers, others, voided=voided)


def require_the_same_either_way(history: History, chance: Random, answers: int, others: int, *, voided: bool) -> None:
    facts = {
        (payment_id, kind, money(life.amount, currency="MNT"))
        for payment_id, life in history.items()
        for kind in life.kinds
    }
    sums = {
        kind: sum((amount for _, told, amount in facts if told is kind), money(0, currency="MNT"))
        for kind in (Kind.RECEIVED, Kind.REFUNDED)
    }

    one, other = (play(history, chance, answers=number, voided=voided) for number in (answers, others))

    for events in (one, other):
        told = [event for event in events if event.kind in {Kind.RECEIVED, Kind.REFUNDED}]
        assert {(event.payment_id, event.kind, event.amount) for event in told} == facts
        assert len(told) == len(facts)
        assert (balance(events).received, balance(events).refunded) == (sums[Kind.RECEIVED], sums[Kind.REFUNDED])
    assert sorted(event.key for event in one) == sorted(event.key for event in other)
    assert balance(one) == balance(other)


strange_rows = st.lists(
    st.builds(
        a_row,
        st.sampled_from(["1", "2", "3", "4"]),
        status=st.sampled_from(RowStatus),
        amount=st.sampled_from(["-1", "0", "1", "100", "250.50"]),
        currency=st.sampled_from(["MNT", "USD"]),
    )
    | st.just(UnreadableRow(reason="no amount", raw=None)),
    max_size=12,
)


@given(strange_rows, st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_rows_decides_nothing(rows: list[Row], chance: Random) -> None:
    again = rows * 2
    chance.shuffle(again)

    one, other = decide(*rows), decide(*again)

    assert one.events == other.events
    assert {(asked.kind, asked.subject, asked.fingerprint) for asked in one.discrepancies} == {
        (asked.kind, asked.subject, asked.fingerprint) for asked in other.discrepancies
    }
    assert [event.key for event in one.events] == sorted({event.key for event in one.events})


@given(strange_rows)
def test_the_same_answer_decided_twice_is_nothing_the_second_time(rows: list[Row]) -> None:
    first = decide(*rows)

    assert decide(*rows, known=recorded(*first.events)).events == ()
