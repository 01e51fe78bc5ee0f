"""A customer pays on the simulator's page in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from simulator.server import Running
from tests.browser import DESK, PHONE, chromium, fits, keep
from tests.simulator.receiver import Receiver
from tests.simulator.shop import Bearer, Shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def page(browser: Browser, running: Running, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport=request.param, base_url=running.url, locale="mn-MN")
    yield context.new_page()
    context.close()


def test_a_customer_finds_the_invoice_pays_it_and_gets_it_back(
    shop: Shop, bearer: Bearer, receiver: Receiver, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    invoice = bearer.issue(
        "rent-2026-03", invoice_description="Гуравдугаар сарын түрээс", callback_url=receiver.callback_url
    )

    page.goto("/")
    keep(page, "front")
    assert fits(page)
    page.get_by_role("link", name="rent-2026-03").click()
    expect(page.get_by_alt_text("QR")).to_be_visible()
    expect(page.get_by_role("link", name="Хаан банк")).to_have_attribute(
        "href", f"khanbank://q?qPay_QRcode={invoice['qr_text']}"
    )
    keep(page, "open")
    assert fits(page)

    page.get_by_role("button", name="Бүтэн төлөх").click()

    expect(page.locator(".state")).to_have_text("төлөгдсөн")
    shop.callbacks(1)
    page.get_by_role("link", name="Шинэчлэх").click()
    expect(page.locator("td", has_text="200 SUCCESS")).to_be_visible()
    keep(page, "paid")
    assert fits(page)
    assert [(one["amount"], one["status"]) for one in shop.look("facts")["payments"]] == [(1_500_000, "PAID")]

    page.get_by_role("button", name="Буцаах").click()

    expect(page.locator("td", has_text="REFUNDED")).to_be_visible()
    shop.callbacks(2)
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("button", name="Pay in full")).to_be_visible()
    keep(page, "refunded")
    assert fits(page)
    assert [url for url in asked if not url.startswith((str(shop.http.base_url), "data:"))] == []


def test_a_customer_pays_a_part_and_then_the_rest_by_card(shop: Shop, bearer: Bearer, page: Page) -> None:
    invoice_id = bearer.issue("rent-1", amount=100, allow_partial=True)["invoice_id"]

    page.goto(f"/s/{invoice_id}?lang=en")
    page.get_by_label("The callback").select_option("never comes")
    page.get_by_label("Part, in ₮").fill("40")
    page.get_by_role("button", name="Pay this part").click()
    expect(page.get_by_text("outstanding 60 ₮")).to_be_visible()
    page.get_by_label("The callback").select_option("never comes")
    page.get_by_role("button", name="Pay by card").click()

    expect(page.locator(".state")).to_have_text("paid")
    assert [(one["amount"], one["type"]) for one in shop.look("facts")["payments"]] == [(40, "P2P"), (60, "CARD")]
    assert shop.look("callbacks")["callbacks"] == []


def test_enter_in_the_amount_of_a_part_pays_that_part(shop: Shop, bearer: Bearer, page: Page) -> None:
    invoice_id = bearer.issue("rent-1", amount=100, allow_partial=True)["invoice_id"]

    page.goto(f"/s/{invoice_id}?lang=en")
    page.get_by_label("Part, in ₮").fill("40")
    page.get_by_label("Part, in ₮").press("Enter")

    expect(page.get_by_text("outstanding 60 ₮")).to_be_visible()
    assert [one["amount"] for one in shop.look("facts")["payments"]] == [40]
