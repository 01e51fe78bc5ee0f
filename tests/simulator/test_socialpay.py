"""SocialPay's wire: signed strings in, an envelope out, and every way of it that nobody has seen."""

import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.clock import utc_now
from simulator.facts import Terminal
from simulator.server import Running, serving
from tests.simulator.receiver import Receiver
from tests.simulator.shapes import shape
from tests.simulator.shop import Shop, eventually

TERMINAL = Terminal(terminal="95000059", secret="socialpay-test-secret")
FIXTURES = Path(__file__).parent / "fixtures" / "socialpay"
NUMBER = "rent-2026-03-1"


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def signature(*fields: str) -> str:
    return hmac.new(TERMINAL.secret.encode(), "".join(fields).encode(), sha256).hexdigest()


class Till:
    """A merchant at SocialPay."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def call(self, path: str, number: str = NUMBER, amount: str = "1500000", **more: str) -> dict[str, Any]:
        return self.answer(path, number, amount, **more).json()  # type: ignore[no-any-return]  # JSON

    def answer(self, path: str, number: str = NUMBER, amount: str = "1500000", **more: str) -> httpx.Response:
        checksum = signature(TERMINAL.terminal, number, amount, *more.values())
        body = {"terminal": TERMINAL.terminal, "invoice": number, "amount": amount, "checksum": checksum} | more
        return self.shop.http.post(f"/pos/invoice/{path}", json=body)

    def error(self, path: str, number: str = NUMBER, amount: str = "1500000") -> str:
        told = self.call(path, number, amount)
        assert told["header"]["code"] != 200
        return str(told["body"]["error"]["errorType"])


@pytest.fixture
def till(shop: Shop) -> Till:
    shop.world.terminals[TERMINAL.terminal] = TERMINAL
    return Till(shop)


def test_checksum_is_the_one_that_was_recorded(till: Till) -> None:
    request = fixture("invoice_qr_request")["body"]

    answer = till.shop.http.post("/pos/invoice/qr", json=request).json()

    assert shape(answer) == shape(fixture("invoice_qr_200"))
    assert answer["body"]["response"]["desc"].startswith("socialpay-payment://")


def test_check_of_a_paid_invoice_looks_as_recorded(till: Till) -> None:
    till.call("qr")
    paid = till.shop.paid(number=NUMBER)

    answer = till.call("check")

    assert shape(answer) == shape(fixture("check_200_paid"))
    told, recorded = answer["body"]["response"], fixture("check_200_paid")["body"]["response"]
    assert {key: told[key] for key in told if key != "approval_code"} == {
        key: recorded[key] for key in recorded if key != "approval_code"
    }
    assert paid["paymentId"] == f"95000059:{NUMBER}"


def test_check_of_an_unpaid_invoice_looks_as_assumed(till: Till) -> None:
    till.call("qr")

    assert till.call("check") == fixture("check_200_unpaid_assumed")


@pytest.mark.parametrize(
    ("switch", "status", "code"), [("code", 200, 200), ("status", 500, 500), ("silence", 200, 500), ("error", 200, 500)]
)
def test_unpaid_may_be_said_in_four_ways(till: Till, switch: str, status: int, code: int) -> None:
    till.call("qr")
    till.shop.switch(socialpayUnpaid=switch)

    answer = till.answer("check")

    assert (answer.status_code, answer.json()["header"]["code"]) == (status, code)
    assert answer.json()["body"]["response"].get("resp_code") != "00"


@pytest.mark.parametrize(("written", "told"), [("text", "1500000"), ("decimals", "1500000.00"), ("number", 1_500_000)])
def test_amounts_come_in_three_ways(till: Till, written: str, told: object) -> None:
    till.call("qr")
    till.shop.paid(number=NUMBER)
    till.shop.switch(socialpayAmount=written)

    assert till.call("check")["body"]["response"]["amount"] == told


@pytest.mark.parametrize("wrong", ["checksum", "terminal", "invoice", "amount"])
def test_nothing_is_done_without_the_right_checksum(till: Till, wrong: str) -> None:
    body = {"terminal": TERMINAL.terminal, "invoice": NUMBER, "amount": "100"}
    body["checksum"] = signature(*body.values())
    body[wrong] = {"checksum": "0" * 64, "terminal": "95000060", "invoice": "other", "amount": "10"}[wrong]

    answer = till.shop.http.post("/pos/invoice/qr", json=body).json()

    assert answer["body"]["error"]["errorType"] in {"INVALID_CHECKSUM", "TERMINAL_NOT_FOUND"}
    assert till.shop.world.book.invoices() == []


def test_phone_is_signed_as_well(till: Till) -> None:
    assert till.call("phone", phone="99112233")["header"]["code"] == 200
    assert len(till.shop.world.book.invoices()) == 1


def test_check_needs_the_amount_of_the_invoice(till: Till) -> None:
    till.call("qr")

    assert till.error("check", amount="1499999") == "INVOICE_NOT_FOUND"
    assert till.error("check", number="another") == "INVOICE_NOT_FOUND"


def test_cancel_ends_an_open_invoice_and_no_paid_one(till: Till) -> None:
    till.call("qr")
    till.call("qr", "paid-1")
    till.shop.paid(number="paid-1")

    assert till.call("cancel")["header"]["code"] == 200
    assert till.error("cancel") == "INVOICE_CANCELED"
    assert till.error("cancel", "paid-1") == "INVOICE_PAID"
    assert till.shop.pay(number=NUMBER).status_code == 409


def test_what_is_cancelled_may_be_forgotten(till: Till) -> None:
    till.call("qr")
    till.call("cancel")
    till.shop.switch(socialpayCancelledIsForgotten=True)

    assert till.error("cancel") == "INVOICE_NOT_FOUND"


@pytest.mark.parametrize(("switch", "code"), [("refused", 409), ("again", 200)])
def test_number_that_was_used_before_is_refused_or_gives_the_same_qr(till: Till, switch: str, code: int) -> None:
    till.shop.switch(socialpayNumberAgain=switch)
    till.call("qr")

    assert till.call("qr")["header"]["code"] == code
    assert len(till.shop.world.book.invoices()) == 1


def test_errors_may_be_told_apart_by_their_words_alone(till: Till) -> None:
    till.shop.switch(socialpayErrorsAlike=True, socialpayErrorsByStatus=True)

    answer = till.answer("check")

    assert (answer.status_code, answer.json()["body"]["error"]["errorType"]) == (400, "ERROR")
    assert answer.json()["body"]["error"]["errorDesc"] == "Нэхэмжлэл олдсонгүй"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"terminal": 95000059}', b'{"invoice": "\xff"}'])
def test_whatever_is_sent_is_refused_in_the_envelope(till: Till, body: bytes) -> None:
    answer = till.shop.http.post("/pos/invoice/check", content=body)

    assert answer.json()["body"]["error"]["errorType"] == "INVALID_REQUEST"


@pytest.mark.parametrize("path", ["/pos/payment/cancel", "/pos/settlement", "/pos/invoice"])
def test_other_calls_are_not_there(till: Till, path: str) -> None:
    assert till.shop.http.post(path, json={}).status_code == 404


def test_two_payments_of_one_invoice_are_two_facts_and_the_newest_is_told(till: Till) -> None:
    till.call("qr")
    till.shop.paid(number=NUMBER)
    first = till.call("check")["body"]["response"]["approval_code"]

    till.shop.paid(number=NUMBER, force=True)

    told = till.call("check")["body"]["response"]["approval_code"]
    facts = till.shop.look("facts")["payments"]
    assert len({one["paymentId"] for one in facts}) == 2
    assert (told == first, told) == (False, till.shop.world.book.payments()[-1].approval_code)


def test_invoice_is_paid_by_what_its_qr_says(till: Till) -> None:
    desc = till.call("qr")["body"]["response"]["desc"]

    assert till.shop.paid(qrText=desc)["amount"] == 1_500_000


@pytest.fixture
def pushing(receiver: Receiver) -> Iterator[Running]:
    terminal = Terminal(terminal=TERMINAL.terminal, secret=TERMINAL.secret, push_url=receiver.callback_url)
    with serving(merchants=[], terminals=[terminal], clock=utc_now) as running:
        yield running


@pytest.mark.parametrize("enveloped", [False, True])
def test_payment_is_pushed_with_its_checksum(pushing: Running, receiver: Receiver, enveloped: bool) -> None:
    with httpx.Client(base_url=pushing.url, trust_env=False) as http:
        http.patch("/simulator/switches", json={"socialpayPushInEnvelope": enveloped})
        till = Till(Shop(http, pushing.world, None))  # type: ignore[arg-type]  # its clock is not asked
        till.call("qr")
        till.shop.paid(number=NUMBER, repeat=2)
        eventually(lambda: len(receiver.seen) == 2)

    body = json.loads(receiver.bodies[0])
    pushed = body["body"]["response"] if enveloped else body
    assert (receiver.methods[0], shape(pushed)) == ("POST", shape(fixture("push_paid_assumed")))
    assert pushed["checksum"] == signature("95000059", NUMBER, "1500000")


def test_faults_meet_it_as_they_meet_qpay(till: Till) -> None:
    till.call("qr")
    till.shop.paid(number=NUMBER)
    till.shop.always("busy", "POST /pos/invoice/check")
    assert till.answer("check").status_code == 500
    till.shop.always("stale", "POST /pos/invoice/check")
    assert till.call("check") == fixture("check_200_unpaid_assumed")
    till.shop.always("unknownStatus", "POST /pos/invoice/check")
    assert till.call("check")["body"]["response"]["resp_code"] == "QUARANTINED"
    till.shop.always("unauthorized", "POST /pos/invoice/check")
    assert till.error("check") == "INVALID_CHECKSUM"


def test_page_plays_its_customer(till: Till) -> None:
    till.call("qr")
    (invoice,) = till.shop.world.book.invoices()

    shown = till.shop.http.get(f"/s/{invoice.invoice_id}").text
    till.shop.http.post(f"/s/{invoice.invoice_id}/pay", data={"how": "full"})

    assert "socialpay-payment://key=" in shown
    assert "SocialPay" in till.shop.http.get("/?show=all").text
    assert till.call("check")["body"]["response"]["resp_code"] == "00"


def test_terminals_are_given_out_without_being_told(shop: Shop) -> None:
    order = {"terminal": "95000077", "secret": "very secret", "pushUrl": "http://127.0.0.1:9/secret-address"}

    made = shop.http.post("/simulator/terminals", json=order)
    told = shop.http.get("/simulator/terminals").text

    assert made.status_code == 201
    assert "95000077" in told
    assert "secret" not in told
    assert "very secret" not in repr(shop.world.terminals)
