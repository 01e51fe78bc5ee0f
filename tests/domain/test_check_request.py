"""Back-off waits longer each time, never longer than it may, and never shorter than was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.check_request import held_back_delay_s, retry_delay_or_park, retry_delay_s

attempts = st.integers(1, 10_000)
chances = st.floats(0, 1, exclude_max=True)


@given(attempts, chances)
def test_a_delay_lies_between_half_and_all_of_its_step(attempt: int, chance: float) -> None:
    delay_s = retry_delay_s(attempt, base_s=2, max_s=600, chance=chance)

    step_s = min(600, 2 * 2 ** min(attempt - 1, 60))
    assert step_s / 2 <= delay_s <= step_s


@given(attempts, chances, st.floats(0, 86_400))
def test_a_gateway_that_asks_for_time_gets_it(attempt: int, chance: float, asked_s: float) -> None:
    assert retry_delay_s(attempt, base_s=2, max_s=600, chance=chance, retry_after_s=asked_s) >= asked_s


def test_delays_double_up_to_the_longest() -> None:
    delays_s = [retry_delay_s(attempt, base_s=2, max_s=60, chance=0.0) for attempt in range(1, 8)]

    assert delays_s == [2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("attempts", "final", "parks"),
    [
        (1, False, False),
        (599, False, False),
        (600, False, True),
        (11, True, False),
        (12, True, True),
        (601, True, True),
    ],
)
def test_what_failed_too_often_is_parked_and_sooner_where_the_gateway_will_not_change_it(
    attempts: int, *, final: bool, parks: bool
) -> None:
    delay_s = retry_delay_or_park(attempts, final=final, limit=600, base_s=2, max_s=600, chance=0)

    assert (delay_s is None) == parks


def test_the_default_limit_is_days() -> None:
    waits = [
        retry_delay_or_park(attempts, final=False, limit=600, base_s=2, max_s=600, chance=0.5)
        for attempts in range(1, 600)
    ]

    assert 3 * 86_400 < sum(wait or 0 for wait in waits) < 4 * 86_400


@given(chances, st.none() | st.floats(0, 86_400))
def test_who_was_held_back_comes_when_it_may_and_not_all_at_once(chance: float, asked_s: float | None) -> None:
    delay_s = held_back_delay_s(base_s=2, chance=chance, retry_after_s=asked_s)

    may_s = 2 if asked_s is None else asked_s
    assert may_s <= delay_s <= may_s + 2
