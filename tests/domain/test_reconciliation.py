"""A gateway's list beside what is recorded: each payment has one verdict, sums agree, and order does not matter."""

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import permutations
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.days import Day
from domain.discrepancy import DiscrepancyKind
from domain.money import money
from domain.payment_event import OccurredAtSource
from domain.payment_row import RowStatus, UnreadableRow
from domain.reconciliation import AGREED, Aspect, Comparison, ListedPayment, OnRecord, Verdict, compare, merge
from domain.tally import Tally, figures_here, figures_there

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
QR = UUID("00000000-0000-4000-8000-000000000001")
P = "100000000000001"


def listed(
    payment_id: str = P,
    *,
    status: RowStatus = RowStatus.PAID,
    amount: str = "100",
    currency: str = "MNT",
    fee: str | None = "1",
    two_amounts: bool = False,
) -> ListedPayment:
    return ListedPayment(
        payment_id=payment_id,
        status=status,
        status_text=status.value,
        amount=money(amount, currency=currency),
        fee=None if fee is None else money(fee, currency=currency),
        paid_at=NOON,
        two_amounts=two_amounts,
    )


def on_record(
    payment_id: str = P,
    *,
    received: str = "100",
    refunded: str = "0",
    by_gateway: str = "0",
    in_suspense: str = "0",
    currency: str = "MNT",
    fee: str | None = "1",
) -> OnRecord:
    return OnRecord(
        payment_id=payment_id,
        received=money(received, currency=currency),
        refunded=money(refunded, currency=currency),
        refunded_by_gateway=money(by_gateway, currency=currency),
        in_suspense=money(in_suspense, currency=currency),
        fee=None if fee is None else money(fee, currency=currency),
        invoice_id="order-1",
        gateway_invoice_id=QR,
        issued_at=NOON,
        occurred_at=NOON,
        occurred_at_source=OccurredAtSource.OBSERVED,
        paid_at=NOON,
    )


UNREADABLE = UnreadableRow(reason="no amount", raw={"payment_id": P}, payment_id=P)
STRANGE = replace(listed(status=RowStatus.UNKNOWN), status_text="SETTLING")


@pytest.mark.parametrize(
    ("there", "here", "verdict", "aspects"),
    [
        (listed(), on_record(), Verdict.MATCHED, ""),
        (listed(fee=None), on_record(), Verdict.MATCHED, ""),
        (listed(fee="2"), on_record(), Verdict.OTHER_FEE, ""),
        (listed(), on_record(refunded="100"), Verdict.MATCHED, ""),  # given back by hand: the gateway does not know
        (listed(), on_record(refunded="100", by_gateway="100"), Verdict.DIFFERENT, "status"),
        (listed(status=RowStatus.REFUNDED), on_record(), Verdict.DIFFERENT, "status"),
        (listed(status=RowStatus.REFUNDED), on_record(refunded="40"), Verdict.DIFFERENT, "status"),
        (listed(status=RowStatus.REFUNDED), on_record(refunded="100"), Verdict.MATCHED, ""),
        (listed(status=RowStatus.PARTIAL), on_record(), Verdict.DIFFERENT, "status"),
        (listed(status=RowStatus.NEW), on_record(), Verdict.DIFFERENT, "status"),
        (listed(status=RowStatus.FAILED), on_record(refunded="100"), Verdict.NOT_MONEY, ""),
        (listed(status=RowStatus.PARTIAL), None, Verdict.NOT_MONEY, ""),
        (listed(amount="90"), on_record(), Verdict.DIFFERENT, "amount"),
        (listed(currency="USD"), on_record(), Verdict.DIFFERENT, "amount"),
        (listed(two_amounts=True), on_record(), Verdict.DIFFERENT, "amount"),
        (listed(amount="90", status=RowStatus.REFUNDED), on_record(), Verdict.DIFFERENT, "amount status"),
        (listed(), on_record(in_suspense="100"), Verdict.IN_SUSPENSE, ""),
        (listed(), on_record(in_suspense="1"), Verdict.IN_SUSPENSE, ""),
        (listed(amount="90"), on_record(in_suspense="100"), Verdict.DIFFERENT, "amount"),
        (listed(), None, Verdict.ONLY_THERE, ""),
        (listed(status=RowStatus.REFUNDED), None, Verdict.ONLY_THERE, ""),
        (None, on_record(), Verdict.ONLY_HERE, ""),
        (None, on_record(refunded="99"), Verdict.ONLY_HERE, ""),
        (None, on_record(refunded="100"), Verdict.NOT_MONEY, ""),
        (UNREADABLE, on_record(), Verdict.UNCLEAR, ""),
        (UNREADABLE, None, Verdict.UNCLEAR, ""),
        (STRANGE, on_record(), Verdict.UNCLEAR, ""),
        (STRANGE, None, Verdict.UNCLEAR, ""),
        (listed(amount="0"), None, Verdict.UNCLEAR, ""),
        (listed(amount="-5"), on_record(), Verdict.UNCLEAR, ""),
    ],
)
def test_a_payment_has_this_verdict(
    there: ListedPayment | UnreadableRow | None, here: OnRecord | None, verdict: Verdict, aspects: str
) -> None:
    comparison = compare(there, here)

    assert comparison.verdict is verdict
    assert comparison.aspects == {Aspect(one) for one in aspects.split()}
    assert comparison.payment_id == P


