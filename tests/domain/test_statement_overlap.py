"""Of lines that agree in account, day, direction, amount and currency, each is kept once, however files overlap."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.statement_overlap import Seen, Sorted, Trait, sort_out

AT = datetime(2026, 11, 22, 4, 0, 1, tzinfo=UTC)


def a_line(
    *, balance: int | None = None, reference: str | None = None, minute: int | None = None, format_: str = "khan.json"
) -> Trait:
    posted_at = None if minute is None else AT + timedelta(minutes=minute)
    return Trait(format=format_, posted_at=posted_at, balance_minor=balance, reference=reference)


def seen(lines: list[Trait], stored: list[Trait]) -> list[Seen]:
    return [one.seen for one in sort_out(lines, stored=stored)]


days = st.lists(st.integers(0, 3), min_size=1, max_size=8)
"""The balances after the equal lines of a day: money that went away and came back makes two the same."""


@given(days, st.data())
def test_whole_days_bring_each_line_once_in_whatever_order_they_come(balances: list[int], data: st.DataObject) -> None:
    day = [a_line(balance=balance) for balance in balances]
    kept: list[Trait] = []
    for until in [*data.draw(st.lists(st.integers(0, len(day)), max_size=3)), len(day)]:
        so_far = data.draw(st.permutations(day[:until]))
        kept += [line for line, one in zip(so_far, sort_out(so_far, stored=kept), strict=True) if one.seen is Seen.NEW]

    assert sorted(line.balance_minor or 0 for line in kept) == sorted(balances)


@given(days)
def test_the_same_again_in_another_format_and_without_balances_makes_nothing(balances: list[int]) -> None:
    kept = [a_line(balance=balance, reference=str(place), minute=place) for place, balance in enumerate(balances)]
    others = [
        [replace(line, format="khan.csv", reference=None) for line in kept],
        [replace(line, format="tdb.json", reference=f"x{line.reference}", balance_minor=None) for line in kept],
    ]

    assert all(one is Seen.STORED for lines in others for one in seen(lines, kept))


def test_pages_of_one_day_without_balances_are_told_apart_by_the_banks_reference() -> None:
    first, second = a_line(reference="1"), a_line(reference="2")

    assert seen([second], [first]) == [Seen.NEW]
    assert seen([second, first], [first]) == [Seen.NEW, Seen.STORED]


def test_a_line_that_is_told_twice_in_one_file_is_one() -> None:
    line = a_line(balance=5, reference="1", minute=0)

    assert seen([line, line], []) == [Seen.NEW, Seen.IN_FILE]
    assert seen([a_line(balance=5, minute=0)] * 2, []) == [Seen.NEW, Seen.IN_FILE]
    assert seen([a_line(balance=5)] * 2, []) == [Seen.NEW, Seen.NEW]


def test_two_times_in_one_format_are_two_lines_and_in_two_formats_are_not() -> None:
    morning, evening = a_line(balance=5, minute=0), a_line(balance=5, minute=600)

    assert seen([evening], [morning]) == [Seen.NEW]
    assert seen([replace(evening, format="khan.csv")], [morning]) == [Seen.STORED]


def test_a_known_line_under_another_reference_is_doubtful_and_never_silent() -> None:
    assert seen([a_line(balance=5, reference="2")], [a_line(balance=5, reference="1")]) == [Seen.DOUBTFUL]


def test_new_lines_are_counted_on_from_those_that_are_kept() -> None:
    verdicts = sort_out([a_line(balance=5)] * 3, stored=[a_line(balance=5)])

    assert verdicts == [
        Sorted(seen=Seen.STORED, stored=0),
        Sorted(seen=Seen.NEW, occurrence=2),
        Sorted(seen=Seen.NEW, occurrence=3),
    ]


@given(
    st.lists(
        st.builds(
            a_line,
            balance=st.none() | st.integers(0, 2),
            reference=st.none() | st.sampled_from("ab"),
            minute=st.none() | st.integers(0, 2),
            format_=st.sampled_from(["x", "y"]),
        ),
        max_size=6,
    )
)
def test_any_file_twice_makes_nothing_the_second_time(lines: list[Trait]) -> None:
    kept = [line for line, one in zip(lines, sort_out(lines, stored=[]), strict=True) if one.seen is Seen.NEW]

    assert Seen.NEW not in seen(lines, kept)
