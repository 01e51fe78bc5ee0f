"""Callbacks of the simulated QPay to a merchant's server."""

import logging
from threading import Barrier

import pytest
from structlog.testing import capture_logs

from simulator.callbacks import Callbacks
from simulator.facts import Invoice, Payment
from tests.simulator.receiver import SECRET, Answer, Receiver
from tests.simulator.shop import SHOP, Bearer, Shop


def test_a_payment_is_announced_and_the_answer_recorded(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    invoice_id = bearer.issue("rent-1", callback_url=receiver.callback_url)["invoice_id"]

    payment_id = shop.paid(number="rent-1")["paymentId"]

    origin = receiver.callback_url.removesuffix(f"/{SECRET}")
    assert shop.callbacks(1) == [
        {
            "paymentId": payment_id,
            "invoiceId": invoice_id,
            "attempt": 1,
            "url": f"{origin}/•••",
            "sentAt": "2026-03-11T05:57:47.336Z",
            "statusCode": 200,
            "body": "SUCCESS",
            "error": None,
            "taken": True,
        }
    ]
    assert receiver.seen == [f"/v2/qpay/webhook/{SECRET}?qpay_payment_id={payment_id}"]


def test_the_payment_is_to_be_seen_before_it_is_announced(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    def check(_: str) -> Answer:
        return 200, {}, str(bearer.check(invoice_id).json()["count"]).encode()

    receiver.answer = check
    invoice_id = bearer.issue("rent-1", callback_url=receiver.callback_url)["invoice_id"]

    shop.paid(number="rent-1")

    assert [sent["body"] for sent in shop.callbacks(1)] == ["1"]


def test_a_hundred_callbacks_go_out_at_once(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    everybody = Barrier(100, timeout=60)

    def answer_when_all_are_here(_: str) -> Answer:
        everybody.wait()
        return 200, {}, b"SUCCESS"

    receiver.answer = answer_when_all_are_here
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1", repeat=100)

    sent = shop.callbacks(100)
    assert {(one["statusCode"], one["body"]) for one in sent} == {(200, "SUCCESS")}
    assert sorted(one["attempt"] for one in sent) == list(range(1, 101))
    assert len(shop.look("facts")["payments"]) == 1


def test_a_dropped_callback_is_not_sent(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1", callback="drop")

    assert shop.callbacks(0) == []
    assert receiver.seen == []


def test_other_statuses_are_announced_as_well(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1", status="FAILED")

    assert shop.callbacks(1)[0]["statusCode"] == 200


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_refused_callback_is_recorded_and_not_sent_again(
    shop: Shop, bearer: Bearer, receiver: Receiver, status: int
) -> None:
    receiver.answer = lambda _: (status, {}, "алдаа".encode())
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1")

    assert [(one["statusCode"], one["body"]) for one in shop.callbacks(1)] == [(status, "алдаа")]
    assert len(receiver.seen) == 1


def test_redirects_are_not_followed(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    receiver.answer = lambda _: (302, {"Location": "/elsewhere"}, b"")
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1")

    assert [one["statusCode"] for one in shop.callbacks(1)] == [302]
    assert len(receiver.seen) == 1


def test_only_the_beginning_of_a_long_answer_is_kept(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    receiver.answer = lambda _: (200, {}, b"x" * 2_000_000)
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1")

    assert [len(one["body"]) for one in shop.callbacks(1)] == [1_000]


def test_a_server_that_never_answers_is_given_up(
    shop: Shop, bearer: Bearer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_: str) -> Answer:
        receiver.released.wait(timeout=60)
        return 200, {}, b""

    monkeypatch.setattr("simulator.callbacks.TIMEOUT_S", 0.1)
    receiver.answer = hang
    bearer.issue("rent-1", callback_url=receiver.callback_url)

    shop.paid(number="rent-1")

    sent = shop.callbacks(1)
    receiver.released.set()
    assert sent[0]["statusCode"] is None
    assert "0.1 s" in sent[0]["error"] or sent[0]["error"] == "ReadTimeout"


def test_a_server_that_is_not_there_is_recorded(shop: Shop, bearer: Bearer) -> None:
    bearer.issue("rent-1")

    shop.paid(number="rent-1")

    assert [(one["statusCode"], one["error"]) for one in shop.callbacks(1)] == [(None, "ConnectError")]


def test_callbacks_under_way_are_given_up_by_a_reset(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    arrived = Barrier(2, timeout=60)

    def hang(_: str) -> Answer:
        arrived.wait()
        receiver.released.wait(timeout=60)
        return 200, {}, b""

    receiver.answer = hang
    bearer.issue("rent-1", callback_url=receiver.callback_url)
    shop.paid(number="rent-1")
    arrived.wait()
    assert shop.look("callbacks")["pending"] == 1

    shop.http.post("/simulator/reset")

    assert shop.look("callbacks") == {"callbacks": [], "pending": 0}


def test_no_secret_is_logged_or_told(shop: Shop, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        tokens = shop.log_in()
        bearer = Bearer(shop.http, tokens["access_token"])
        bearer.issue("rent-1", callback_url=receiver.callback_url)
        bearer.issue("rent-2", callback_url=f"http://127.0.0.1:9/{SECRET}")
        shop.paid(number="rent-1")
        shop.paid(number="rent-2")
        shop.callbacks(2)
        shop.http.post("/v2/auth/token", auth=(SHOP.username, f"{SECRET}-wrong"))

    told = "".join(str(shop.look(path)) for path in ("facts", "calls", "callbacks"))
    for secret in (SECRET, tokens["access_token"], tokens["refresh_token"], SHOP.password):
        assert secret not in str(logs)
        assert secret not in caplog.text
        assert secret not in told
    events = [entry["event"] for entry in logs]
    assert {"simulator.paid", "simulator.callback_sent", "simulator.callback_failed"} <= set(events)
    assert SHOP.password not in repr(shop.world.merchants)
    assert SECRET not in repr(shop.world.book.invoices())


def test_sending_outside_the_lifespan_says_so(shop: Shop, bearer: Bearer) -> None:
    callbacks = Callbacks(shop.world.book, clock=shop.clock, call_anywhere=False, says={})
    bearer.issue("rent-1")
    shop.paid(number="rent-1", callback="drop")
    (invoice,), (payment,) = facts(shop)

    with pytest.raises(RuntimeError, match="lifespan"):
        callbacks.send(payment, invoice, times=1)


def facts(shop: Shop) -> tuple[list[Invoice], list[Payment]]:
    return shop.world.book.invoices(), shop.world.book.payments()
