"""Paying invoices by the control API, and what it tells of it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.simulator.shop import OTHER, Bearer, Shop


def facts_of(shop: Shop, invoice_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in shop.look("facts")["invoices"] if one["invoiceId"] == invoice_id)
    return found


def refusal(shop: Shop, **order: Any) -> tuple[int, str]:
    answer = shop.pay(**order)
    return answer.status_code, answer.json()["error"]["code"]


def test_paying_by_number_pays_in_full_and_facts_tell_it(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue("rent-1")["invoice_id"]

    answer = shop.pay(number="rent-1", callback="drop")

    payment_id = answer.json()["paymentId"]
    assert answer.status_code == 201
    assert answer.json() == {"paymentId": payment_id, "invoiceId": invoice_id, "amount": 1_500_000}
    assert shop.look("facts") == {
        "invoices": [
            {
                "gateway": "qpay",
                "invoiceId": invoice_id,
                "number": "rent-1",
                "amount": 1_500_000,
                "state": "paid",
                "paidTotal": 1_500_000,
                "createdAt": "2026-03-11T05:57:47.336Z",
            }
        ],
        "payments": [
            {
                "paymentId": payment_id,
                "invoiceId": invoice_id,
                "amount": 1_500_000,
                "fee": 15_000,
                "type": "P2P",
                "status": "PAID",
                "paidAt": "2026-03-11T05:57:47.336Z",
                "told": None,
            }
        ],
    }


def test_a_shared_number_means_the_newest_open_invoice(shop: Shop, bearer: Bearer) -> None:
    oldest, middle, newest = (bearer.issue("rent-1")["invoice_id"] for _ in range(3))
    bearer.call("DELETE", f"/v2/invoice/{newest}")

    assert shop.paid(number="rent-1", callback="drop")["invoiceId"] == middle
    assert shop.paid(number="rent-1", callback="drop")["invoiceId"] == oldest
    assert refusal(shop, number="rent-1") == (409, "INVOICE_CANCELED")


def test_a_part_is_taken_only_where_allowed_and_the_rest_is_the_default(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("whole", amount=100)
    bearer.issue("parts", amount=100, allow_partial=True)

    assert refusal(shop, number="whole", amount=40) == (409, "PART_NOT_ALLOWED")
    assert shop.paid(number="parts", amount=40, callback="drop")["amount"] == 40
    assert shop.paid(number="parts", callback="drop")["amount"] == 60
    assert refusal(shop, number="parts") == (409, "INVOICE_PAID")


def test_more_is_taken_only_where_allowed(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("exact", amount=100)
    bearer.issue("more", amount=100, allow_exceed=True, maximum_amount=120)

    assert refusal(shop, number="exact", amount=101) == (409, "MORE_THAN_OUTSTANDING")
    assert refusal(shop, number="more", amount=121) == (409, "MORE_THAN_MAXIMUM")
    assert shop.paid(number="more", amount=120, callback="drop")["amount"] == 120


def test_less_than_the_minimum_is_refused_but_for_the_last_rest(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("parts", amount=100, allow_partial=True, minimum_amount=60)

    assert refusal(shop, number="parts", amount=59) == (409, "LESS_THAN_MINIMUM")
    assert shop.paid(number="parts", amount=60, callback="drop")["amount"] == 60
    assert shop.paid(number="parts", callback="drop")["amount"] == 40


def test_force_pays_a_part_too_much_and_twice(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue("rent-1", amount=100)["invoice_id"]

    amounts = [
        shop.paid(number="rent-1", amount=40, force=True, callback="drop")["amount"],
        shop.paid(number="rent-1", amount=70, force=True, callback="drop")["amount"],
        shop.paid(number="rent-1", force=True, callback="drop")["amount"],
    ]

    assert amounts == [40, 70, 100]
    assert facts_of(shop, invoice_id)["paidTotal"] == 210
    assert bearer.check(invoice_id).json()["paid_amount"] == 210


def test_cancelled_and_expired_invoices_are_paid_only_by_force(shop: Shop, bearer: Bearer) -> None:
    cancelled = bearer.issue("cancelled")["invoice_id"]
    bearer.call("DELETE", f"/v2/invoice/{cancelled}")
    bearer.issue("expired", enable_expiry=True, expiry_date=(shop.clock.now + timedelta(hours=1)).isoformat())
    shop.clock.advance(hours=1)

    for number in ("cancelled", "expired"):
        assert refusal(shop, number=number) == (409, f"INVOICE_{number.upper().replace('LL', 'L')}")
        assert shop.paid(number=number, force=True, callback="drop")["amount"] == 1_500_000
    assert [one["state"] for one in shop.look("facts")["invoices"]] == ["canceled", "paid"]


def test_the_fee_is_one_per_cent_in_whole_tugrug(shop: Shop, bearer: Bearer) -> None:
    for amount in (1, 49, 50, 149, 150, 10_000):
        bearer.issue(amount=amount)
        shop.paid(number="rent-2026-03", callback="drop")

    assert [payment["fee"] for payment in shop.look("facts")["payments"]] == [0, 0, 1, 1, 2, 100]


def test_unknown_invoices_are_not_found(shop: Shop) -> None:
    assert refusal(shop, number="nothing") == (404, "INVOICE_NOT_FOUND")
    assert refusal(shop, invoiceId="nothing") == (404, "INVOICE_NOT_FOUND")


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"number": "a", "invoiceId": "b"},
        {"number": "a", "amount": 0},
        {"number": "a", "amount": 1.5},
        {"number": "a", "amount": "1"},
        {"number": "a", "repeat": 0},
        {"number": "a", "repeat": 1_001},
        {"number": "a", "type": "CASH"},
        {"number": "a", "callback": "later"},
        {"number": "a", "status": ""},
        {"number": "a", "amout": 1},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(shop: Shop, order: dict[str, Any]) -> None:
    assert refusal(shop, **order) == (422, "INVALID")


def test_an_order_may_claim_any_content_type_as_curl_does(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("rent-1")

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = shop.http.post("/simulator/pay", content=b'{"number":"rent-1","callback":"drop"}', headers=form)

    assert answer.status_code == 201


def test_merchants_share_the_numbers_but_not_the_invoices(shop: Shop, bearer: Bearer) -> None:
    ours = bearer.issue("rent-1")["invoice_id"]
    theirs = shop.bearer(OTHER).issue("rent-1", invoice_code=OTHER.invoice_code)["invoice_id"]

    shop.paid(invoiceId=ours, callback="drop")

    assert (facts_of(shop, ours)["state"], facts_of(shop, theirs)["state"]) == ("paid", "open")
