"""Every window of a list is asked for until nothing can come any more, and seldom otherwise, whatever clocks do."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.discovery import LATE, LOOK_BACK, SETTLING, SPAN, WINDOW, Asked, Reading, Window, due_windows, put_together
from domain.payment_row import FoundPage, FoundPayment, RowStatus, UnreadableRow
from tests.domain.samples import NOON, a_row

SWEEP = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)


def note(asked: dict[datetime, Asked], window: Window, *, now: datetime) -> None:
    for begin in window.windows:
        asked[begin] = Asked(asked_at=now, question="q", total=1)


def sweep(asked: dict[datetime, Asked], *, first: datetime, now: datetime) -> list[Window]:
    due = due_windows(asked, first=first, now=now)
    for window in due:
        note(asked, window, now=now)
    return due


def test_a_day_of_sweeps_every_five_minutes_asks_within_the_budget() -> None:
    asked: dict[datetime, Asked] = {}
    first = NOON - timedelta(days=3)
    for n in range(288):
        sweep(asked, first=first, now=NOON - timedelta(days=1) + n * SWEEP)

    questions = sum(len(sweep(asked, first=first, now=NOON + n * SWEEP)) for n in range(288))

    assert questions < 2_000


@settings(max_examples=15, deadline=None)
@given(late=st.floats(0, (LATE - WINDOW).total_seconds()), minute=st.integers(0, 14))
def test_a_row_that_shows_up_late_is_asked_for_before_it_is_half_as_late_again(late: float, minute: int) -> None:
    asked: dict[datetime, Asked] = {}
    paid_at = NOON + minute * MINUTE
    shown_at, now = paid_at + timedelta(seconds=late), paid_at
    found_at = None
    while found_at is None:
        windows = sweep(asked, first=NOON - WINDOW, now=now)
        if now >= shown_at and any(window.begins_at <= paid_at < window.ends_at for window in windows):
            found_at = now
        now += SWEEP

    age = max(shown_at - NOON - WINDOW, SETTLING)
    assert found_at - shown_at <= max(age * 0.5, SETTLING) + 2 * SWEEP


@settings(max_examples=30, deadline=None)
@given(down=st.integers(0, int(LOOK_BACK / WINDOW) - 120))
def test_nothing_is_left_out_however_long_nobody_asked(down: int) -> None:
    asked: dict[datetime, Asked] = {}
    first = NOON - timedelta(days=1)
    sweep(asked, first=first, now=NOON)
    later = NOON + down * WINDOW

    due = due_windows(asked, first=first, now=later)

    covered = sorted((window.begins_at, window.ends_at) for window in due)
    begins = {begin for window in due for begin in window.windows}
    wanted = {NOON + n * WINDOW for n in range(down + 1)}
    assert wanted - {NOON} <= begins
    assert all(until - since <= SPAN for since, until in covered)
    assert len(due) <= 2 * LATE / WINDOW + down * WINDOW / SPAN + 4
    assert due[0].newest
    assert due[0].until > later


def test_nothing_before_the_first_qr_and_nothing_older_than_the_look_back_is_asked_for() -> None:
    assert [one.begins_at for one in due_windows({}, first=NOON + MINUTE, now=NOON + 2 * MINUTE)] == [NOON]
    oldest = min(window.begins_at for window in due_windows({}, first=NOON - 2 * LOOK_BACK, now=NOON))
    assert oldest == NOON - LOOK_BACK


def test_a_window_is_asked_for_no_more_once_it_was_late_enough() -> None:
    asked = {NOON: Asked(asked_at=NOON + WINDOW + LATE, question="q", total=1)}

    due = due_windows(asked, first=NOON, now=NOON + WINDOW + 10 * LATE)

    assert NOON not in {begin for window in due for begin in window.windows}


@settings(max_examples=30, deadline=None)
@given(ahead=st.integers(1, 3 * 96))
def test_a_clock_that_was_ahead_for_a_moment_makes_each_window_asked_for_once_more(ahead: int) -> None:
    asked: dict[datetime, Asked] = {}
    sweep(asked, first=NOON - WINDOW, now=NOON)
    sweep(asked, first=NOON - WINDOW, now=NOON + ahead * WINDOW)

    back = sweep(asked, first=NOON - WINDOW, now=NOON + SWEEP)
    again = sweep(asked, first=NOON - WINDOW, now=NOON + 2 * SWEEP)

    assert NOON in {begin for window in back for begin in window.windows}
    assert all(begin <= NOON + SWEEP for window in back for begin in window.windows)
    assert len(again) <= len(back)


def test_questions_that_are_put_together_cover_the_same_windows() -> None:
    due = due_windows({}, first=NOON - timedelta(hours=30), now=NOON)

    together = put_together(due)

    assert len(together) == 2
    assert {begin for one in together for begin in one.windows} == {begin for one in due for begin in one.windows}
    assert together[0].newest
    assert not together[1].newest


# --- What was read ---------------------------------------------------------------------------------------------------


def page(*ids: str, total: int | None, status: RowStatus = RowStatus.PAID, asked: str = "q") -> FoundPage:
    rows = tuple(FoundPayment(row=a_row(one, status=status), external_id=None, qr_text=None) for one in ids)
    return FoundPage(found=rows, total=total, asked=asked, exact=True)


def read(*pages: FoundPage) -> Reading:
    reading = Reading()
    for one in pages:
        reading.take(one)
    return reading


def test_total_of_a_quiet_reading_tells_the_next_time_that_nothing_came() -> None:
    before = Asked(asked_at=NOON, question="q", total=read(page("1", "2", total=3), page("3", total=3)).total)

    assert read(page("1", "2", total=3)).is_as(before)
    assert not read(page("1", "2", total=4)).is_as(before)
    assert not read(page("1", "2", total=3, asked="another")).is_as(before)


@pytest.mark.parametrize(
    "pages",
    [
        (page("1", "2", total=3), page("2", "3", total=4)),  # one came on a page that was read before
        (page("1", "2", total=4), page("4", total=3)),  # one went, and another moved onto a page that was read before
        (page("1", "2", total=4), page("2", "3", total=4)),  # one of each
    ],
)
def test_rows_that_moved_while_they_were_read_are_noticed(pages: tuple[FoundPage, ...]) -> None:
    reading = read(*pages)

    assert reading.moved
    assert reading.total is None


@pytest.mark.parametrize("status", [RowStatus.NEW, RowStatus.PARTIAL, RowStatus.UNKNOWN])
def test_what_may_become_money_without_another_row_is_read_again(status: RowStatus) -> None:
    assert read(page("1", total=1, status=status)).total is None


def test_a_row_that_cannot_be_read_is_read_again() -> None:
    strange = FoundPage(found=(UnreadableRow(reason="", raw=None),), total=1, asked="q", exact=True)

    assert read(strange).total is None


def test_counts_of_pages_are_no_total_and_no_sign_that_rows_moved() -> None:
    reading = read(page("1", "2", total=None), page("3", total=3))

    assert (reading.moved, reading.total) == (False, None)
