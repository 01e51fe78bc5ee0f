"""The simulator's pages for people."""

import re
from datetime import timedelta

import httpx

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
    assert "<form" not in paid.text


def test_the_button_pays_only_what_is_outstanding(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue(amount=100, allow_partial=True)["invoice_id"]
    shop.paid(invoiceId=invoice_id, amount=30, callback="drop")

    shop.http.post(f"/s/{invoice_id}/pay")

    shop.callbacks(1)
    assert [payment["amount"] for payment in shop.look("facts")["payments"]] == [30, 70]


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
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;&quot;" in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_pages_show_no_callback_url(shop: Shop, bearer: Bearer, receiver: Receiver) -> None:
    invoice = bearer.issue(callback_url=receiver.callback_url)

    for path in ("/", invoice["qPay_shortUrl"]):
        assert "webhook" not in shop.http.get(path).text
