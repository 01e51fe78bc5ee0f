"""A story is told in the order in which things happened, and its balances are the fold of what came before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.balance import Balance, fold
from domain.dossier import (
    CallbackFacts,
    ChangeFacts,
    CheckFacts,
    CheckOutcome,
    Dossier,
    EventFacts,
    InvoiceFacts,
    QrFacts,
    Subject,
    SubjectKind,
)
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import money
from domain.pay_link import GatewayInvoiceState
from domain.payment_event import Kind, Source
from domain.story import Called, Changed, Checked, Happened, Item, QrStep, QrStepped, rebuilt, tell
from tests.domain.samples import GATEWAY_INVOICE, NOON, an_event

LATER = NOON + timedelta(days=30)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_change(position: int = 1, *, amount: str | None = "100", seconds: float = 0) -> ChangeFacts:
    kind = ChangeKind.VOID if amount is None else ChangeKind.AMOUNT
    told = None if amount is None else money(amount, currency="MNT")
    change = InvoiceChange(position=position, kind=kind, amount=told)
    return ChangeFacts(invoice_id="order-1", change=change, at=at(seconds), who="Bat", reason=None)


def a_qr(**told: object) -> QrFacts:
    qr = QrFacts(
        id=GATEWAY_INVOICE,
        invoice_id="order-1",
        gateway="qpay",
        generation=1,
        number="order-1",
        external_id="x",
        amount=money("100", currency="MNT"),
        state=GatewayInvoiceState.OPEN,
        kept_open=False,
        issued_at=at(1),
        opened_at=at(2),
        closing_at=None,
        ended_at=None,
        expires_at=at(7 * 86_400),
        failure_code=None,
        last_error=None,
    )
    return replace(qr, **told)  # type: ignore[arg-type]  # the fields of a QR


def a_check(number: int = 1, *, seconds: float = 10, **told: object) -> CheckFacts:
    check = CheckFacts(
        id=number,
        gateway_invoice_id=GATEWAY_INVOICE,
        started_at=at(seconds),
        cause=Source.CALLBACK,
        qr_was_closing=False,
        requests=1,
        attempt=1,
        awaited_since=None,
        outcome=CheckOutcome.ANSWERED,
        duration_ms=30,
        seen_at=at(seconds + 0.03),
        rows=0,
        answer=(),
        new_events=0,
        new_discrepancies=0,
        error=None,
    )
    return replace(check, **told)  # type: ignore[arg-type]  # the fields of a check


def an_entry(position: int = 1, *, seconds: float, payment: str | None = None, **told: object) -> EventFacts:
    event = an_event(payment or str(position), **told)  # type: ignore[arg-type]  # the fields of an event
    return EventFacts(
        position=position, event=event, recorded_at=at(seconds), reason=None, moved=False, other_invoice_id=None
    )


def a_dossier(
    *,
    changes: Sequence[ChangeFacts] = (a_change(),),
    events: Sequence[EventFacts] = (),
    checks: Sequence[CheckFacts] = (),
    callbacks: Sequence[CallbackFacts] = (),
    qr: QrFacts | None = None,
    subject: Subject | None = None,
) -> Dossier:
    invoice = InvoiceFacts(
        id="order-1",
        description="An order",
        due_at=None,
        created_at=NOON,
        currency="MNT",
        live=fold([one.change for one in changes], [one.event for one in events], currency="MNT"),
    )
    return Dossier(
        subject=subject or Subject(kind=SubjectKind.INVOICE, invoice_id="order-1"),
        invoices={"order-1": invoice},
        changes=tuple(changes),
        qrs={GATEWAY_INVOICE: qr or a_qr()},
        callbacks=tuple(callbacks),
        checks=tuple(checks),
        events=tuple(events),
        notifications=(),
        discrepancies=(),
        checks_left_out=0,
        discrepancies_left_out=0,
    )


def kinds(items: Sequence[Item]) -> list[type]:
    return [type(item) for item in items]


def test_things_are_told_in_the_order_in_which_they_happened() -> None:
    callbacks = CallbackFacts(
        gateway_invoice_id=GATEWAY_INVOICE, first_at=at(9), last_at=at(11), count=100, announced="1"
    )
    settled = a_qr(state=GatewayInvoiceState.SETTLED, ended_at=at(10.04))

    told = tell(
        a_dossier(events=[an_entry(seconds=10.03)], checks=[a_check()], callbacks=[callbacks], qr=settled), now=LATER
    )

    assert kinds(told) == [Changed, QrStepped, QrStepped, Called, Checked, Happened, QrStepped]


@given(skew_s=st.floats(-3_600, 3_600), took_ms=st.integers(0, 8_000))
def test_a_payment_never_stands_before_the_check_that_found_it(skew_s: float, took_ms: int) -> None:
    check = a_check(duration_ms=took_ms, seen_at=at(10 + skew_s))
    settled = a_qr(state=GatewayInvoiceState.SETTLED, ended_at=at(10 + took_ms / 1_000 + 0.001))

    told = tell(a_dossier(events=[an_entry(seconds=10 + skew_s)], checks=[check], qr=settled), now=LATER)

    assert kinds(told)[-3:] == [Checked, Happened, QrStepped]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[ChangeFacts], list[EventFacts]]:
    """Changes in the order of their positions, and events that came at any time."""
    amounts = draw(st.lists(st.one_of(st.none(), st.integers(1, 1_000)), min_size=1, max_size=5))
    changes = [
        a_change(position, amount=None if amount is None else str(amount), seconds=position)
        for position, amount in enumerate(amounts)
    ]
    drawn = draw(st.lists(st.tuples(st.sampled_from(Kind), st.integers(1, 1_000), st.integers(0, 10)), max_size=20))
    events = [
        an_entry(position, seconds=seconds, kind=kind, amount=str(amount), minutes=position % 7)
        for position, (kind, amount, seconds) in enumerate(drawn)
    ]
    return changes, events


@given(histories())
def test_the_balance_after_each_event_is_the_fold_of_all_that_came_before(
    history: tuple[list[ChangeFacts], list[EventFacts]],
) -> None:
    changes, events = history
    told = tell(a_dossier(changes=changes, events=events), now=LATER)

    for count, item in enumerate(told, start=1):
        if isinstance(item, Happened) and any(isinstance(one, Changed) for one in told[:count]):
            so_far = told[:count]
            assert item.balance == fold(
                [one.change.change for one in so_far if isinstance(one, Changed)],
                [one.event.event for one in so_far if isinstance(one, Happened)],
                currency="MNT",
            )


@given(histories())
def test_the_last_balance_is_the_rebuilt_one(history: tuple[list[ChangeFacts], list[EventFacts]]) -> None:
    changes, events = history
    dossier = a_dossier(changes=changes, events=events)

    balances: list[Balance] = [
        item.balance for item in tell(dossier, now=LATER) if isinstance(item, Changed | Happened) and item.balance
    ]

    assert balances[-1] == rebuilt(dossier)["order-1"]


def test_a_look_for_a_payment_that_was_not_there_is_told_as_one() -> None:
    first = a_check(1, seconds=10, awaited_since=at(9))
    again = a_check(2, seconds=15, awaited_since=at(9))
    other = a_check(3, seconds=20, awaited_since=at(19))

    told = [item for item in tell(a_dossier(checks=[first, again, other]), now=LATER) if isinstance(item, Checked)]

    assert [item.looks_again for item in told] == [False, True, False]


def test_a_qr_runs_out_where_nothing_else_ended_it() -> None:
    steps = [item.step for item in tell(a_dossier(), now=LATER) if isinstance(item, QrStepped)]
    in_time = [item.step for item in tell(a_dossier(), now=at(60)) if isinstance(item, QrStepped)]

    assert steps == [QrStep.ISSUING, QrStep.OPENED, QrStep.EXPIRED]
    assert in_time == [QrStep.ISSUING, QrStep.OPENED]


def test_the_story_of_a_qr_has_its_own_events_with_the_balance_of_the_whole_invoice() -> None:
    other = UUID("00000000-0000-4000-8000-000000000002")
    events = [
        an_entry(1, seconds=10, amount="30", gateway_invoice_id=other),
        an_entry(2, seconds=20, amount="20", gateway_invoice_id=GATEWAY_INVOICE),
    ]
    subject = Subject(kind=SubjectKind.QR, invoice_id="order-1", gateway_invoice_id=GATEWAY_INVOICE)

    told = tell(a_dossier(events=events, subject=subject), now=at(60))

    assert kinds(told) == [QrStepped, QrStepped, Happened]
    assert isinstance(told[-1], Happened)
    assert told[-1].balance is not None
    assert told[-1].balance.received == money("50", currency="MNT")


@given(histories())
def test_a_story_never_goes_back_in_time(history: tuple[list[ChangeFacts], list[EventFacts]]) -> None:
    changes, events = history

    told = tell(a_dossier(changes=changes, events=events, checks=[a_check()]), now=LATER)

    assert all(one.at <= two.at for one, two in pairwise(told))
