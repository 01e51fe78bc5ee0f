"""What the simulated QPay takes as an invoice, and how it refuses the rest."""

import json
from typing import Any

import pytest

from tests.simulator.shop import OTHER, Bearer, Shop, invoice_request


def test_the_invoice_code_must_be_the_merchants_own(shop: Shop, bearer: Bearer) -> None:
    answer = bearer.create(invoice_code=OTHER.invoice_code)

    assert answer.status_code == 400
    assert answer.json() == {"error": "INVOICE_CODE_INVALID", "message": "INVOICE_CODE_INVALID"}
    assert shop.bearer(OTHER).create(invoice_code=OTHER.invoice_code).status_code == 200


REQUIRED = [
    "invoice_code",
    "sender_invoice_no",
    "invoice_receiver_code",
    "invoice_description",
    "amount",
    "callback_url",
]


@pytest.mark.parametrize("field", REQUIRED)
@pytest.mark.parametrize("value", [..., None, ""])
def test_required_fields_are_required(bearer: Bearer, field: str, value: Any) -> None:
    answer = bearer.create(**{field: value})

    objects = {field: {"type": "REQUIRED", "message": "Required!"}}
    assert answer.status_code == 400
    assert answer.json() == {"error": objects, "message": objects}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("invoice_code", "x" * 46),
        ("sender_invoice_no", "x" * 46),
        ("sender_invoice_no", "rent 2026"),
        ("sender_invoice_no", "rent/2026"),
        ("sender_invoice_no", "түрээс"),
        ("sender_invoice_no", 7),
        ("invoice_receiver_code", "x" * 46),
        ("invoice_description", "ө" * 256),
        ("callback_url", "http://127.0.0.1/" + "x" * 239),
        ("callback_url", "ftp://127.0.0.1/"),
        ("callback_url", "nothing"),
        ("sender_branch_code", "x" * 46),
        ("amount", 0),
        ("amount", -1),
        ("amount", 0.5),
        ("amount", True),
        ("expiry_date", "soon"),
        ("lines", [{}]),
        ("lines", "none"),
    ],
)
def test_a_wrong_field_is_named_in_both_objects(bearer: Bearer, field: str, value: Any) -> None:
    answer = bearer.create(**{field: value})

    body = answer.json()
    assert answer.status_code == 400
    assert body["error"] == body["message"]
    assert all(name.split(".")[0] == field for name in body["error"])
    assert all(set(words) == {"type", "message"} for words in body["error"].values())


@pytest.mark.parametrize("amount", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1e5000"])
def test_amounts_that_are_no_amounts_are_refused(bearer: Bearer, amount: bytes) -> None:
    body = json.dumps(invoice_request(amount=4711)).encode().replace(b"4711", amount)
    assert bearer.call("POST", "/v2/invoice", content=body).status_code == 400


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(bearer: Bearer, content: bytes) -> None:
    answer = bearer.call("POST", "/v2/invoice", content=content)

    assert answer.status_code == 400
    assert answer.json()["error"] == answer.json()["message"]


def test_a_body_without_end_is_refused(bearer: Bearer) -> None:
    assert bearer.call("POST", "/v2/invoice", content=b" " * 1_000_001).status_code == 413


@pytest.mark.parametrize(
    "fields",
    [
        {"invoice_receiver_code": "x" * 45, "invoice_description": "ө" * 255},
        {"sender_invoice_no": "x" * 45},
        {"callback_url": "http://127.0.0.1/" + "x" * 238},
        {"amount": 100.0},
        {"amount": 1},
        {"enable_expiry": "false", "allow_partial": "true"},
        {"unknown_field": {"anything": 1}},
    ],
)
def test_what_is_just_right_is_taken(bearer: Bearer, fields: dict[str, Any]) -> None:
    assert bearer.create(**fields).status_code == 200


def test_an_amount_no_qr_could_hold_is_refused(bearer: Bearer) -> None:
    answer = bearer.create(amount=10**12 + 1)

    assert (answer.status_code, answer.json()["error"]) == (400, "MAX_AMOUNT_ERR")
