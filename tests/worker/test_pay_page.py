"""The pay page over HTTP: what it says in each state, what it refuses, and that looking at it makes nothing."""
# ruff: noqa: RUF001 - Mongolian is written in Cyrillic

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.waiting import wait_until
from tests.worker.conftest import Stack

PAGE_MAX_BYTES = 100_000


@pytest.fixture
def customer(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.api.base_url, timeout=20, trust_env=False) as client:
        yield client


def address(stack: Stack, invoice_id: str = "order-1", *, gateway: str = "qpay") -> str:
    return str(stack.pay_link(invoice_id, gateway=gateway).json()["payUrl"])


def words(page: httpx.Response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text))


def test_the_page_says_what_is_due_and_how_to_pay_it_in_mongolian(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    url = address(stack)

    page = customer.get(url)

    assert page.status_code == 200
    assert '<html lang="mn">' in page.text
    assert "1,500,000 ₮" in words(page)
    assert "Хүлээн авагч Гэрэл дэлгүүр" in words(page)
    assert "Хаан банк" in words(page)
    assert "data:image/png;base64," in page.text
    assert re.search(r'href="[a-z]+://q\?qPay_QRcode=', page.text)
    assert len(page.content) <= PAGE_MAX_BYTES
    assert page.headers["Cache-Control"] == "no-store"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Robots-Tag"] == "noindex, nofollow"


def test_nothing_on_the_page_comes_from_elsewhere(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    page = customer.get(address(stack))

    fetched = re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', page.text)

    assert fetched
    assert all(one.startswith(("/pay/assets/", "data:")) for one in fetched)
    assert {customer.get(one).status_code for one in fetched if one.startswith("/")} == {200}


def test_the_page_speaks_english_by_choice(stack: Stack, customer: httpx.Client) -> None:
    stack.put()

    page = customer.get(address(stack), params={"lang": "en"})

    assert '<html lang="en">' in page.text
    assert "Amount to pay" in words(page)
    assert "Khan bank" in words(page)


def test_what_a_merchant_wrote_is_shown_as_text(stack: Stack, customer: httpx.Client) -> None:
    body = {"amount": {"amount": 100, "currency": "MNT"}, "description": '<script>alert(1)</script> & "more"'}
    stack.api.put("/v2/invoices/order-1", json=body)

    page = customer.get(address(stack))

    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;more&#34;" in page.text


def test_the_same_qr_has_the_same_address(stack: Stack) -> None:
    stack.put()

    assert address(stack) == address(stack)


def test_an_address_that_we_did_not_make_shows_nothing(
    stack: Stack, customer: httpx.Client, subtests: pytest.Subtests
) -> None:
    for token in ["x", "A" * 80, "A" * 104, "%F0%9F%92%A9" * 12, "A" * 5_000]:
        with subtests.test(token=token):
            stack.put()

            answers = [
                customer.get(f"/pay/{token}"),
                customer.get(f"/pay/{token}/status"),
                customer.post(f"/pay/{token}"),
            ]

            assert {answer.status_code for answer in answers} == {404}
            assert "Холбоос буруу байна" in words(answers[0])


def test_an_address_of_one_invoice_opens_no_other(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    stack.put("order-2")
    token = address(stack).rsplit("/", 1)[1]
    changed = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]

    assert customer.get(f"/pay/{changed}").status_code == 404


def test_an_address_ends(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    past = stack.parts.pay_pages.address("order-1", qr_expires_at=datetime.now(UTC) - timedelta(days=31))
    unknown = stack.parts.pay_pages.address("order-9", qr_expires_at=datetime.now(UTC))

    assert customer.get(past).status_code == 410
    assert customer.get(past + "/status").status_code == 410
    assert customer.get(unknown).status_code == 404


def test_looking_makes_no_qr_and_the_button_does(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    url = stack.parts.pay_pages.address("order-1", qr_expires_at=datetime.now(UTC))

    before = customer.get(url)
    made_by_looking = stack.creates()
    pressed = customer.post(url, data={"gateway": "qpay"}, params={"lang": "en"})
    after = customer.get(pressed.headers["Location"])

    assert "QR код авах" in words(before)
    assert made_by_looking == 0
    assert pressed.status_code == 303
    assert "data:image/png;base64," in after.text
    assert '<html lang="en">' in after.text
    assert stack.creates() == 1


def test_both_gateways_are_offered(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    url = address(stack)

    page = customer.get(url)
    other = customer.get(url, params={"gateway": "socialpay"})
    pressed = customer.post(url, data={"gateway": "socialpay"})
    chosen = customer.get(pressed.headers["Location"])
    wrong = customer.post(url, data={"gateway": "nowhere"})

    assert "SocialPay" in words(page)
    assert "data:image/png" not in other.text
    assert "data:image/png;base64," in chosen.text
    assert "socialpay-payment:" in chosen.text
    assert wrong.status_code == 404


def test_a_gateway_that_is_down_is_told_in_words(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    url = stack.parts.pay_pages.address("order-1", qr_expires_at=datetime.now(UTC))
    stack.gateway.cut()

    page = customer.post(url, data={"gateway": "qpay"})

    assert page.status_code in {503, 504}
    assert 'role="alert"' in page.text


def test_a_database_that_is_down_is_told_in_words(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    url = address(stack)
    stack.postgres.cut()

    page = customer.get(url)

    assert page.status_code == 503
    assert "Түр саатал гарлаа" in words(page)


@pytest.mark.usefixtures("working")
def test_the_page_follows_the_money(stack: Stack, customer: httpx.Client) -> None:
    stack.put(amount=1_000)
    url = address(stack)
    tag = customer.get(url + "/status").json()["tag"]

    stack.pay(amount=400)
    wait_until(lambda: customer.get(url + "/status").json()["tag"] != tag)
    part = words(customer.get(url))
    address(stack)
    stack.pay("order-1-g2", amount=600)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")
    paid = customer.get(url)

    assert "Хэсэгчлэн төлөгдсөн" in part
    assert "600 ₮" in part
    assert "Төлбөр төлөгдсөн" in words(paid)
    assert "<form" not in paid.text
    assert "data:image/png" not in paid.text


def test_a_void_invoice_and_an_overpaid_one_say_so(stack: Stack, customer: httpx.Client) -> None:
    stack.put(amount=1_000)
    stack.put("order-2", amount=1_000)
    void, over = address(stack), address(stack, "order-2")
    paid = {"amount": {"amount": "1500.50", "currency": "MNT"}, "method": "cash"}
    stack.api.post("/v2/invoices/order-1/void", json={"reason": "a mistake"})
    stack.api.post("/v2/invoices/order-2/manual-payment", json=paid, headers={"Idempotency-Key": "a"})

    shown = [words(customer.get(url)) for url in (void, over)]

    assert "Нэхэмжлэх хүчингүй болсон" in shown[0]
    assert "Илүү төлсөн дүн: 500.50 ₮" in shown[1]


def test_a_fraction_that_no_gateway_takes_is_told_and_has_no_button(stack: Stack, customer: httpx.Client) -> None:
    stack.put(amount=1_000)
    url = address(stack)
    stack.record("899.50")

    page = customer.get(url)
    pressed = customer.post(url, data={"gateway": "qpay"}, follow_redirects=True)

    for shown in (page, pressed):
        assert shown.status_code == 200
        assert "QPay бүхэл төгрөгөөр л төлбөр авдаг. 100.50 ₮ үлдэгдлийг" in words(shown)
        assert "<form" not in shown.text


def test_what_was_given_back_is_told_beside_what_was_paid(stack: Stack, customer: httpx.Client) -> None:
    stack.put(amount=1_000)
    url = address(stack)
    stack.record(400)
    given = {"payment": "manual_bank:order-1-400", "amount": {"amount": 150, "currency": "MNT"}, "reason": "a return"}
    assert (
        stack.api.post("/v2/invoices/order-1/refund", json=given, headers={"Idempotency-Key": "r"}).status_code == 201
    )

    part = words(customer.get(url))
    stack.record(600)
    whole = words(customer.get(url))

    assert "Үлдэгдэл төлбөр 600 ₮ Нийт дүн 1,000 ₮ Төлсөн дүн 400 ₮ Буцаасан дүн 150 ₮" in part
    assert "Нийт дүн 1,000 ₮ Буцаасан дүн 150 ₮" in whole


def test_whatever_is_sent_to_the_page_is_answered_by_a_page(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    url = stack.parts.pay_pages.address("order-1", qr_expires_at=datetime.now(UTC))
    many = "&".join(f"field{number}=1" for number in range(50))

    answers = [
        customer.post("/pay/forged", content=many),
        customer.post(url, content=many),
        customer.post(url, content=b"\xff=\x00&gateway=%ff"),
        customer.get(url, params={"lang": "a" * 500, "gateway": "\x00<script>"}),
        customer.head(url),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 200, 200]
    assert {answer.headers["Content-Type"] for answer in answers} == {"text/html; charset=utf-8"}


def test_a_page_that_is_looked_at_too_often_is_turned_away(stack: Stack, customer: httpx.Client) -> None:
    stack.put()
    url = address(stack)
    began_s = time.monotonic()

    told = [customer.get(url + "/status").status_code for _ in range(310)]

    assert time.monotonic() - began_s < 60
    assert told[0] == 200
    assert told[-1] == 429
