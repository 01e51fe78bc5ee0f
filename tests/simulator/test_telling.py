"""Making the simulated QPay tell something else of a payment than what happened."""

from typing import Any

import pytest

from simulator.world import Switches
from tests.simulator.shop import Bearer, Shop

PLAIN = {"status": "PAID", "amount": "100.00", "currency": "MNT", "hidden": False, "duplicated": 1, "garbled": False}


@pytest.fixture
def invoice_id(bearer: Bearer) -> str:
    return str(bearer.issue(amount=100)["invoice_id"])


@pytest.fixture
def payment_id(shop: Shop, invoice_id: str) -> str:
    return str(shop.paid(invoiceId=invoice_id, callback="drop")["paymentId"])


def rows(bearer: Bearer, invoice_id: str) -> list[dict[str, Any]]:
    body = bearer.check(invoice_id).json()
    assert body["count"] == len(body["rows"])
    return list(body["rows"])


def fact(shop: Shop) -> dict[str, Any]:
    (only,) = shop.look("facts")["payments"]
    return dict(only)


@pytest.mark.parametrize("status", ["NEW", "FAILED", "PARTIAL", "SOMETHING_NEW"])
def test_another_status_is_told_while_the_fact_stays(
    shop: Shop, bearer: Bearer, invoice_id: str, payment_id: str, status: str
) -> None:
    answer = shop.tell(payment_id, status=status)

    assert answer == fact(shop)
    assert (answer["status"], answer["told"]) == ("PAID", {**PLAIN, "status": status})
    body = bearer.check(invoice_id).json()
    assert (body["rows"][0]["payment_status"], body["paid_amount"]) == (status, 0)
    assert bearer.call("GET", f"/v2/payment/{payment_id}").json()["payment_status"] == status
    assert shop.look("facts")["invoices"][0]["paidTotal"] == 100


@pytest.mark.parametrize("payment_type", ["P2P", "CARD"])
def test_refunded_is_no_tale_the_money_went_back(
    shop: Shop, bearer: Bearer, invoice_id: str, payment_type: str
) -> None:
    payment_id = shop.paid(invoiceId=invoice_id, type=payment_type, callback="drop")["paymentId"]

    answer = shop.tell(payment_id, status="REFUNDED")

    assert (answer["status"], answer["told"]) == ("REFUNDED", None)
    assert rows(bearer, invoice_id)[0]["payment_status"] == "REFUNDED"


def test_a_stale_paid_after_a_refund_is_only_told(shop: Shop, bearer: Bearer, invoice_id: str, payment_id: str) -> None:
    shop.tell(payment_id, status="REFUNDED")

    answer = shop.tell(payment_id, status="PAID")

    assert (answer["status"], answer["told"]) == ("REFUNDED", PLAIN)
    assert rows(bearer, invoice_id)[0]["payment_status"] == "PAID"


@pytest.mark.parametrize("status", ["NEW", "PARTIAL"])
def test_what_was_never_paid_is_told_as_refunded_without_being_so(
    shop: Shop, bearer: Bearer, invoice_id: str, status: str
) -> None:
    payment_id = shop.paid(invoiceId=invoice_id, status=status, callback="drop")["paymentId"]

    answer = shop.tell(payment_id, status="REFUNDED")

    assert (answer["status"], answer["told"]) == (status, {**PLAIN, "status": "REFUNDED"})
    assert rows(bearer, invoice_id)[0]["payment_status"] == "REFUNDED"


@pytest.mark.parametrize(
    ("amount", "text", "number"),
    [("100.50", "100.50", 100.5), (99, "99.00", 99), ("101", "101.00", 101), (0, "0.00", 0), ("-5.5", "-5.50", -5.5)],
)
def test_another_amount_is_told_in_every_shape(
    shop: Shop, bearer: Bearer, invoice_id: str, payment_id: str, amount: str | int, text: str, number: float
) -> None:
    answer = shop.tell(payment_id, amount=amount)

    assert (answer["amount"], answer["told"]) == (100, {**PLAIN, "amount": text})
    body = bearer.check(invoice_id).json()
    assert (body["rows"][0]["payment_amount"], body["paid_amount"]) == (text, number)
    assert bearer.call("GET", f"/v2/payment/{payment_id}").json()["payment_amount"] == text
    shop.world.switches = Switches(check_rows_are_older=True)
    assert rows(bearer, invoice_id)[0]["payment_amount"] == number


