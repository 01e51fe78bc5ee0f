"""What becomes of a notification is said by the status alone, and nothing is waited for without an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.delivery import (
    GIVE_UP_AFTER_S,
    RETRY_AFTER_MAX_S,
    RETRY_BASE_S,
    RETRY_MAX_S,
    Delivered,
    Park,
    Reply,
    TryAgain,
    judge,
)


def reply(status: int | None, *, retry_after_s: float | None = None) -> Reply:
    return Reply(status=status, reason="as it was answered", retry_after_s=retry_after_s)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered_however_long_it_took(status: int) -> None:
    assert judge(reply(status), attempts=400, tried_for_s=2 * GIVE_UP_AFTER_S, chance=0) == Delivered()


def test_gone_is_parked_at_once() -> None:
    assert judge(reply(410), attempts=1, tried_for_s=0, chance=0) == Park()


@pytest.mark.parametrize("status", [None, 100, 301, 302, 308, 400, 401, 404, 422, 429, 500, 503, 599])
def test_everything_else_is_tried_again_for_three_days_and_then_parked(status: int | None) -> None:
    just_before = judge(reply(status), attempts=3, tried_for_s=GIVE_UP_AFTER_S - 1, chance=0)

    assert isinstance(just_before, TryAgain)
    assert judge(reply(status), attempts=3, tried_for_s=GIVE_UP_AFTER_S, chance=0) == Park()


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_waits_double_from_seconds_to_half_an_hour(attempts: int, chance: float) -> None:
    verdict = judge(reply(500), attempts=attempts, tried_for_s=0, chance=chance)

    assert isinstance(verdict, TryAgain)
    longest_s = min(RETRY_MAX_S, RETRY_BASE_S * 2 ** min(attempts - 1, 60))
    assert longest_s / 2 <= verdict.delay_s <= longest_s
    assert verdict.pause_s is None


@given(status=st.sampled_from([429, 503]), asked_s=st.floats(0, 10**9))
def test_a_pause_that_is_asked_for_is_kept_but_not_for_days(status: int, asked_s: float) -> None:
    verdict = judge(reply(status, retry_after_s=asked_s), attempts=1, tried_for_s=0, chance=0)

    assert isinstance(verdict, TryAgain)
    assert verdict.pause_s == min(asked_s, RETRY_AFTER_MAX_S)
    assert verdict.delay_s == max(RETRY_BASE_S, verdict.pause_s)


@pytest.mark.parametrize("status", [None, 301, 400, 500])
def test_a_pause_is_only_heard_where_it_means_to_slow_down(status: int | None) -> None:
    verdict = judge(reply(status, retry_after_s=600), attempts=1, tried_for_s=0, chance=0)

    assert verdict == TryAgain(delay_s=RETRY_BASE_S)
