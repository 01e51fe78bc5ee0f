"""Ways of QPay that nobody has seen, or that differ: each can be had both ways."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from simulator.switches import Switches, as_json
from tests.simulator.receiver import Answer, Receiver
from tests.simulator.shop import Bearer, Shop, eventually


def test_all_switches_are_told_and_only_the_named_ones_change(shop: Shop) -> None:
    before = shop.look("switches")

    answer = shop.http.patch("/simulator/switches", json={"qrImageIsEmpty": True, "callbackRetries": 2})

    assert before == as_json(Switches())
    assert answer.json() == {**before, "qrImageIsEmpty": True, "callbackRetries": 2} == shop.look("switches")
    assert shop.world.switches == Switches(qr_image_is_empty=True, callback_retries=2)


@pytest.mark.parametrize(
    "changes",
    [{"nonsense": True}, {"callbackRetries": 11}, {"invoicePaidStatus": 500}, {"qrImageIsEmpty": "perhaps"}, []],
)
def test_a_switch_that_there_is_not_changes_nothing(shop: Shop, changes: object) -> None:
    answer = shop.http.patch("/simulator/switches", json=changes)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")
    assert shop.world.switches == Switches()


def test_a_dead_token_may_be_refused_in_the_other_spelling(shop: Shop) -> None:
    shop.switch(noCredentialsMisspelt=True)

    answer = Bearer(shop.http, "dead").check("x")

    assert (answer.status_code, answer.json()["error"]) == (401, "NO_CREDENDIALS")


def test_what_is_not_valid_may_be_said_in_words(shop: Shop, bearer: Bearer) -> None:
    shop.switch(validationInWords=True)

    answer = bearer.create(amount=...)

    assert (answer.status_code, answer.json()) == (400, {"error": "AMOUNT_REQUIRED", "message": "amount: Required!"})


@pytest.mark.parametrize("amount", ["100", "100.00"])
def test_amounts_may_be_text_unless_that_is_refused(shop: Shop, bearer: Bearer, amount: str) -> None:
    assert bearer.create(amount=amount).status_code == 200
    assert shop.look("facts")["invoices"][0]["amount"] == 100

    shop.switch(textAmountsAreRefused=True)
    assert list(bearer.create(amount=amount).json()["error"]) == ["amount"]


def test_text_with_a_fraction_is_never_an_amount(bearer: Bearer) -> None:
    assert bearer.create(amount="100.50").status_code == 400


def test_invoices_may_run_out_by_themselves_without_telling_it(shop: Shop, bearer: Bearer) -> None:
    shop.switch(defaultExpiryH=24, expiredStatus="EXPIRED")
    invoice_id = bearer.issue("rent-1")["invoice_id"]
    shop.http.put("/simulator/clock", json={"advanceS": 86_399})
    assert shop.look("facts")["invoices"][0]["state"] == "open"

    shop.http.put("/simulator/clock", json={"advanceS": 1})

    body = shop.bearer().call("GET", f"/v2/invoice/{invoice_id}").json()
    assert shop.look("facts")["invoices"][0]["state"] == "expired"
    assert (body["invoice_status"], body["enable_expiry"]) == ("EXPIRED", False)
    assert body["expiry_date"] == shop.look("facts")["invoices"][0]["createdAt"]


def test_an_expiry_of_the_invoices_own_goes_before_the_merchants(shop: Shop, bearer: Bearer) -> None:
    shop.switch(defaultExpiryH=1)
    own = (shop.clock.now + timedelta(hours=48)).isoformat()
    bearer.issue("rent-1", enable_expiry=True, expiry_date=own)

    shop.http.put("/simulator/clock", json={"advanceS": 7_200})

    assert shop.look("facts")["invoices"][0]["state"] == "open"


@pytest.mark.parametrize("status", [400, 409, 422])
def test_invoice_paid_may_have_any_of_these_statuses(shop: Shop, bearer: Bearer, status: int) -> None:
    shop.switch(invoicePaidStatus=status)
    invoice_id = bearer.issue("rent-1")["invoice_id"]
    shop.paid(number="rent-1", callback="drop")

    answer = bearer.call("DELETE", f"/v2/invoice/{invoice_id}")

    assert (answer.status_code, answer.json()["error"]) == (status, "INVOICE_PAID")


def test_an_invoice_whose_payment_went_back_may_stay_paid(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("rent-1")
    payment_id = shop.paid(number="rent-1", callback="drop")["paymentId"]
    shop.http.post(f"/simulator/payments/{payment_id}/refund").raise_for_status()
    assert shop.look("facts")["invoices"][0]["state"] == "open"

    shop.switch(refundedStaysPaid=True)

    assert shop.look("facts")["invoices"][0]["state"] == "paid"
    assert shop.pay(number="rent-1").json()["error"]["code"] == "INVOICE_PAID"


def test_callbacks_may_be_posts(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    shop.switch(callbackByPost=True)
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1")

    assert [sent["statusCode"] for sent in shop.callbacks(1)] == [200]
    assert receiver.methods == ["POST"]


def test_callbacks_may_be_tried_again_until_they_are_taken(
    shop: Shop, bearer: Bearer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.callbacks.RETRY_PAUSE_S", 0.001)
    answers: Iterator[Answer] = iter([(503, {}, b""), (200, {}, b"success"), (200, {}, b"SUCCESS")])
    receiver.answer = lambda _: next(answers)
    shop.switch(callbackRetries=5)
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1")

    sent = shop.callbacks(3)
    assert [(one["attempt"], one["body"]) for one in sent] == [(1, ""), (2, "success"), (3, "SUCCESS")]


def test_the_callback_url_of_a_refund_may_be_called(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    shop.switch(refundIsCalledBack=True)
    bearer.issue("rent-1")
    payment_id = shop.paid(number="rent-1", type="CARD", callback="drop")["paymentId"]

    body = {"note": "x", "callback_url": receiver.callback_url}
    bearer.call("DELETE", f"/v2/payment/refund/{payment_id}", json=body).raise_for_status()

    eventually(lambda: len(receiver.seen) == 1)
    assert receiver.seen[0].endswith(f"?qpay_payment_id={payment_id}")
