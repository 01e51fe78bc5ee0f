"""From a gateway's rows to events: PAID is money, everything else is not, and no row stops another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.gateway import CheckAnswer, PaymentRow, RowStatus, UnreadableRow
from domain.payment_event import Kind, OccurredAtSource
from domain.reconciler import Decision, DiscrepancyKind, reconcile
from tests.domain.samples import GATEWAY_INVOICE, NOON, a_check, a_row


def decide(*rows: PaymentRow | UnreadableRow) -> Decision:
    return reconcile(CheckAnswer(rows=rows), checked=a_check(), seen_at=NOON)


def test_a_paid_row_is_a_received_event_on_the_checked_invoice() -> None:
    decision = decide(a_row(amount="1500000"))

    (event,) = decision.events
    assert (event.invoice_id, event.gateway_invoice_id, event.kind) == ("order-1", GATEWAY_INVOICE, Kind.RECEIVED)
    assert event.amount.amount == 1_500_000
    assert decision.discrepancies == ()


def test_a_row_without_a_time_occurred_when_it_was_first_seen() -> None:
    (event,) = decide(a_row()).events

    assert (event.occurred_at, event.occurred_at_source) == (NOON, OccurredAtSource.OBSERVED)


def test_a_row_with_a_time_occurred_then() -> None:
    (event,) = decide(a_row(paid_at=NOON.replace(hour=1))).events

    assert (event.occurred_at, event.occurred_at_source) == (NOON.replace(hour=1), OccurredAtSource.GATEWAY)


@pytest.mark.parametrize("status", [RowStatus.NEW, RowStatus.FAILED, RowStatus.PARTIAL])
def test_what_is_not_paid_is_no_money_and_no_question(status: RowStatus) -> None:
    assert decide(a_row(status=status)) == Decision(events=(), discrepancies=())


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (a_row(status=RowStatus.UNKNOWN, status_text="SETTLING"), DiscrepancyKind.UNKNOWN_STATUS),
        (a_row(status=RowStatus.REFUNDED), DiscrepancyKind.REFUNDED_AT_GATEWAY),
        (a_row(amount="0"), DiscrepancyKind.NOT_AN_AMOUNT),
        (a_row(amount="-5"), DiscrepancyKind.NOT_AN_AMOUNT),
        (a_row(currency="USD"), DiscrepancyKind.OTHER_CURRENCY),
        (UnreadableRow(reason="payment_amount is missing", raw={}), DiscrepancyKind.UNREADABLE_ROW),
    ],
)
def test_a_strange_row_is_a_question_and_its_neighbour_is_still_money(
    row: PaymentRow | UnreadableRow, kind: DiscrepancyKind
) -> None:
    decision = decide(row, a_row("100000000000009"))

    assert [discrepancy.kind for discrepancy in decision.discrepancies] == [kind]
    assert [event.payment_id for event in decision.events] == ["100000000000009"]


def test_one_payment_with_two_amounts_is_one_event_and_a_question() -> None:
    decision = decide(a_row(amount="100"), a_row(amount="90"))

    assert [event.amount.amount for event in decision.events] == [90]
    assert [discrepancy.kind for discrepancy in decision.discrepancies] == [DiscrepancyKind.CHANGED_ROW]


rows = st.lists(
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


@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_decides_nothing(given_rows: list[PaymentRow | UnreadableRow], chance: object) -> None:
    shuffled = list(given_rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' Random

    assert decide(*shuffled).events == decide(*given_rows).events


@given(rows)
def test_rows_that_come_twice_decide_the_same_events(given_rows: list[PaymentRow | UnreadableRow]) -> None:
    events = decide(*given_rows).events

    assert decide(*given_rows, *given_rows).events == events
    assert [event.key for event in events] == sorted({event.key for event in events})
