"""Giving payments back at the simulated QPay."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.simulator.shapes import recorded
from tests.simulator.shop import OTHER, Bearer, Shop

VERBS = pytest.mark.parametrize("verb", ["refund", "cancel"])
NOTE = {"note": "Буцаалт"}


def paid(shop: Shop, bearer: Bearer, **order: Any) -> str:
    invoice_id = bearer.issue(amount=100)["invoice_id"]
    return str(shop.paid(invoiceId=invoice_id, callback="drop", **{"type": "CARD", **order})["paymentId"])


def give_back(bearer: Bearer, verb: str, payment_id: str) -> tuple[int, Any]:
    answer = bearer.call("DELETE", f"/v2/payment/{verb}/{payment_id}", json=NOTE)
    return answer.status_code, answer.json()


def fact(shop: Shop) -> dict[str, Any]:
    (only,) = shop.look("facts")["payments"]
    return dict(only)


@VERBS
def test_a_card_payment_is_given_back_and_then_told_as_refunded(shop: Shop, bearer: Bearer, verb: str) -> None:
    payment_id = paid(shop, bearer)

    assert give_back(bearer, verb, payment_id) == (200, {})

    body = bearer.check(fact(shop)["invoiceId"]).json()
    assert (body["count"], body["paid_amount"]) == (1, 0)
    assert (body["rows"][0]["payment_status"], body["rows"][0]["payment_amount"]) == ("REFUNDED", "100.00")
    assert bearer.call("GET", f"/v2/payment/{payment_id}").json()["payment_status"] == "REFUNDED"
    assert (fact(shop)["status"], fact(shop)["amount"], fact(shop)["told"]) == ("REFUNDED", 100, None)


@VERBS
@pytest.mark.parametrize("earlier", ["refund", "cancel"])
def test_giving_back_again_is_refused(shop: Shop, bearer: Bearer, earlier: str, verb: str) -> None:
    payment_id = paid(shop, bearer)
    give_back(bearer, earlier, payment_id)

    status_code, body = give_back(bearer, verb, payment_id)

    assert (status_code, body["error"]) == (400, "PAYMENT_ALREADY_CANCELED")


@VERBS
def test_a_bank_transfer_is_not_given_back_as_recorded(shop: Shop, bearer: Bearer, verb: str) -> None:
    payment_id = paid(shop, bearer, type="P2P")

    assert give_back(bearer, verb, payment_id) == (400, recorded("payment_settled_400"))
    assert fact(shop)["status"] == "PAID"


@VERBS
@pytest.mark.parametrize("payment_type", ["P2P", "CARD"])
@pytest.mark.parametrize("status", ["NEW", "FAILED", "PARTIAL", "SOMETHING_NEW"])
def test_only_what_is_paid_is_given_back(shop: Shop, bearer: Bearer, verb: str, payment_type: str, status: str) -> None:
    payment_id = paid(shop, bearer, type=payment_type, status=status)

    status_code, body = give_back(bearer, verb, payment_id)

    assert (status_code, body["error"]) == (400, "PAYMENT_NOT_PAID")
    assert fact(shop)["status"] == status


@VERBS
def test_unknown_payments_and_those_of_others_are_not_found(shop: Shop, bearer: Bearer, verb: str) -> None:
    theirs = shop.bearer(OTHER).issue(invoice_code=OTHER.invoice_code)["invoice_id"]
    payment_id = shop.paid(invoiceId=theirs, type="CARD", callback="drop")["paymentId"]

    for one in (payment_id, str(uuid4())):
        status_code, body = give_back(bearer, verb, one)
        assert (status_code, body["error"]) == (422, "PAYMENT_NOTFOUND")
    assert fact(shop)["status"] == "PAID"


@VERBS
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "note"),
        ({"note": ""}, "note"),
        ({"note": "x" * 256}, "note"),
        ({"note": "x", "callback_url": "nowhere"}, "callback_url"),
        (None, "body"),
    ],
)
def test_a_body_that_is_not_valid_gives_nothing_back(
    shop: Shop, bearer: Bearer, verb: str, body: dict[str, Any] | None, field: str
) -> None:
    payment_id = paid(shop, bearer)

    content = b"" if body is None else json.dumps(body).encode()
    answer = bearer.call("DELETE", f"/v2/payment/{verb}/{payment_id}", content=content)

    assert (answer.status_code, list(answer.json()["error"])) == (400, [field])
    assert fact(shop)["status"] == "PAID"


@VERBS
def test_giving_back_needs_a_token(shop: Shop, bearer: Bearer, verb: str) -> None:
    payment_id = paid(shop, bearer)

    status_code, _ = give_back(Bearer(shop.http, "dead"), verb, payment_id)

    assert status_code == 401
    assert fact(shop)["status"] == "PAID"


def test_the_callback_url_of_a_refund_is_taken_and_not_called(shop: Shop, bearer: Bearer) -> None:
    payment_id = paid(shop, bearer)

    body = {**NOTE, "callback_url": "http://127.0.0.1:9/refunded"}
    answer = bearer.call("DELETE", f"/v2/payment/refund/{payment_id}", json=body)

    assert answer.status_code == 200
    assert shop.look("callbacks") == {"callbacks": [], "pending": 0}


def test_what_is_given_back_is_what_happened_not_what_is_told(shop: Shop, bearer: Bearer) -> None:
    payment_id = paid(shop, bearer)
    shop.tell(payment_id, status="NEW", hidden=True)

    assert give_back(bearer, "refund", payment_id) == (200, {})

    assert fact(shop)["status"] == "REFUNDED"


@pytest.mark.parametrize("payment_type", ["P2P", "CARD"])
def test_what_was_given_back_by_hand_was_given_back(shop: Shop, bearer: Bearer, payment_type: str) -> None:
    payment_id = paid(shop, bearer, type=payment_type)
    shop.tell(payment_id, status="REFUNDED")

    status_code, body = give_back(bearer, "refund", payment_id)

    assert (status_code, body["error"]) == (400, "PAYMENT_ALREADY_CANCELED")
