"""When a payment is made and seen, when its callback comes, and what else tests can make happen."""

from datetime import timedelta
from typing import Any

import pytest

from tests.simulator.receiver import Receiver
from tests.simulator.shop import SHOP, Bearer, Shop, eventually


def test_a_payment_is_made_when_the_order_says(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("rent-1")

    shop.paid(number="rent-1", paidAt="2026-03-01T08:00:00+08:00", callback="drop")

    assert shop.look("facts")["payments"][0]["paidAt"] == "2026-03-01T00:00:00.000Z"


def test_a_callback_may_come_before_its_row(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    invoice_id = bearer.issue("rent-1", callback_url=receiver.callback_url)["invoice_id"]

    payment_id = shop.paid(number="rent-1", rowDelayS=5)["paymentId"]

    shop.callbacks(1)
    assert bearer.check(invoice_id).json() == {"count": 0, "rows": []}
    assert bearer.call("GET", f"/v2/payment/{payment_id}").status_code == 422
    assert shop.look("facts")["payments"][0]["told"]["hiddenUntil"] == "2026-03-11T05:57:52.336Z"
    shop.clock.advance(seconds=5)
    assert bearer.check(invoice_id).json()["count"] == 1


def test_a_callback_may_come_later(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1", callbackDelayS=0.2)

    assert (shop.look("callbacks")["pending"], receiver.seen) == (1, [])
    assert shop.callbacks(1)[0]["body"] == "SUCCESS"


@pytest.mark.parametrize(("order", "expected"), [("kept", [0, 1, 2]), ("reversed", [2, 1, 0])])
def test_held_callbacks_go_out_in_the_order_that_is_asked_for(
    shop: Shop, bearer: Bearer, receiver: Receiver, order: str, expected: list[int]
) -> None:
    bearer.issue("rent-1", amount=30, allow_partial=True, callback_url=receiver.callback_url)
    paid = [shop.paid(number="rent-1", amount=10, callback="hold")["paymentId"] for _ in range(3)]
    assert [one["paymentId"] for one in shop.look("callbacks/held")["held"]] == paid

    answer = shop.http.post("/simulator/callbacks/release", json={"order": order})

    assert (answer.status_code, answer.json()) == (202, {"released": 3})
    eventually(lambda: len(receiver.seen) == 3)
    assert [path.rpartition("=")[2] for path in receiver.seen] == [paid[position] for position in expected]
    assert shop.look("callbacks/held") == {"held": []}


def test_held_callbacks_are_shuffled_by_the_seed_and_each_goes_out(
    shop: Shop, bearer: Bearer, receiver: Receiver
) -> None:
    bearer.issue("rent-1", amount=30, allow_partial=True, callback_url=receiver.callback_url)
    paid = [shop.paid(number="rent-1", amount=1, callback="hold")["paymentId"] for _ in range(20)]

    shop.http.post("/simulator/callbacks/release", json={"order": "shuffled"})

    eventually(lambda: len(receiver.seen) == 20)
    told = [path.rpartition("=")[2] for path in receiver.seen]
    assert sorted(told) == sorted(paid)
    assert told != paid


def test_a_payment_can_be_given_back_by_hand_and_announced(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    bearer.issue("rent-1", callback_url=receiver.callback_url)
    payment_id = shop.paid(number="rent-1", callback="drop")["paymentId"]

    answer = shop.http.post(f"/simulator/payments/{payment_id}/refund", json={"callback": "send"})

    assert (answer.status_code, answer.json()["status"]) == (200, "REFUNDED")
    assert shop.callbacks(1)[0]["paymentId"] == payment_id
    again = shop.http.post(f"/simulator/payments/{payment_id}/refund")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "NOT_PAID")


def test_an_invoice_can_be_made_to_run_out(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("rent-1")

    answer = shop.http.post("/simulator/expire", json={"number": "rent-1"})

    assert answer.json()["expiresAt"] == "2026-03-11T05:57:47.336Z"
    assert shop.look("facts")["invoices"][0]["state"] == "expired"
    assert shop.pay(number="rent-1").json()["error"]["code"] == "INVOICE_EXPIRED"


def test_the_clock_can_be_set_and_runs_on(shop: Shop, bearer: Bearer) -> None:
    answer = shop.http.put("/simulator/clock", json={"now": "2027-01-01T00:00:00Z", "advanceS": 60})

    assert answer.json()["now"] == "2027-01-01T00:01:00.000Z"
    assert bearer.check("x").status_code == 401, "a token of last year is dead"
    shop.clock.advance(seconds=1)
    assert shop.look("clock")["now"] == "2027-01-01T00:01:01.000Z"
    assert shop.http.put("/simulator/clock", json={}).json() == {"now": "2026-03-11T05:57:48.336Z", "aheadS": 0}


def test_another_merchant_can_come(shop: Shop) -> None:
    order = {"username": "THIRD", "password": "three", "invoiceCode": "THIRD_INVOICE"}

    answer = shop.http.post("/simulator/merchants", json=order)

    assert answer.status_code == 201
    assert "three" not in str(shop.look("merchants"))
    token = shop.http.post("/v2/auth/token", auth=("THIRD", "three")).json()["access_token"]
    assert Bearer(shop.http, token).create(invoice_code="THIRD_INVOICE").status_code == 200
    del shop.world.merchants["THIRD"]


def test_a_login_from_elsewhere_kills_the_token(shop: Shop, bearer: Bearer) -> None:
    answer = shop.http.post(f"/simulator/merchants/{SHOP.username}/log-in-elsewhere")

    assert answer.json() == {"ended": True}
    assert bearer.check("x").status_code == 401
    assert shop.http.post("/simulator/merchants/nobody/log-in-elsewhere").status_code == 404


def test_what_was_called_and_answered_is_told_newest_first(shop: Shop) -> None:
    bearer = shop.bearer()
    invoice_id = bearer.issue("rent-1")["invoice_id"]
    bearer.check("nothing")
    bearer.create(amount=0)

    told = shop.look("log")["calls"]

    assert [(one["endpoint"], one["statusCode"], one["code"]) for one in told] == [
        ("POST /v2/invoice", 400, "not valid: amount"),
        ("POST /v2/payment/check", 422, "INVOICE_NOTFOUND"),
        ("POST /v2/invoice", 200, "OK"),
        ("POST /v2/auth/token", 200, "OK"),
    ]
    assert bearer.access_token not in str(told)
    bearer.check(invoice_id)
    assert shop.look("log")["calls"][0]["invoiceId"] == invoice_id


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "pay", {"number": "a", "callbackDelayS": -1}),
        ("POST", "pay", {"number": "a", "paidAt": "2026-03-01T08:00:00"}),
        ("POST", "pay", {"number": "a", "rowDelayS": "soon"}),
        ("POST", "expire", {}),
        ("POST", "callbacks/release", {"order": "sideways"}),
        ("POST", "merchants", {"username": "a:b", "password": "c", "invoiceCode": "d"}),
        ("PUT", "clock", {"now": "2026-03-01T08:00:00"}),
        ("PUT", "clock", {"advanceS": 1e12}),
    ],
)
def test_orders_that_make_no_sense_are_refused(shop: Shop, method: str, path: str, body: dict[str, Any]) -> None:
    answer = shop.http.request(method, f"/simulator/{path}", json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")


def test_a_reset_sets_the_clock_right_and_drops_what_is_held(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("rent-1")
    shop.paid(number="rent-1", callback="hold")
    shop.http.put("/simulator/clock", json={"advanceS": timedelta(days=1).total_seconds()})

    shop.http.post("/simulator/reset")

    assert shop.look("callbacks/held") == {"held": []}
    assert shop.look("clock")["aheadS"] == 0
    assert shop.look("log") == {"calls": []}
