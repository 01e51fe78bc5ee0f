"""The simulator's pages for people."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.pages import rendering
from simulator.pages.words import words_in
from tests.simulator.receiver import Receiver
from tests.simulator.shop import Bearer, Shop

NASTY = "<script>alert('x')</script>&\""


def test_the_front_page_says_what_it_is_and_lists_open_invoices(shop: Shop, bearer: Bearer) -> None:
    open_id, paid_id = bearer.issue("rent-open")["invoice_id"], bearer.issue("rent-paid")["invoice_id"]
    shop.paid(invoiceId=paid_id, callback="drop")

    page = shop.http.get("/")

    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "This is a simulator" in page.text
    for told in ("rent-open", "1,500,000 ₮", ">open<", f'href="/s/{open_id}"'):
        assert told in page.text
    assert "rent-paid" not in page.text


def test_an_invoice_page_shows_its_qr_and_a_button_that_pays(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    invoice = bearer.issue("rent-1", callback_url=receiver.callback_url)

    page = shop.http.get(invoice["qPay_shortUrl"])
    action = re.search(r'<form method="post" action="([^"]+)">', page.text)
    assert action is not None
    assert f"data:image/png;base64,{invoice['qr_image']}" in page.text

    answer = shop.http.post(action[1])
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/s/{invoice['invoice_id']}")
    assert shop.callbacks(1)[0]["body"] == "SUCCESS"
    paid = shop.http.get(answer.headers["Location"])
    assert "paid 1,500,000 ₮" in paid.text
    assert 'value="full"' not in paid.text


def test_the_button_pays_only_what_is_outstanding(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=100, allow_partial=True)["invoice_id"]
    shop.paid(invoiceId=invoice_id, amount=30, callback="drop")

    shop.http.post(f"/s/{invoice_id}/pay")

    shop.callbacks(1)
    assert [payment["amount"] for payment in shop.look("facts")["payments"]] == [30, 70]


@pytest.mark.parametrize(
    ("form", "paid"),
    [
        ({"how": "full"}, [(100, "P2P", "PAID")]),
        ({"how": "card"}, [(100, "CARD", "PAID")]),
        ({"how": "twice"}, [(100, "P2P", "PAID"), (100, "P2P", "PAID")]),
        ({"how": "part", "amount": "30"}, [(30, "P2P", "PAID")]),
        ({"how": "part", "amount": "130", "force": "true"}, [(130, "P2P", "PAID")]),
        ({"how": "fail"}, [(100, "P2P", "FAILED")]),
    ],
)
def test_each_button_pays_in_its_way(
    shop: Shop, bearer: Bearer, form: dict[str, str], paid: list[tuple[int, str, str]]
) -> None:
    invoice_id = bearer.issue(amount=100, allow_partial=True)["invoice_id"]

    answer = shop.http.post(f"/s/{invoice_id}/pay", data=form)

    assert answer.status_code == 303
    shop.callbacks(len(paid))
    assert [(one["amount"], one["type"], one["status"]) for one in shop.look("facts")["payments"]] == paid


@pytest.mark.parametrize(("callback", "sent"), [("send", 1), ("drop", 0), ("repeat", 5), ("early", 1)])
def test_the_callback_comes_as_was_chosen(shop: Shop, bearer: Bearer, callback: str, sent: int) -> None:
    invoice_id = bearer.issue(amount=100)["invoice_id"]

    shop.http.post(f"/s/{invoice_id}/pay", data={"callback": callback})

    shop.callbacks(sent)
    assert bearer.check(invoice_id).json()["count"] == (0 if callback == "early" else 1)


def test_a_late_callback_is_said_to_be_under_way(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=100)["invoice_id"]

    shop.http.post(f"/s/{invoice_id}/pay", data={"callback": "delay"})

    assert "1 under way" in shop.http.get(f"/s/{invoice_id}").text


def test_a_payment_is_given_back_by_its_button(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=100)["invoice_id"]
    payment_id = shop.paid(invoiceId=invoice_id, callback="drop")["paymentId"]
    button = f'action="/s/{invoice_id}/refund/{payment_id}"'
    assert button in shop.http.get(f"/s/{invoice_id}").text

    answer = shop.http.post(f"/s/{invoice_id}/refund/{payment_id}")

    assert answer.status_code == 303
    assert shop.look("facts")["payments"][0]["status"] == "REFUNDED"
    assert button not in shop.http.get(f"/s/{invoice_id}").text
    assert shop.http.post(f"/s/{invoice_id}/refund/{payment_id}").status_code == 409


def test_an_invoice_runs_out_by_its_button_and_is_paid_all_the_same(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=100)["invoice_id"]

    shop.http.post(f"/s/{invoice_id}/expire")

    assert ">expired<" in shop.http.get(f"/s/{invoice_id}").text
    assert shop.http.post(f"/s/{invoice_id}/pay", data={"how": "again"}).status_code == 303
    assert ">paid<" in shop.http.get(f"/s/{invoice_id}").text


@pytest.mark.parametrize(
    "form",
    [
        {"how": "nonsense"},
        {"how": "part", "amount": "1.5"},
        {"how": "part", "amount": ""},
        {"nonsense": "1"},
        {"amount": "x"},
    ],
)
def test_a_form_that_makes_no_sense_pays_nothing(shop: Shop, bearer: Bearer, form: dict[str, str]) -> None:
    invoice_id = bearer.issue(amount=100, allow_partial=True)["invoice_id"]

    assert shop.http.post(f"/s/{invoice_id}/pay", data=form).status_code == 422
    assert shop.look("facts")["payments"] == []


def test_pages_tell_what_was_called_answered_and_called_back(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    invoice_id = bearer.issue("rent-1", callback_url=receiver.callback_url)["invoice_id"]
    shop.paid(number="rent-1")
    shop.callbacks(1)
    shop.always("busy")
    bearer.check(invoice_id)

    page = shop.http.get(f"/s/{invoice_id}").text

    for told in ("POST /v2/payment/check", "500 SYSTEM_BUSY", ">busy<", "200 <code>SUCCESS</code>"):
        assert told in page
    assert "seed 1 (1 rules)" in shop.http.get("/").text
    assert "webhook" not in page


@pytest.mark.parametrize("asked", [{"params": {"lang": "mn"}}, {"headers": {"Accept-Language": "mn-MN,en;q=0.5"}}])
def test_pages_speak_mongolian_to_whom_wants_it(shop: Shop, bearer: Bearer, asked: dict[str, Any]) -> None:
    invoice = bearer.issue("rent-1")

    page = shop.http.get(f"/s/{invoice['invoice_id']}", **asked)
    shop.http.cookies.clear()

    for word in ('<html lang="mn">', "Бүтэн төлөх", "Хаан банк", "Энэ бол симулятор", ">нээлттэй<"):
        assert word in page.text
    assert "Pay in full" not in page.text


def test_a_language_that_was_chosen_is_remembered(shop: Shop) -> None:
    shop.http.get("/", params={"lang": "mn"})
    remembered = shop.http.get("/").text
    shop.http.cookies.clear()

    assert '<html lang="mn">' in remembered
    assert '<html lang="en">' in shop.http.get("/").text


def test_every_word_is_there_in_both_languages() -> None:
    templates = "".join(one.read_text(encoding="utf-8") for one in Path(rendering.__file__).parent.rglob("*.html"))
    for word in re.findall(r't\("([a-z_]+)"\)', templates):
        assert words_in("en")(word)
        assert words_in("mn")(word) != words_in("en")(word)


def test_nothing_on_a_page_comes_from_elsewhere(shop: Shop, bearer: Bearer) -> None:
    page = shop.http.get(bearer.issue()["qPay_shortUrl"]).text

    loaded = re.findall(r'src="([^"]*)"', page)
    assert loaded
    assert all(source.startswith(("data:", "/logo/")) for source in loaded)
    assert "<script" not in page
    assert "http" not in page


def test_what_cannot_be_paid_is_said(shop: Shop, bearer: Bearer) -> None:
    soon = (shop.clock.now + timedelta(hours=1)).isoformat()
    invoice_id = bearer.issue(enable_expiry=True, expiry_date=soon)["invoice_id"]
    shop.clock.advance(hours=1)

    answer = shop.http.post(f"/s/{invoice_id}/pay")

    assert (answer.status_code, "Not paid" in answer.text) == (409, True)
    assert shop.look("facts")["payments"] == []


def test_unknown_pages_are_not_found(shop: Shop) -> None:
    answers: list[httpx.Response] = [
        shop.http.get("/s/nothing"),
        shop.http.post("/s/nothing/pay"),
        shop.http.get("/logo/nothing.svg"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 3


def test_pages_escape_what_merchants_write(shop: Shop, bearer: Bearer) -> None:
    invoice = bearer.issue(invoice_description=NASTY)

    page = shop.http.get(invoice["qPay_shortUrl"])

    assert NASTY not in page.text
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&#34;" in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_pages_show_no_callback_url(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    invoice = bearer.issue(callback_url=receiver.callback_url)

    for path in ("/", invoice["qPay_shortUrl"]):
        assert "webhook" not in shop.http.get(path).text
