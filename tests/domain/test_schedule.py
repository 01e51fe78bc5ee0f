"""Which periods are due: each night once and none skipped, in any zone, whatever the clock does."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.schedule import (
    CATCH_UP_NIGHTS,
    Every,
    History,
    Nightly,
    begin_of,
    due_periods,
    latest_night,
    next_begin,
    try_again_s,
)

ULAANBAATAR = Nightly(at=time(3, 0), zone=ZoneInfo("Asia/Ulaanbaatar"))
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
ZONES = ["Asia/Ulaanbaatar", "America/New_York", "Europe/Lisbon", "Pacific/Apia", "Australia/Lord_Howe", "UTC"]

nightly = st.builds(
    Nightly,
    at=st.builds(time, hour=st.integers(0, 23), minute=st.integers(0, 59)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds without a zone


class Schedule:
    """What schedulers record, as PostgreSQL keeps it: each night once."""

    def __init__(self, cadence: Nightly) -> None:
        self.cadence = cadence
        self.entered: list[date] = []

    def tick(self, now: datetime) -> list[str]:
        first = min(self.entered, default=None)
        due = due_periods(self.cadence, History(first_night=first, nights=frozenset(self.entered)), now=now)
        self.entered += [date.fromisoformat(period) for period in due]
        return due


@given(cadence=nightly, now=moments)
def test_a_night_has_begun_and_the_next_has_not(cadence: Nightly, now: datetime) -> None:
    night = latest_night(cadence, now=now)

    assert begin_of(cadence, night) <= now < begin_of(cadence, night + timedelta(days=1))


@given(cadence=nightly, start=moments, steps=st.lists(st.integers(0, 60 * 60 * 40), max_size=40))
def test_each_night_runs_once_and_none_is_skipped_however_ticks_come(
    cadence: Nightly, start: datetime, steps: list[int]
) -> None:
    schedule, now = Schedule(cadence), start
    for step_s in steps:
        schedule.tick(now)
        now += timedelta(seconds=step_s)
    schedule.tick(now)

    first, last = latest_night(cadence, now=start), latest_night(cadence, now=now)
    assert schedule.entered == [first + timedelta(days=n) for n in range((last - first).days + 1)]


@given(cadence=nightly, start=moments, errors_h=st.lists(st.integers(-48, 48), min_size=1, max_size=60))
def test_fault_24_a_clock_that_is_days_off_and_steps_back_runs_each_night_once_and_skips_none(
    cadence: Nightly, start: datetime, errors_h: list[int]
) -> None:
    schedule = Schedule(cadence)
    for tick, error_h in enumerate(errors_h):
        schedule.tick(start + timedelta(hours=6 * tick))
        schedule.tick(start + timedelta(hours=6 * tick + error_h))
    end = start + timedelta(hours=6 * len(errors_h))
    schedule.tick(end)

    first, last = latest_night(cadence, now=start), latest_night(cadence, now=end)
    assert len(schedule.entered) == len(set(schedule.entered))
    assert {first + timedelta(days=n) for n in range((last - first).days + 1)} <= set(schedule.entered)


def test_fault_24_a_clock_that_was_years_ahead_for_a_moment_skips_no_night() -> None:
    schedule = Schedule(ULAANBAATAR)
    schedule.tick(NOON)

    schedule.tick(NOON + timedelta(days=3_650))

    assert [schedule.tick(NOON + timedelta(days=days)) for days in (0, 1, 2)] == [[], ["2026-11-23"], ["2026-11-24"]]


def test_nights_that_were_missed_run_late_once_as_far_back_as_makes_sense() -> None:
    schedule = Schedule(ULAANBAATAR)
    schedule.tick(NOON)

    assert schedule.tick(NOON + timedelta(days=3)) == ["2026-11-23", "2026-11-24", "2026-11-25"]
    assert schedule.tick(NOON + timedelta(days=3)) == []
    assert len(schedule.tick(NOON + timedelta(days=300))) == CATCH_UP_NIGHTS


def test_a_new_installation_runs_the_latest_night_and_none_before_it() -> None:
    assert due_periods(ULAANBAATAR, History(), now=NOON) == ["2026-11-22"]


@pytest.mark.parametrize(
    ("zone", "night", "begins"),
    [
        ("Asia/Ulaanbaatar", date(2026, 11, 22), datetime(2026, 11, 21, 19, 0, tzinfo=UTC)),
        ("America/New_York", date(2026, 3, 8), datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
        ("America/New_York", date(2026, 11, 1), datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
    ],
    ids=["without summer time", "the time of day is left out", "the time of day comes twice"],
)
def test_nights_are_nights_where_the_merchant_is(zone: str, night: date, begins: datetime) -> None:
    at = {date(2026, 11, 22): time(3, 0), date(2026, 3, 8): time(2, 30), date(2026, 11, 1): time(1, 30)}[night]

    assert begin_of(Nightly(at=at, zone=ZoneInfo(zone)), night) == begins


def test_what_comes_every_so_often_comes_so_long_after_the_last_began_and_not_before_it_ended() -> None:
    every = Every(every_s=10)

    def due(after_s: float, *, finished: bool = True) -> list[str]:
        history = History(last_number=7, last_begun_at=NOON, last_finished=finished)
        return due_periods(every, history, now=NOON + timedelta(seconds=after_s))

    assert due_periods(every, History(), now=NOON) == ["1"]
    assert (due(9.9), due(10), due(10, finished=False)) == ([], ["8"], [])
    assert due(3_600) == ["8"]
    assert (due(-86_400), due(86_400)) == (["8"], ["8"])


def test_the_next_run_is_told() -> None:
    night = History(first_night=date(2026, 11, 22), nights=frozenset({date(2026, 11, 22)}))
    every = Every(every_s=10)

    assert next_begin(ULAANBAATAR, History(), now=NOON) == NOON
    assert next_begin(ULAANBAATAR, night, now=NOON) == datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
    assert next_begin(every, History(last_number=1, last_begun_at=NOON), now=NOON) == NOON + timedelta(seconds=10)
    assert next_begin(every, History(last_number=1, last_begun_at=NOON, last_finished=False), now=NOON) is None


def test_a_run_that_fails_is_tried_later_and_later() -> None:
    assert [try_again_s(attempts) for attempts in (1, 2, 3, 8, 30)] == [5, 10, 20, 600, 600]
