"""Whatever a row holds, reading it never raises, and money that comes out of it is exact."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moneyed import Money

from adapters.calls.json_body import as_storable, read_json
from adapters.qpay.rows import read_row
from domain.money import minor_units
from domain.payment_row import PaymentRow, RowStatus, UnreadableRow

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
AMOUNT = (
    st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.decimals(min_value=-(10**13), max_value=10**13, places=2).map(str)
    | st.from_regex(r"[+-]?[0-9]{0,40}\.?[0-9]{0,40}(e[+-]?[0-9]{1,30})?", fullmatch=True)
    | JSON
)
TIME = st.datetimes().map(datetime.isoformat) | st.sampled_from(["0001-01-01T00:00:00+14:00", "2026-03-11"]) | JSON
ROW = st.fixed_dictionaries(
    {},
    optional={
        "payment_id": st.text(max_size=120) | JSON,
        "payment_status": st.sampled_from([*RowStatus, "paid", "VOIDED"]) | JSON,
        "payment_amount": AMOUNT,
        "payment_currency": st.sampled_from(["MNT", "USD", "JPY", "???"]) | JSON,
        "trx_fee": AMOUNT,
        "payment_fee": AMOUNT,
        "payment_date": TIME,
        "card_transactions": st.lists(st.fixed_dictionaries({"date": TIME}) | JSON, max_size=2) | JSON,
    },
)


def as_read(row: object) -> object:
    """The row as it comes off the wire; NaN has no place there, so floats lose it."""
    return read_json(json.dumps(row).replace("NaN", "0").replace("Infinity", "1").encode())


def row_with(**fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "payment_id": "1",
        "payment_status": "PAID",
        "payment_amount": "100.00",
        "payment_currency": "MNT",
    }
    return row | fields


def readable(row: object) -> PaymentRow:
    read = read_row(row)
    assert isinstance(read, PaymentRow), read
    return read


@given(ROW | JSON)
def test_no_row_raises_and_money_is_exact_or_unreadable(row: object) -> None:
    wire = as_read(row)

    read = read_row(wire)

    stored = json.dumps(read.raw, allow_nan=False)
    assert "\\u0000" not in stored
    if isinstance(read, PaymentRow):
        assert isinstance(wire, dict)
        assert read.amount.amount == Decimal(wire["payment_amount"])
        assert Money(Decimal(minor_units(read.amount)) / read.amount.currency.sub_unit, read.amount.currency) == (
            read.amount
        )
        assert read.fee is None or read.fee.amount >= 0
        assert read.paid_at is None or read.paid_at.tzinfo is UTC
        assert 1 <= len(read.payment_id) <= 100
    else:
        assert read.reason.isprintable()
        assert 1 <= len(read.reason) <= 200


@given(st.binary(max_size=200) | st.from_regex(rb'[\[\]{}",:0-9eE.+\-a-z\\]{0,60}', fullmatch=True))
def test_any_bytes_can_be_stored_or_are_a_value_error(body: bytes) -> None:
    try:
        value = as_storable(read_json(body))
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        ("100.005", "finer"),
        ("NaN", "not a number"),
        ("Infinity", "not a number"),
        ("", "not a number"),
        ("1,500,000", "not a number"),
        ("1_000", "not a number"),
        ("१००", "not a number"),
        (" 100", "not a number"),
        (None, "not a number"),
        (True, "not a number"),
        ([100], "not a number"),
        (Decimal("1E+99999999"), "size"),
        (Decimal("1E-99999999"), "size"),
        ("0.0000000000000000000000001", "not a number"),
        ("100.00000000000000000001", "size"),
        (Decimal("100.00000000000000000000000000000000001"), "size"),
        ("1000000000000.01", "within"),
        (10**17, "within"),
    ],
)
def test_amount_that_cannot_be_held_exactly_is_unreadable(amount: object, reason: str) -> None:
    read = read_row(row_with(payment_amount=amount))

    assert isinstance(read, UnreadableRow)
    assert "payment 1: payment_amount" in read.words
    assert reason in read.reason


@pytest.mark.parametrize("field", ["payment_id", "payment_status", "payment_amount", "payment_currency"])
def test_row_without_what_makes_it_a_payment_is_unreadable(field: str) -> None:
    row = row_with()
    del row[field]

    read = read_row(row)

    assert isinstance(read, UnreadableRow)
    assert field in read.reason
    assert read.raw == row


@pytest.mark.parametrize(
    "payment_id", ["", " ", "x" * 101, "a\nb", "a\x00", "\ud800", None, True, 1.5, Decimal("1E+5")]
)
def test_payment_without_an_id_to_hold_it_by_is_unreadable(payment_id: object) -> None:
    assert isinstance(read_row(row_with(payment_id=payment_id)), UnreadableRow)


def test_number_is_taken_as_the_payment_id_that_it_is() -> None:
    assert readable(row_with(payment_id=100000000000001)).payment_id == "100000000000001"


@pytest.mark.parametrize("amount", ["0", "-5.00", "1.5E3"])
def test_odd_but_exact_amounts_are_for_the_reconciler_to_judge(amount: str) -> None:
    assert readable(row_with(payment_amount=read_json(amount.encode()))).amount == Money(Decimal(amount), "MNT")


def test_unknown_status_keeps_the_gateways_word() -> None:
    row = readable(row_with(payment_status="VOIDED\n" + "x" * 99))

    assert row.status is RowStatus.UNKNOWN
    assert row.status_text == ("VOIDED " + "x" * 99)[:40]


@pytest.mark.parametrize("status", [each for each in RowStatus if each is not RowStatus.UNKNOWN])
def test_known_statuses_are_read(status: RowStatus) -> None:
    assert readable(row_with(payment_status=str(status))).status is status


@pytest.mark.parametrize("fee", ["abc", "1.005", None, "", -1, {}])
def test_fee_that_cannot_be_held_does_not_stop_its_payment(fee: object) -> None:
    row = readable(row_with(trx_fee=fee))

    assert row.fee is None
    assert row.raw["trx_fee"] == fee


@pytest.fixture
def in_ulaanbaatar(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine be where people are, eight hours ahead of UTC."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Ulaanbaatar")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("told", "paid_at"),
    [
        ("2026-03-11T05:57:47.336Z", datetime(2026, 3, 11, 5, 57, 47, 336_000, tzinfo=UTC)),
        ("2026-03-11T05:57:47", datetime(2026, 3, 11, 5, 57, 47, tzinfo=UTC)),
        ("2026-03-11 05:57:47", datetime(2026, 3, 11, 5, 57, 47, tzinfo=UTC)),
        ("2026-03-11T13:57:47+08:00", datetime(2026, 3, 11, 5, 57, 47, tzinfo=UTC)),
        ("yesterday", None),
        (1790000000, None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
@pytest.mark.usefixtures("in_ulaanbaatar")
def test_time_is_read_as_utc_and_one_that_cannot_be_read_is_none(told: object, paid_at: datetime | None) -> None:
    assert readable(row_with(payment_date=told)).paid_at == paid_at


def test_raw_can_be_stored_without_loss() -> None:
    wire = read_json(
        b'{"payment_id": "1", "payment_status": "PAID", "payment_amount": 100.10, "payment_currency": "MNT",'
        b' "note": "nul \\u0000 half \\ud800", "long": 12345678901234567890, "huge": 1e99999999999999999999, "n": 7}'
    )

    raw = readable(wire).raw

    assert raw["payment_amount"] == "100.10"
    assert raw["note"] == "nul \ufffd half \ufffd"
    assert (raw["long"], raw["huge"], raw["n"]) == ("12345678901234567890", "1e99999999999999999999", 7)


def test_row_nested_without_reason_is_unreadable_and_not_kept() -> None:
    read = read_row(read_json(b'{"a":' * 200 + b"1" + b"}" * 200))

    assert read == UnreadableRow(reason="nested deeper than 50", raw=None)


@pytest.mark.parametrize(
    "twice",
    ['"payment_amount":"1","payment_amount":"100.00"', '"payment_status":"NEW","payment_status":"PAID"'],
)
def test_field_that_comes_twice_with_two_values_is_unreadable(twice: str) -> None:
    recorded = '{"payment_id":"7","payment_status":"PAID","payment_amount":"100.00","payment_currency":"MNT"}'
    row = recorded.replace("}", f",{twice}}}")

    assert read_row(read_json(recorded.replace("}", ',"payment_id":"7"}').encode())) == read_row(json.loads(recorded))
    assert isinstance(read_row(read_json(row.encode())), UnreadableRow)


def test_an_object_with_many_names_twice_is_read_in_time_that_grows_with_its_size() -> None:
    body = "{" + ",".join(f'"n{number % 50_000}":{number}' for number in range(100_000)) + "}"

    assert read_json(body.encode()) == {f"n{number}": [number, number + 50_000] for number in range(50_000)}
