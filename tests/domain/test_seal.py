"""A seal depends on every value of its event and on every seal before it, and on nothing but the values."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.seal import (
    START,
    EventSeal,
    Link,
    SealKey,
    StoredEvent,
    canonical_json,
    canonical_text,
    seal_events,
    utc_text,
)

KEY = SealKey.of("a seal secret that only tests know")
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
EVENT = StoredEvent(
    position=17,
    gateway="qpay",
    payment_id="100000000000001",
    kind="received",
    ref="gateway",
    invoice_id="order-1",
    gateway_invoice_id=None,
    amount_minor=10_000,
    currency="MNT",
    fee_minor=None,
    occurred_at="2026-11-22T04:00:00.000000Z",
    occurred_at_source="gateway",
    recorded_at="2026-11-22T04:00:01.500000Z",
    source="callback",
    raw='{"payment_id": "1", "note": "тооцоо \\"\\n", "id": 7, "fee": 1.50}',
    who=None,
)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
numbers = st.integers(-(2**63), 2**63 - 1)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
values = {
    "position": numbers,
    "amount_minor": numbers,
    "invoice_id": texts | st.none(),
    "gateway_invoice_id": texts | st.none(),
    "fee_minor": numbers | st.none(),
    "who": texts | st.none(),
    "raw": jsons.map(json.dumps),
}
events = st.builds(StoredEvent, **{field.name: values.get(field.name, texts) for field in fields(StoredEvent)})


def head(history: list[StoredEvent], *, key: SealKey = KEY) -> Link:
    seals = seal_events(history, after=START, key=key, sealed_at=NOON)
    return Link(seals[-1].number, seals[-1].seal) if seals else START


def test_the_canonical_text_is_known() -> None:
    assert canonical_text(EVENT) == (
        '["tootsoo event 1",17,"qpay","100000000000001","received","gateway","order-1",null,10000,"MNT",null,'
        '"2026-11-22T04:00:00.000000Z","gateway","2026-11-22T04:00:01.500000Z","callback",null,'
        '{"fee":1.50,"id":7,"note":"тооцоо \\"\\n","payment_id":"1"}]'
    )


def test_the_seals_of_a_short_chain_are_known() -> None:
    first, second = seal_events([EVENT, replace(EVENT, position=19)], after=START, key=KEY, sealed_at=NOON)

    assert (KEY.id, first.key_id) == ("1094b2ac", "1094b2ac")
    assert first.seal.hex() == "8818a759c9adb6537d76a77bd4745919025124603eccdebccb9af38528335f25"
    assert second == EventSeal(
        number=2,
        position=19,
        sealed_at="2026-11-22T04:00:00.000000Z",
        key_id=KEY.id,
        seal=bytes.fromhex("a1be98eb9ad0bc7cbbf01452e1334b3cc15d41763e336cf1cb1dc5cc3dc63b22"),
    )


def test_a_seal_can_be_recomputed_from_the_description_alone() -> None:
    (sealed,) = seal_events([EVENT], after=START, key=KEY, sealed_at=NOON)

    message = f'["tootsoo seal 1",1,"{"00" * 32}","2026-11-22T04:00:00.000000Z"]\n{canonical_text(EVENT)}'.encode()
    secret = KEY.secret.ljust(64, b"\0")  # HMAC as RFC 2104 defines it, for a secret of up to 64 bytes
    inner = sha256(bytes(byte ^ 0x36 for byte in secret) + message).digest()
    assert sealed.seal == sha256(bytes(byte ^ 0x5C for byte in secret) + inner).digest()


@given(event=events, other=events, field=st.sampled_from([field.name for field in fields(StoredEvent)]))
def test_a_change_of_any_value_changes_the_text(event: StoredEvent, other: StoredEvent, field: str) -> None:
    changed = replace(event, **{field: getattr(other, field)})

    same = (
        json.loads(event.raw) == json.loads(changed.raw) and canonical_json(event.raw) == canonical_json(changed.raw)
        if field == "raw"
        else event == changed
    )
    assert (canonical_text(event) == canonical_text(changed)) == same


@given(event=events)
def test_the_text_is_json_and_gives_every_value_back(event: StoredEvent) -> None:
    _, *read, raw = json.loads(canonical_text(event))

    assert sorted(map(repr, read)) == sorted(
        repr(getattr(event, field.name)) for field in fields(event) if field.name != "raw"
    )
    assert raw == json.loads(event.raw)


@given(history=st.lists(events, min_size=1, max_size=6), change=st.data())
def test_any_change_removal_insertion_or_swap_changes_the_head(
    history: list[StoredEvent], change: st.DataObject
) -> None:
    at = change.draw(st.integers(0, len(history) - 1))
    another = change.draw(events)
    changed = [*history[:at], another, *history[at + 1 :]]
    removed = [*history[:at], *history[at + 1 :]]
    inserted = [*history[:at], another, *history[at:]]
    swapped = [history[at], *history[1:at], history[0], *history[at + 1 :]] if at else history

    heads = [head(each).seal for each in (changed, removed, inserted, swapped) if each != history]

    assert head(history).seal not in heads


@given(history=st.lists(events, min_size=1, max_size=4), at=st.integers(0, 4))
def test_sealing_in_batches_is_sealing_at_once(history: list[StoredEvent], at: int) -> None:
    first = head(history[:at])
    seals = seal_events(history[at:], after=first, key=KEY, sealed_at=NOON)

    assert (Link(seals[-1].number, seals[-1].seal) if seals else first) == head(history)


def test_another_secret_makes_another_seal_and_has_another_name() -> None:
    other = SealKey.of("another seal secret that tests know")

    assert head([EVENT], key=other) != head([EVENT])
    assert other.id != KEY.id
    assert "secret that tests know" not in repr(other)


def test_a_seal_covers_the_time_it_was_made() -> None:
    (early,) = seal_events([EVENT], after=START, key=KEY, sealed_at=NOON)
    (late,) = seal_events([EVENT], after=START, key=KEY, sealed_at=NOON + timedelta(microseconds=1))

    assert early.seal != late.seal


def test_times_are_utc_with_microseconds() -> None:
    ulaanbaatar = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=8)))

    assert utc_text(ulaanbaatar) == "2026-11-22T04:00:00.000005Z"


# --- Canonical JSON ---------------------------------------------------------------------------------------------------


@given(value=jsons, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_json_is_written_in_one_way_however_it_came(value: object, indent: int | None, *, ascii_only: bool) -> None:
    came = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    beside_a_fraction = f"[0.50, {came}]"  # which takes another way through the code

    one_way = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert canonical_json(came) == one_way
    assert canonical_json(beside_a_fraction) == f"[0.50,{one_way}]"


@pytest.mark.parametrize(
    ("came", "canonical"),
    [
        ("{}", "{}"),
        ("[ ]", "[]"),
        ("null", "null"),
        ('"a, b: {c}"', '"a, b: {c}"'),
        ('{"b": 1, "a b": 2, "a": 3, "a!": 4}', '{"a":3,"a b":2,"a!":4,"b":1}'),
        ('{"\\u04e9": "\\u04e9", "\\/": "\\u0001"}', '{"/":"\\u0001","ө":"ө"}'),
        ("[1.10, 1.1, -0.00000000000000000001, 1e400]", "[1.10,1.1,-0.00000000000000000001,1e400]"),
        ('["\\\\", "\\"", "\\\\\\""]', '["\\\\","\\"","\\\\\\""]'),
    ],
)
def test_numbers_stay_and_keys_are_sorted_as_they_read(came: str, canonical: str) -> None:
    assert canonical_json(came) == canonical


def test_json_may_be_nested_deeper_than_any_stack_and_its_numbers_longer_than_any_int() -> None:
    deep = "[" * 20_000 + "9" * 20_000 + "]" * 20_000

    assert canonical_json(deep) == deep
