"""Whatever is done to events or seals below the head is found, and named where it was done."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.seal import START, EventSeal, Link, SealKey, StoredEvent, seal_events
from domain.seal_audit import SealProblem, SealProblemKind, any_made_with, audit
from tests.domain.test_seal import EVENT

KEY, OLD_KEY, FOREIGN_KEY = (SealKey.of(f"{name} seal secret that only tests know") for name in ("a", "an old", "no"))
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
LATE_AFTER = timedelta(minutes=15)
COUNT = 8

Tables = tuple[dict[int, StoredEvent], dict[int, EventSeal]]


def tables(*, old: int = 0) -> Tables:
    """Events at 10, 20, …, 80 with their seals, the first `old` of them by the secret that was rotated out."""
    events = [replace(EVENT, position=10 * n, payment_id=str(n)) for n in range(1, COUNT + 1)]
    first = seal_events(events[:old], after=START, key=OLD_KEY, sealed_at=NOON)
    after = Link(first[-1].number, first[-1].seal) if first else START
    seals = [*first, *seal_events(events[old:], after=after, key=KEY, sealed_at=NOON)]
    return {event.position: event for event in events}, {seal.position: seal for seal in seals}


def problems(
    tables: Tables, *, keys: tuple[SealKey, ...] = (KEY, OLD_KEY), vouched_up_to: int | None = None
) -> list[SealProblem]:
    events, seals = tables
    below = [events[position] for position in sorted(events) if position <= max(seals, default=0)]
    stored = [seals[position] for position in sorted(seals)]
    return list(audit(below, stored, keys=keys, late_after=LATE_AFTER, vouched_up_to=vouched_up_to))


def found(tables: Tables, *, keys: tuple[SealKey, ...] = (KEY, OLD_KEY)) -> list[tuple[int, str]]:
    return [(problem.position, problem.kind.value) for problem in problems(tables, keys=keys)]


def test_what_was_not_touched_is_intact() -> None:
    assert found(tables()) == []


def test_seals_of_a_rotated_secret_are_verified_by_it() -> None:
    assert found(tables(old=3)) == []


def test_seals_of_a_secret_that_is_not_given_are_one_problem() -> None:
    (problem,) = problems(tables(old=3), keys=(KEY,))

    assert (problem.position, problem.kind) == (10, SealProblemKind.UNKNOWN_KEY)
    assert OLD_KEY.id in problem.detail
    assert "to position 30" in problem.detail


@pytest.mark.parametrize("position", [10, 40, 80])
def test_a_changed_event_is_named_with_its_payment_and_its_neighbours_are_not(position: int) -> None:
    events, seals = tables()
    events[position] = replace(events[position], amount_minor=1)

    (problem,) = problems((events, seals))

    assert (problem.position, problem.kind) == (position, SealProblemKind.CHANGED)
    assert problem.payment == f"qpay:{position // 10}"


@pytest.mark.parametrize("position", [10, 40, 80])
def test_a_removed_event_is_named(position: int) -> None:
    events, seals = tables()
    del events[position]

    assert found((events, seals)) == [(position, "removed")]


@pytest.mark.parametrize("position", [-(2**63), 0, 35, 79])
def test_an_inserted_event_is_named(position: int) -> None:
    events, seals = tables()
    events[position] = replace(EVENT, position=position, payment_id="forged")

    (problem,) = problems((events, seals))

    assert (problem.position, problem.kind, problem.payment) == (position, SealProblemKind.INSERTED, "qpay:forged")


def test_an_event_inserted_with_a_seal_of_its_own_is_named() -> None:
    events, seals = tables()
    events[35] = replace(EVENT, position=35, payment_id="forged")
    seals[35] = replace(seals[30], position=35, number=4)

    assert found((events, seals)) == [(35, "inserted")]


@pytest.mark.parametrize("position", [10, 40, 70])
def test_an_event_removed_with_its_seal_is_found_at_the_next(position: int) -> None:
    events, seals = tables()
    del events[position], seals[position]

    (problem,) = problems((events, seals))

    assert (problem.position, problem.kind) == (position + 10, SealProblemKind.REMOVED)
    assert problem.detail.endswith(": 1")


def test_a_removed_seal_is_named_with_the_event_that_has_lost_it() -> None:
    events, seals = tables()
    del seals[40], seals[50]

    assert found((events, seals)) == [(40, "seal_removed"), (50, "seal_removed")]


Damage = Callable[[EventSeal], EventSeal]


@pytest.mark.parametrize(
    "damage",
    [
        lambda seal: replace(seal, seal=bytes(32)),
        lambda seal: replace(seal, number=99),
        lambda seal: replace(seal, number=1),
        lambda seal: replace(seal, key_id=OLD_KEY.id),
        lambda seal: replace(seal, key_id=FOREIGN_KEY.id),
    ],
)
def test_a_seal_that_was_written_over_is_told_from_a_changed_event(damage: Damage) -> None:
    events, seals = tables()
    seals[40] = damage(seals[40])

    assert found((events, seals)) == [(40, "seal_changed")]


def test_the_time_of_a_seal_cannot_be_changed() -> None:
    events, seals = tables()
    seals[40] = replace(seals[40], sealed_at="2020-01-01T00:00:00.000000Z")

    assert found((events, seals)) == [(40, "changed")]


def recorded(*times: datetime) -> Tables:
    """Events at 10, 20, … recorded at these times, all of them sealed at noon."""
    events = [
        replace(EVENT, position=10 * n, recorded_at=time.isoformat(timespec="microseconds").replace("+00:00", "Z"))
        for n, time in enumerate(times, start=1)
    ]
    seals = seal_events(events, after=START, key=KEY, sealed_at=NOON)
    return {event.position: event for event in events}, {seal.position: seal for seal in seals}


LATE, TIMELY = NOON - LATE_AFTER - timedelta(microseconds=1), NOON - LATE_AFTER


def test_events_sealed_late_are_one_problem_for_each_row_of_them() -> None:
    outages = recorded(LATE, LATE, TIMELY, NOON + LATE_AFTER, LATE)

    first, second = problems(outages)

    assert (first.position, first.kind, second.position) == (10, SealProblemKind.SEALED_LATE, 50)
    assert "to position 20 " in first.detail
    assert ": 2, recorded since 2026-11-22T03:44:59.999999Z" in first.detail


def test_a_published_head_vouches_for_the_time_of_seals_up_to_it() -> None:
    (problem,) = problems(recorded(LATE, LATE, LATE), vouched_up_to=20)

    assert (problem.position, problem.kind) == (30, SealProblemKind.SEALED_LATE)


@pytest.mark.parametrize("key_id", [FOREIGN_KEY.id, KEY.id])
def test_a_key_is_known_by_what_it_made_and_not_by_its_name(key_id: str) -> None:
    events, seals = tables()
    renamed = [replace(seal, key_id=key_id) for seal in seals.values()]
    rest = list(events.values())[2:]

    assert any_made_with(events.values(), renamed, keys=[OLD_KEY, KEY])
    assert any_made_with(rest, renamed, keys=[KEY])
    assert not any_made_with(events.values(), renamed, keys=[OLD_KEY])


def test_sealing_anew_without_the_secret_is_found_everywhere() -> None:
    events, _ = tables()
    forged = seal_events(events.values(), after=START, key=FOREIGN_KEY, sealed_at=NOON)
    disguised = {seal.position: replace(seal, key_id=KEY.id) for seal in forged}

    assert found((events, disguised)) == [(position, "changed") for position in events]


def test_a_cut_tail_looks_intact_without_a_published_head() -> None:
    events, seals = tables()
    del events[80], seals[80], events[70], seals[70]

    assert found((events, seals)) == []


def test_an_audit_goes_on_behind_a_problem() -> None:
    events, seals = tables()
    events[20] = replace(events[20], who="")
    del events[40]
    events[55] = replace(EVENT, position=55)
    events[80] = replace(events[80], invoice_id=None)

    assert found((events, seals)) == [(20, "changed"), (40, "removed"), (55, "inserted"), (80, "changed")]


deeds = st.lists(
    st.tuples(
        st.sampled_from(["change", "remove", "insert", "swap", "unseal", "erase", "write over"]),
        st.integers(1, COUNT).map(lambda n: 10 * n),
        st.integers(1, COUNT - 1).map(lambda n: 10 * n + 5),
    ),
    min_size=1,
    max_size=5,
)


@given(deeds=deeds, old=st.integers(0, COUNT))
def test_whatever_is_done_below_the_head_is_found(deeds: list[tuple[str, int, int]], old: int) -> None:
    before, (events, seals) = tables(old=old), tables(old=old)
    last = 10 * COUNT
    for deed, at, between in deeds:
        _do(deed, events, seals, at=at, between=between)

    events[last], seals[last] = before[0][last], before[1][last]  # the head stands as it was published
    touched = (events, seals) != before
    wrong = found((events, seals))

    assert bool(wrong) == touched
    if touched:
        first = min(position for position in {*before[0], *events} if _differs(position, before, (events, seals)))
        assert first <= min(position for position, _ in wrong) <= _next_seal(first, seals)


def _do(deed: str, events: dict[int, StoredEvent], seals: dict[int, EventSeal], *, at: int, between: int) -> None:
    match deed:
        case "change" if at in events:
            events[at] = replace(events[at], amount_minor=events[at].amount_minor + 1)
        case "remove":
            events.pop(at, None)
        case "insert":
            events[between] = replace(EVENT, position=between)
        case "swap" if at in events and 10 in events:
            events[at], events[10] = replace(events[10], position=at), replace(events[at], position=10)
        case "unseal":
            seals.pop(at, None)
        case "erase":
            events.pop(at, None)
            seals.pop(at, None)
        case "write over" if at in seals:
            seals[at] = replace(seals[at], seal=bytes(32))


def _differs(position: int, before: Tables, now: Tables) -> bool:
    return (before[0].get(position), before[1].get(position)) != (now[0].get(position), now[1].get(position))


def _next_seal(position: int, seals: dict[int, EventSeal]) -> int:
    return min(each for each in seals if each >= position)
