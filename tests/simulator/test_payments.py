"""Reading payments at the simulated QPay."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from simulator.world import Switches
from tests.simulator.shapes import recorded, shape
from tests.simulator.shop import OTHER, Bearer, Shop


@pytest.fixture
def invoice_id(bearer: Bearer) -> str:
    return str(bearer.issue()["invoice_id"])


def rows(bearer: Bearer, invoice_id: str, **offset: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bearer.check(invoice_id, **offset).json()["rows"]
    return found


def test_unpaid_is_told_without_a_paid_amount(bearer: Bearer, invoice_id: str) -> None:
    assert bearer.check(invoice_id).json() == recorded("payment_check_200_unpaid")


def test_a_bank_transfer_is_told_as_recorded(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    payment_id = shop.paid(invoiceId=invoice_id, callback="drop")["paymentId"]

    expected = recorded("payment_check_200_p2p")
    expected["rows"][0]["payment_id"] = payment_id
    assert bearer.check(invoice_id).json() == expected
    assert len(payment_id) == 15
    assert payment_id.isdigit()


def test_a_card_payment_is_told_as_recorded(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=100)["invoice_id"]
    payment_id = shop.paid(invoiceId=invoice_id, type="CARD", callback="drop")["paymentId"]

    expected, body = recorded("payment_check_200_card"), bearer.check(invoice_id).json()
    assert shape(body) == shape(expected)
    told = ("payment_status", "payment_amount", "trx_fee", "payment_type", "p2p_transactions", "payment_wallet")
    assert [body["rows"][0][key] for key in told] == [expected["rows"][0][key] for key in told]
    assert body["rows"][0]["card_transactions"][0]["amount"] == "100.00"
    assert str(UUID(payment_id)) == payment_id


def test_rows_can_be_switched_to_the_older_shape(shop: Shop, bearer: Bearer) -> None:
    shop.world.switches = Switches(check_rows_are_older=True)
    invoice_id = bearer.issue(amount=100)["invoice_id"]
    payment_id = shop.paid(invoiceId=invoice_id, callback="drop")["paymentId"]

    expected = recorded("payment_check_200_older_shape")
    expected["rows"][0]["payment_id"] = payment_id
    assert bearer.check(invoice_id).json() == expected


@pytest.mark.parametrize("status", ["NEW", "FAILED", "PARTIAL", "REFUNDED", "SOMETHING_NEW"])
def test_every_status_is_told_and_only_paid_is_money(shop: Shop, bearer: Bearer, invoice_id: str, status: str) -> None:
    shop.paid(invoiceId=invoice_id, status=status, callback="drop")

    body = bearer.check(invoice_id).json()
    assert (body["count"], body["paid_amount"], body["rows"][0]["payment_status"]) == (1, 0, status)
    assert shop.look("facts")["invoices"][0]["state"] == "open"


def test_pages_hold_every_row_once_and_count_tells_all(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=250, allow_partial=True)["invoice_id"]
    paid = [shop.paid(invoiceId=invoice_id, amount=1, callback="drop")["paymentId"] for _ in range(205)]

    pages = [bearer.check(invoice_id, page_number=page, page_limit=100).json() for page in (1, 2, 3, 4)]

    assert [len(page["rows"]) for page in pages] == [100, 100, 5, 0]
    assert {(page["count"], page["paid_amount"]) for page in pages} == {(205, 205)}
    assert [row["payment_id"] for page in pages for row in page["rows"]] == paid
    shop.switch(checkNewestFirst=True)
    newest = rows(bearer, invoice_id)
    assert [row["payment_id"] for row in newest] == paid[::-1][:100]


def test_without_an_offset_the_first_hundred_come(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=101, allow_partial=True)["invoice_id"]
    for _ in range(101):
        shop.paid(invoiceId=invoice_id, amount=1, callback="drop")

    assert len(rows(bearer, invoice_id)) == 100


@pytest.mark.parametrize(
    "offset",
    [
        {"page_number": 0},
        {"page_number": 101},
        {"page_limit": 0},
        {"page_limit": 101},
        {"page_limit": "many"},
    ],
)
def test_an_offset_out_of_bounds_is_refused(bearer: Bearer, invoice_id: str, offset: dict[str, Any]) -> None:
    answer = bearer.check(invoice_id, **offset)

    body = answer.json()
    assert answer.status_code == 400
    assert list(body["error"]) == [f"offset.{name}" for name in offset]
    assert body["error"] == body["message"]


def test_a_check_of_nothing_is_refused_as_recorded(bearer: Bearer) -> None:
    answer = bearer.call("POST", "/v2/payment/check", json={})

    assert (answer.status_code, answer.json()) == (400, recorded("validation_400"))


def test_other_objects_than_invoices_are_refused(bearer: Bearer, invoice_id: str) -> None:
    asked = {"object_type": "CARD", "object_id": invoice_id}
    answer = bearer.call("POST", "/v2/payment/check", json=asked)

    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_OBJECT_TYPE")


def test_invoices_of_others_are_not_found(shop: Shop, bearer: Bearer) -> None:
    theirs = shop.bearer(OTHER).issue(invoice_code=OTHER.invoice_code)["invoice_id"]

    for invoice_id in (theirs, str(uuid4())):
        assert bearer.check(invoice_id).json()["error"] == "INVOICE_NOTFOUND"


def test_one_payment_is_told_as_recorded(shop: Shop, bearer: Bearer, invoice_id: str) -> None:
    payment_id = shop.paid(invoiceId=invoice_id, callback="drop")["paymentId"]

    expected = {**recorded("payment_get_200"), "payment_id": payment_id, "object_id": invoice_id}
    assert bearer.call("GET", f"/v2/payment/{payment_id}").json() == expected


def test_unknown_payments_and_those_of_others_are_not_found(shop: Shop, bearer: Bearer) -> None:
    theirs = shop.bearer(OTHER).issue(invoice_code=OTHER.invoice_code)["invoice_id"]
    payment_id = shop.paid(invoiceId=theirs, callback="drop")["paymentId"]

    for one in (payment_id, "100000000000000"):
        answer = bearer.call("GET", f"/v2/payment/{one}")
        assert (answer.status_code, answer.json()["error"]) == (422, "PAYMENT_NOTFOUND")