@pytest.mark.parametrize(
    ("comparison", "questions"),
    [
        (compare(None, on_record()), {(DiscrepancyKind.MISSING_AT_GATEWAY, "")}),
        (compare(listed(status=RowStatus.PARTIAL), on_record()), {(DiscrepancyKind.CHANGED_STATUS, "")}),
        (
            compare(listed(amount="90"), on_record()),
            {(DiscrepancyKind.CHANGED_AMOUNT, str(money("90", currency="MNT")))},
        ),
        (compare(STRANGE, None), {(DiscrepancyKind.UNKNOWN_STATUS, "SETTLING")}),
        (compare(listed(), None), set()),
        (compare(listed(), on_record()), set()),
    ],
)
def test_what_is_open_about_a_payment_is_what_the_reconciler_asks(
    comparison: Comparison, questions: set[tuple[DiscrepancyKind, str]]
) -> None:
    assert comparison.questions == questions


# --- Whole days ------------------------------------------------------------------------------------------------------

amounts = st.integers(1, 300).map(str)
fees = st.sampled_from([None, "0", "1", "2"])
rows = st.builds(
    listed, status=st.sampled_from(list(RowStatus)), amount=amounts, currency=st.sampled_from(["MNT", "USD"]), fee=fees
)


@st.composite
def records(draw: st.DrawFn) -> OnRecord:
    received = draw(st.integers(1, 300))
    refunded = draw(st.sampled_from([0, received, received // 2]))
    by_gateway = draw(st.sampled_from([0, refunded]))
    suspense = draw(st.sampled_from([0, received - refunded]))
    return on_record(
        received=str(received),
        refunded=str(refunded),
        by_gateway=str(by_gateway),
        in_suspense=str(suspense),
        fee=draw(fees),
    )


@st.composite
def sides(draw: st.DrawFn) -> list[tuple[ListedPayment | UnreadableRow | None, OnRecord | None]]:
    day = []
    for number in range(draw(st.integers(0, 8))):
        payment_id = f"p{number}"
        there = draw(st.none() | rows | st.just(UNREADABLE))
        here = draw(records() if there is None else st.none() | records())
        there = there if there is None else replace(there, payment_id=payment_id)
        day.append((there, here if here is None else replace(here, payment_id=payment_id)))
    return day


def tallied(comparisons: list[Comparison]) -> Tally:
    tally = Tally()
    for comparison in comparisons:
        tally.add(comparison)
    return tally


@settings(max_examples=50)
@given(sides(), st.randoms(use_true_random=False))
def test_each_payment_is_counted_once_and_in_any_order_a_day_comes_to_the_same(
    day: list[tuple[ListedPayment | UnreadableRow | None, OnRecord | None]], chance: Random
) -> None:
    comparisons = [compare(there, here) for there, here in day]
    shuffled = list(comparisons)
    chance.shuffle(shuffled)

    tally, again = tallied(comparisons), tallied(shuffled)

    assert sum(tally.counts.values()) == len(day)
    assert tally.open == sum(count for verdict, count in tally.counts.items() if verdict not in AGREED)
    assert (tally.counts, tally.there, tally.here, tally.open, tally.state) == (
        again.counts,
        again.there,
        again.here,
        again.open,
        again.state,
    )


@settings(max_examples=50)
@given(sides())
def test_sums_are_those_of_the_payments_and_agree_where_all_agree(
    day: list[tuple[ListedPayment | UnreadableRow | None, OnRecord | None]],
) -> None:
    comparisons = [compare(there, here) for there, here in day]
    agreeing = [one for one in comparisons if one.agrees or one.verdict is Verdict.IN_SUSPENSE]

    tally, agreed = tallied(comparisons), tallied(agreeing)

    for sums, figures_of in ((tally.there, figures_there), (tally.here, figures_here)):
        each = [figures for one in comparisons if (figures := figures_of(one)) is not None]
        assert sum(one.count for one in sums.values()) == len(each)
        for currency, summed in sums.items():
            of_it = [one for one in each if one.gross.currency.code == currency]
            assert summed.gross == sum((one.gross for one in of_it), money(0, currency=currency))
            assert summed.net == sum((one.net for one in of_it), money(0, currency=currency))
    assert agreed.there.keys() == agreed.here.keys()
    for currency, there in agreed.there.items():
        here = agreed.here[currency]
        assert (there.count, there.gross, there.refunded) == (here.count, here.gross, here.refunded)


@settings(max_examples=50)
@given(st.lists(rows, min_size=1, max_size=4))
def test_rows_of_one_payment_merge_to_the_same_in_any_order_and_twice_is_once(told: list[ListedPayment]) -> None:
    def merged(of: tuple[ListedPayment, ...]) -> ListedPayment:
        result = of[0]
        for row in of[1:]:
            result = merge(result, row)
        return result

    results = {merged(order) for order in permutations(told)}

    assert len(results) == 1
    (result,) = results
    assert merge(result, result) == result
    assert result.two_amounts == (len({row.amount for row in told}) > 1)


def test_a_refund_that_both_sides_have_leaves_the_day_as_it_was() -> None:
    before = tallied([compare(listed(), on_record())])
    noticed = tallied([compare(listed(status=RowStatus.REFUNDED), on_record())])
    after = tallied([compare(listed(status=RowStatus.REFUNDED), on_record(refunded="100", by_gateway="100"))])

    assert before.state == after.state
    assert noticed.state != before.state


def test_other_differences_and_later_payments_make_another_day() -> None:
    days = [
        [compare(listed(), on_record())],
        [compare(listed(), on_record()), compare(listed("p2"), on_record("p2"))],
        [compare(listed(amount="101"), on_record(received="101"))],
        [compare(None, on_record())],
        [compare(listed(status=RowStatus.PARTIAL), on_record())],
        [compare(listed(status=RowStatus.NEW), on_record())],
        [compare(listed(), on_record(in_suspense="100"))],
    ]

    assert len({tallied(day).state for day in days}) == len(days)


def test_what_a_person_has_answered_is_not_open() -> None:
    tally, clean = Tally(), Tally()

    tally.add(compare(None, on_record()), answered=True)

    assert (tally.open, tally.counts[Verdict.ONLY_HERE]) == (0, 1)
    assert tally.state == clean.state


# --- Days ------------------------------------------------------------------------------------------------------------


def test_a_day_is_one_of_the_time_zone_and_has_no_gap_to_the_next() -> None:
    zone = ZoneInfo("Asia/Ulaanbaatar")

    day, next_day = Day.of(date(2026, 11, 22), zone=zone), Day.of(date(2026, 11, 23), zone=zone)

    assert day.since == datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
    assert day.until == next_day.since
    assert day.since in day
    assert day.until not in day


def test_a_day_on_which_clocks_are_changed_has_23_or_25_hours() -> None:
    zone = ZoneInfo("Europe/Berlin")

    hours = [
        (Day.of(one, zone=zone).until - Day.of(one, zone=zone).since).total_seconds() / 3_600
        for one in (date(2026, 3, 29), date(2026, 10, 25))
    ]

    assert hours == [23, 25]
