"""Whatever is changed in a recorded answer, it is read or called unreadable, and money that is read is exact."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.calls.answers import Answer
from adapters.qpay.details import QPayInvoice, read_invoice
from adapters.qpay.errors import error_from
from adapters.qpay.issuing import read_issued
from adapters.qpay.rows import read_found, read_row
from adapters.qpay.wire import InvoiceBody, PageBody, TokenBody, read_any, read_body
from domain.gateway import GatewayError, GatewayUnreadableError
from domain.money import minor_units
from domain.payment_row import FoundPayment, PaymentRow, UnreadableRow
from tests.adapters.qpay.scripted import fixture

VALUE: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["", "0", "-1", "1e99", "NaN", "100.005", "1,500", "PAID", "VOIDED", [], {}, [[]], [None]]).map(
        deepcopy
    )
    | st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)
)


def read_all_rows(body: bytes) -> list[PaymentRow | UnreadableRow]:
    return [read_row(row) for row in read_body(PageBody, body).rows]


def find_all(body: bytes) -> list[FoundPayment | UnreadableRow]:
    return [read_found(row) for row in read_body(PageBody, body).rows]


READERS: dict[str, Callable[[bytes], object]] = {
    "auth_token_200": lambda body: read_body(TokenBody, body),
    "invoice_create_200": lambda body: read_issued(read_body(InvoiceBody, body)),
    "invoice_get_200_open": read_invoice,
    "payment_check_200_card": read_all_rows,
    "payment_check_200_older_shape": read_all_rows,
    "payment_check_200_p2p": read_all_rows,
    "payment_check_200_unpaid": read_all_rows,
    "payment_get_200": lambda body: read_found(read_any(body)),
    "payment_list_200": find_all,
}
ERRORS = [
    "auth_token_401",
    "invoice_already_canceled_400",
    "payment_settled_400",
    "system_busy_500",
    "unauthorized_401",
    "validation_400",
]


def places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Name every place in a JSON value."""
    if at:
        yield at
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*at, key))


@st.composite
def mangled(draw: st.DrawFn, name: str) -> bytes:
    """Take a recorded answer and drop, replace, retype, repeat or add something in a few places; or cut it off."""
    body = json.loads(fixture(name))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.sampled_from([*places(body)] or [("none",)]))
        holder: Any = body
        with suppress(KeyError, IndexError, TypeError):
            for key in at[:-1]:
                holder = holder[key]
            old = holder[at[-1]]
            how = draw(st.sampled_from(["drop", "replace", "as text", "as number", "repeat", "add"]))
            if how == "drop":
                del holder[at[-1]]
            elif how == "replace":
                holder[at[-1]] = draw(VALUE)
            elif how == "as text" and isinstance(old, int | float):
                holder[at[-1]] = str(old)
            elif how == "as number" and isinstance(old, str):
                with suppress(ValueError):
                    holder[at[-1]] = float(old)
            elif how == "repeat" and isinstance(holder, list):
                holder.append(old)
            elif how == "add" and isinstance(old, dict):
                old[draw(st.text(max_size=8))] = draw(VALUE)
    text = json.dumps(body).encode()
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


def check_row(row: PaymentRow | UnreadableRow) -> None:
    if isinstance(row, UnreadableRow):
        assert row.reason
        return
    minor_units(row.amount)
    assert row.amount.amount == Decimal(str(row.raw["payment_amount"]))
    assert row.paid_at is None or row.paid_at.tzinfo is UTC
    json.dumps(row.raw, allow_nan=False)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
def test_mangled_answer_is_read_or_unreadable(name: str, data: st.DataObject) -> None:
    body = data.draw(mangled(name))

    try:
        read = READERS[name](body)
    except GatewayUnreadableError:
        return

    for each in read if isinstance(read, list) else [read]:
        if isinstance(each, FoundPayment):
            check_row(each.row)
        elif isinstance(each, PaymentRow | UnreadableRow):
            check_row(each)


@pytest.mark.parametrize("name", ERRORS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
def test_mangled_error_is_still_an_error_that_says_what_to_do(name: str, data: st.DataObject) -> None:
    status = int(name.rsplit("_", 1)[1])

    error = error_from(Answer(status=status, body=data.draw(mangled(name)), retry_after_s=None, secrets=()))

    assert type(error) is type(error_from(Answer(status=status, body=b"", retry_after_s=None, secrets=())))
    assert isinstance(error, GatewayError)
    assert error.message.isprintable()


@pytest.mark.parametrize("name", [each for each in READERS if each != "auth_token_200"])
def test_fields_that_nobody_knows_change_nothing(name: str) -> None:
    plain = json.loads(fixture(name))
    more = json.loads(fixture(name), object_hook=lambda each: each | {"brand_new": {"a": [1, None]}})

    assert _without_raw(READERS[name](json.dumps(more).encode())) == _without_raw(
        READERS[name](json.dumps(plain).encode())
    )


def _without_raw(read: object) -> object:
    """Compare what is understood: `raw` keeps the new fields, as it should."""
    if isinstance(read, list):
        return [_without_raw(each) for each in read]
    if isinstance(read, FoundPayment):
        return replace(read, row=replace(read.row, raw={}))
    return replace(read, raw={}) if isinstance(read, PaymentRow | UnreadableRow | QPayInvoice) else read
