"""A day as a gateway lists it: each payment once, whatever came first, and little memory for each."""

import tracemalloc
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.days import Day
from domain.money import money
from domain.payment_row import FoundPayment, PaymentRow, RowStatus, UnreadableRow
from worker.listed_day import ListedDay

DAY = Day.of(date(2026, 11, 22), zone=ZoneInfo("Asia/Ulaanbaatar"))
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
BYTES_EACH_MAX = 800


def found(
    number: int, *, status: RowStatus = RowStatus.PAID, amount: int = 100, paid_at: datetime | None = NOON
) -> FoundPayment:
    row = PaymentRow(
        payment_id=f"{number:015}",
        status=status,
        status_text=status.value,
        amount=money(amount, currency="MNT"),
        fee=money(1, currency="MNT"),
        paid_at=paid_at,
        raw={"payment_id": number, "description": "x" * 500},
    )
    return FoundPayment(row=row, external_id=None, qr_text=f"{number}" * 20)


def unreadable(number: int) -> UnreadableRow:
    return UnreadableRow(reason="no amount", raw={"n": number}, payment_id=f"{number:015}")


rows = st.lists(
    st.builds(
        found,
        st.integers(0, 5),
        status=st.sampled_from([RowStatus.PAID, RowStatus.REFUNDED, RowStatus.NEW]),
        amount=st.integers(1, 3),
    )
    | st.builds(unreadable, st.integers(0, 5)),
    max_size=12,
)


@settings(max_examples=50)
@given(rows, st.randoms(use_true_random=False))
def test_rows_in_any_order_and_any_number_of_times_make_the_same_day(
    told: list[FoundPayment | UnreadableRow], chance: Random
) -> None:
    again = [*told, *told]
    chance.shuffle(again)

    once, twice = listed(told), listed(again)

    assert once == twice
    ids = {one.row.payment_id if isinstance(one, FoundPayment) else one.payment_id for one in told}
    assert once.keys() == ids


def listed(told: list[FoundPayment | UnreadableRow]) -> dict[str | None, object]:
    day = ListedDay(DAY)
    for row in told:
        day.add(row)
    return {one.payment_id: one for batch in day.batches(3) for one in batch}


def test_payments_of_the_days_beside_it_are_known_and_not_of_it() -> None:
    day = ListedDay(DAY)
    for number, paid_at in enumerate((DAY.since - timedelta(seconds=1), DAY.since, DAY.until, None)):
        day.add(found(number, paid_at=paid_at))

    assert [f"{number:015}" in day for number in range(4)] == [False, True, False, True]
    assert sorted(day.nearby) == [f"{0:015}", f"{2:015}"]


@pytest.mark.slow
def test_a_large_day_holds_a_few_hundred_bytes_for_each_payment() -> None:
    day, count = ListedDay(DAY), 20_000
    tracemalloc.start()
    try:
        for number in range(count):
            day.add(found(number, amount=number + 1, paid_at=NOON + timedelta(seconds=number)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held / count < BYTES_EACH_MAX
