"""Where a gateway may be asked and does not tell, a QR is looked at often at first, and never too often."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.polling import FIRST, GAP_MIN, POLLS_MAX, ladder, next_poll

LIFETIMES = st.timedeltas(min_value=timedelta(minutes=5), max_value=timedelta(days=365))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@given(LIFETIMES)
def test_a_qr_is_looked_at_at_most_so_often_the_last_time_when_it_expires(lifetime: timedelta) -> None:
    rungs = ladder(lifetime)

    assert len(rungs) <= POLLS_MAX
    assert rungs[-1] == lifetime
    assert rungs[0] == FIRST


@given(LIFETIMES)
def test_looks_are_dense_at_first_and_never_closer_than_they_may_be(lifetime: timedelta) -> None:
    rungs = ladder(lifetime)

    assert all(after - before >= GAP_MIN for before, after in pairwise(rungs))
    assert 2 * sum(rung <= lifetime / 2 for rung in rungs[:-1]) >= len(rungs[:-1])


def test_a_qr_of_a_week_is_looked_at_four_times_in_its_first_two_minutes_and_twice_in_its_last_days() -> None:
    rungs = ladder(7 * DAY)

    assert len(rungs) == POLLS_MAX
    assert sum(rung <= timedelta(minutes=2) for rung in rungs) == 4
    assert sum(rung > 4 * DAY for rung in rungs) == 2


@given(LIFETIMES, st.lists(st.timedeltas(min_value=timedelta(0), max_value=30 * DAY), max_size=40))
def test_however_late_each_look_comes_there_are_never_more(lifetime: timedelta, delays: list[timedelta]) -> None:
    age, looks = FIRST, 0
    waits = iter([*delays, *[timedelta(0)] * POLLS_MAX])
    while True:
        age += next(waits)
        looks += 1
        rung = next_poll(age, lifetime=lifetime)
        if rung is None:
            break
        assert rung > age
        age = rung

    assert looks <= POLLS_MAX


def test_a_qr_that_has_expired_is_looked_at_no_more() -> None:
    assert next_poll(7 * DAY, lifetime=7 * DAY) is None
    assert next_poll(HOUR, lifetime=-HOUR) is None