def test_another_currency_is_told(shop: Shop, bearer: Bearer, invoice_id: str, payment_id: str) -> None:
    answer = shop.tell(payment_id, currency="USD")

    assert answer["told"] == {**PLAIN, "currency": "USD"}
    assert rows(bearer, invoice_id)[0]["payment_currency"] == "USD"
    assert bearer.call("GET", f"/v2/payment/{payment_id}").json()["payment_currency"] == "USD"


def test_a_hidden_payment_is_nowhere_on_the_wire(shop: Shop, bearer: Bearer, invoice_id: str, payment_id: str) -> None:
    answer = shop.tell(payment_id, hidden=True)

    assert (answer["status"], answer["told"]) == ("PAID", {**PLAIN, "hidden": True})
    assert bearer.check(invoice_id).json() == {"count": 0, "rows": []}
    asked = bearer.call("GET", f"/v2/payment/{payment_id}")
    assert (asked.status_code, asked.json()["error"]) == (422, "PAYMENT_NOTFOUND")
    assert shop.look("facts")["invoices"][0]["state"] == "paid"


def test_a_duplicated_payment_is_several_rows_over_all_pages(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue("parts", amount=100, allow_partial=True)["invoice_id"]
    first, second, third = (shop.paid(invoiceId=invoice_id, amount=10, callback="drop")["paymentId"] for _ in range(3))

    answer = shop.tell(second, duplicated=3)

    assert answer["told"] == {**PLAIN, "amount": "10.00", "duplicated": 3}
    pages = [bearer.check(invoice_id, page_number=page, page_limit=2).json() for page in (1, 2, 3)]
    assert {page["count"] for page in pages} == {5}
    told = [row["payment_id"] for page in pages for row in page["rows"]]
    assert told == [first, second, second, second, third]


@pytest.mark.parametrize("older", [False, True])
def test_a_garbled_row_has_no_amount_and_its_neighbour_has(shop: Shop, bearer: Bearer, *, older: bool) -> None:
    shop.world.switches = Switches(check_rows_are_older=older)
    invoice_id = bearer.issue("parts", amount=100, allow_partial=True)["invoice_id"]
    broken, whole = (shop.paid(invoiceId=invoice_id, amount=10, callback="drop")["paymentId"] for _ in range(2))

    answer = shop.tell(broken, garbled=True)

    assert answer["told"] == {**PLAIN, "amount": "10.00", "garbled": True}
    assert {row["payment_id"]: "payment_amount" in row for row in rows(bearer, invoice_id)} == {
        broken: False,
        whole: True,
    }
    assert "payment_amount" not in bearer.call("GET", f"/v2/payment/{broken}").json()


def test_each_order_replaces_the_one_before_and_none_of_them_calls_back(
    shop: Shop, bearer: Bearer, invoice_id: str, payment_id: str
) -> None:
    truth = rows(bearer, invoice_id)
    shop.tell(payment_id, status="NEW", hidden=True)

    assert shop.tell(payment_id, amount=99)["told"] == {**PLAIN, "amount": "99.00"}
    assert shop.tell(payment_id)["told"] is None
    assert rows(bearer, invoice_id) == truth
    assert shop.look("callbacks") == {"callbacks": [], "pending": 0}


def test_telling_the_truth_in_words_is_telling_the_truth(shop: Shop, payment_id: str) -> None:
    assert shop.tell(payment_id, status="PAID", amount="100.0", currency="MNT", duplicated=1)["told"] is None


def test_unknown_payments_are_not_found(shop: Shop) -> None:
    answer = shop.http.post("/simulator/payments/nothing", json={})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "PAYMENT_NOT_FOUND")


@pytest.mark.parametrize(
    "order",
    [
        {"status": ""},
        {"status": "x" * 46},
        {"amount": 1.5},
        {"amount": True},
        {"amount": "1.505"},
        {"amount": "1e3"},
        {"amount": "NaN"},
        {"amount": "100\n"},
        {"amount": 10**15 + 1},
        {"duplicated": 0},
        {"duplicated": 1_001},
        {"duplicated": True},
        {"hiden": True},
        [],
    ],
)
def test_an_order_that_makes_no_sense_changes_nothing(shop: Shop, payment_id: str, order: object) -> None:
    answer = shop.http.post(f"/simulator/payments/{payment_id}", json=order)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")
    assert fact(shop)["told"] is None


def test_a_reset_forgets_what_was_told(shop: Shop, payment_id: str) -> None:
    shop.tell(payment_id, hidden=True)
    payment = shop.world.book.payments()[0]

    shop.http.post("/simulator/reset")

    assert not shop.world.book.telling(payment).hidden
