"""A found payment is brought to its invoice by as few calls as can be, and is filed when it is on none of ours."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.discrepancy import DiscrepancyKind
from domain.following import CHECKS_OF_EACH, GRACE, Check, Followed, RingQr, Step, Unmatched, next_step
from domain.payment_event import Kind, Source
from domain.payment_row import RowStatus, UnreadableRow
from domain.recorded import Recorded, RecordedPayment
from domain.unmatched import file_unmatched
from tests.domain.samples import NOON, a_row

FIRST, SECOND = uuid4(), uuid4()
SOON, LATER = NOON + timedelta(minutes=1), NOON + GRACE
KEY = ("qpay", "100000000000001")


def followed(
    *ties: UUID,
    rung: tuple[UUID, ...] = (),
    check: Check = Check.NONE,
    tells_qr: bool = True,
    looked_up: bool = False,
    may_be_money: bool = False,
) -> Followed:
    return Followed(
        first_found_at=NOON,
        ties=ties,
        rung=rung,
        check=check,
        tells_qr=tells_qr,
        looked_up=looked_up,
        may_be_money=may_be_money,
    )


def step(payment: Followed, *, late: bool = False, unmatched: Unmatched = Unmatched.SUSPENSE) -> RingQr | Step:
    return next_step(payment, unmatched=unmatched, now=LATER if late else SOON)


def test_the_qr_that_the_list_tells_is_checked_then_the_other_one_then_the_payment_is_looked_up() -> None:
    assert step(followed(FIRST, SECOND)) == RingQr(gateway_invoice_id=FIRST)
    assert step(followed(FIRST, SECOND, rung=(FIRST,), check=Check.DUE)) is Step.WAIT
    assert step(followed(FIRST, SECOND, rung=(FIRST,), check=Check.ANSWERED)) == RingQr(gateway_invoice_id=SECOND)
    assert step(followed(FIRST, SECOND, rung=(FIRST, SECOND), check=Check.ANSWERED)) is Step.LOOK_UP


def test_a_check_that_was_noted_and_never_asked_for_is_asked_for() -> None:
    assert step(followed(FIRST, rung=(FIRST,), check=Check.FORGOTTEN)) == RingQr(gateway_invoice_id=FIRST)


def test_what_tells_no_qr_is_looked_up_at_once_and_what_tells_one_when_its_qr_had_time_to_be_saved() -> None:
    assert step(followed(tells_qr=False)) is Step.LOOK_UP
    assert step(followed()) is Step.WAIT
    assert step(followed(), late=True) is Step.LOOK_UP


def test_nothing_is_filed_before_the_grace_is_over() -> None:
    assert step(followed(looked_up=True)) is Step.WAIT
    assert step(followed(looked_up=True), late=True) is Step.FILE


def test_with_other_software_on_the_account_its_payments_are_ignored_and_ours_are_not() -> None:
    ignoring = Unmatched.IGNORE
    assert step(followed(), late=True, unmatched=ignoring) is Step.IGNORE
    assert step(followed(tells_qr=False), unmatched=ignoring) is Step.LOOK_UP
    assert step(followed(tells_qr=False, looked_up=True), late=True, unmatched=ignoring) is Step.IGNORE
    ours = followed(FIRST, rung=(FIRST,), check=Check.ANSWERED, looked_up=True)
    assert step(ours, late=True, unmatched=ignoring) is Step.FILE


@given(
    ties=st.lists(st.sampled_from([FIRST, SECOND]), unique=True, max_size=2),
    tells_qr=st.booleans(),
    unmatched=st.sampled_from(Unmatched),
    late=st.booleans(),
    may_be_money=st.booleans(),
)
def test_every_payment_comes_to_an_end_by_few_checks_of_each_qr_and_as_many_looks(
    ties: list[UUID], unmatched: Unmatched, *, tells_qr: bool, late: bool, may_be_money: bool
) -> None:
    rung: tuple[UUID, ...] = ()
    looks, looked_up = 0, False
    for _ in range(30):
        check = Check.ANSWERED if rung else Check.NONE
        payment = followed(*ties, rung=rung, check=check, tells_qr=tells_qr, looked_up=looked_up)
        next_ = step(payment, late=late, unmatched=unmatched)
        if next_ in {Step.LOOK_UP, Step.FILE}:  # it is filed by a look
            looks, looked_up = looks + 1, True
            told = replace(payment, looked_up=True, may_be_money=may_be_money)
            next_ = step(told, late=late, unmatched=unmatched)
        match next_:
            case RingQr(gateway_invoice_id=qr):
                rung = (*rung, qr)
            case Step.WAIT:
                late = True
            case _:
                break
    else:
        pytest.fail("it never ends")
    checks_of_each = CHECKS_OF_EACH if may_be_money else 1
    assert [rung.count(qr) for qr in ties] == [checks_of_each] * len(ties)
    assert looks <= 2 + len(ties) * (checks_of_each - 1)


def test_a_qr_whose_check_did_not_show_what_a_look_shows_is_checked_again() -> None:
    checked = followed(FIRST, SECOND, rung=(FIRST, SECOND), check=Check.ANSWERED, looked_up=True, may_be_money=True)
    assert step(checked) == RingQr(gateway_invoice_id=FIRST)
    assert step(replace(checked, rung=(FIRST, SECOND, FIRST))) == RingQr(gateway_invoice_id=SECOND)
    assert step(replace(checked, rung=(FIRST, SECOND) * CHECKS_OF_EACH)) is Step.WAIT
    assert step(replace(checked, may_be_money=False)) is Step.WAIT


# --- Filing ----------------------------------------------------------------------------------------------------------


def test_paid_is_money_in_suspense_and_a_question() -> None:
    decision = file_unmatched(a_row(paid_at=NOON), payment=KEY, recorded=Recorded(), seen_at=LATER)

    (event,) = decision.events
    assert (event.kind, event.invoice_id, event.gateway_invoice_id) == (Kind.RECEIVED, None, None)
    assert (event.source, event.occurred_at) == (Source.SWEEP, NOON)
    assert [one.kind for one in decision.discrepancies] == [DiscrepancyKind.UNMATCHED]


def test_refunded_is_money_that_has_gone_back_and_no_question() -> None:
    decision = file_unmatched(a_row(status=RowStatus.REFUNDED), payment=KEY, recorded=Recorded(), seen_at=LATER)

    assert [(event.kind, event.occurred_at) for event in decision.events] == [
        (Kind.RECEIVED, LATER),
        (Kind.REFUNDED, LATER),
    ]
    assert decision.discrepancies == ()


@pytest.mark.parametrize("status", [RowStatus.NEW, RowStatus.FAILED, RowStatus.PARTIAL])
def test_what_was_not_paid_is_nothing(status: RowStatus) -> None:
    decision = file_unmatched(a_row(status=status), payment=KEY, recorded=Recorded(), seen_at=LATER)

    assert (decision.events, decision.discrepancies) == ((), ())


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (None, DiscrepancyKind.UNMATCHED),
        (UnreadableRow(reason="no amount", raw={}), DiscrepancyKind.UNREADABLE_ROW),
        (a_row(status=RowStatus.UNKNOWN, status_text="HELD"), DiscrepancyKind.UNKNOWN_STATUS),
        (a_row(amount="0"), DiscrepancyKind.NOT_AN_AMOUNT),
        (a_row(amount="-5"), DiscrepancyKind.NOT_AN_AMOUNT),
    ],
)
def test_what_is_no_money_that_can_be_counted_is_a_question(told: object, kind: DiscrepancyKind) -> None:
    decision = file_unmatched(told, payment=KEY, recorded=Recorded(), seen_at=LATER)  # type: ignore[arg-type]  # of the table

    assert decision.events == ()
    assert [one.kind for one in decision.discrepancies] == [kind]


def test_what_is_recorded_meanwhile_is_not_filed() -> None:
    recorded = Recorded(payments={KEY: RecordedPayment(key=KEY, events=())})

    assert file_unmatched(a_row(), payment=KEY, recorded=recorded, seen_at=LATER).events == ()
