"""A customer opens the pay page in a real browser, pays, and sees it change."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import DESK, PHONE, chromium, fits, keep
from tests.waiting import wait_until
from tests.worker.conftest import Stack

pytestmark = pytest.mark.slow

SEEN_WITHIN_MS = 3_000
"""From the payment's landing to the page that says so, on the page's clock: how busy the machine is plays no part."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    contexts = []

    def open_one(url: str, *, clock_in_hand: bool = False, **settings: object) -> Page:
        context = browser.new_context(**{"viewport": PHONE, "locale": "mn-MN", **settings})  # type: ignore[arg-type]  # one dict for all
        contexts.append(context)
        page = context.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.problems = problems  # type: ignore[attr-defined]  # read at the end
        if clock_in_hand:
            page.clock.install()
        page.goto(url)
        if clock_in_hand:
            page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=60))
        return page

    yield open_one
    for context in contexts:
        context.close()


def address(stack: Stack, invoice_id: str = "order-1", *, gateway: str = "qpay") -> str:
    return str(stack.pay_link(invoice_id, gateway=gateway).json()["payUrl"])


def put(
    stack: Stack,
    invoice_id: str = "order-1",
    *,
    amount: int = 1_500_000,
    description: str = "Арваннэгдүгээр сарын түрээс",
) -> None:
    body = {"amount": {"amount": amount, "currency": "MNT"}, "description": description}
    assert stack.api.put(f"/v2/invoices/{invoice_id}", json=body).status_code in {200, 201}


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_page_turns_to_paid_within_three_seconds_of_the_landing(
    stack: Stack, open_page: Open, viewport: dict[str, int]
) -> None:
    put(stack)
    page = open_page(address(stack), viewport=viewport, clock_in_hand=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("Төлбөр хүлээгдэж байна")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    keep(page, "pay-due")

    stack.pay()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")
    page.clock.run_for(SEEN_WITHIN_MS)
    expect(page.get_by_role("heading", level=1)).to_have_text("Төлбөр төлөгдсөн", timeout=60_000)

    keep(page, "pay-paid")
    assert fits(page)
    assert page.locator("img").count() == 0
    assert all(url.startswith(str(stack.api.base_url)) for url in asked)
    assert page.problems == []  # type: ignore[attr-defined]  # see open_page


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_state_fits_and_can_be_read(stack: Stack, open_page: Open, viewport: dict[str, int], scheme: str) -> None:
    for name in ("due", "part", "over", "void", "none", "rest"):
        put(stack, name, amount=90_000)
    put(stack, "long", amount=999_999_999_999, description="Нэхэмжлэхийн дэлгэрэнгүй утга " * 8 + "W" * 15)
    urls = {name: address(stack, name) for name in ("due", "part", "over", "void", "long", "rest")}
    urls["english"] = f"{urls['due']}?lang=en"
    put(stack, "socialpay", amount=90_000)
    urls["socialpay"] = address(stack, "socialpay", gateway="socialpay")
    urls["none"] = stack.parts.pay_pages.address("none", qr_expires_at=datetime.now(UTC))
    urls["gone"] = stack.parts.pay_pages.address("due", qr_expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    urls["unknown"] = f"{stack.api.base_url}/pay/nothing"
    for name, amount in (("part", 40_000), ("over", 100_000), ("rest", "89899.50")):
        stack.record(amount, name)
    stack.api.post("/v2/invoices/void/void", json={"reason": "a mistake"})

    for name, url in urls.items():
        page = open_page(url, viewport=viewport, color_scheme=scheme)
        keep(page, f"pay-{name}-{scheme}")
        assert fits(page), name
        assert too_faint(page) == [], name


def test_the_page_works_by_keyboard_alone_and_without_javascript(stack: Stack, open_page: Open) -> None:
    put(stack)
    url = stack.parts.pay_pages.address("order-1", qr_expires_at=datetime.now(UTC))
    page = open_page(f"{url}?lang=en&gateway=qpay", java_script_enabled=False)

    button = page.get_by_role("button", name="Get a QR code")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.locator("button:focus").count():
            break
    page.keyboard.press("Enter")

    expect(page.get_by_role("img", name="QPay QR code, 1,500,000 ₮")).to_be_visible()
    expect(button).to_have_count(0)
    expect(page.get_by_role("link", name="Khan bank")).to_be_visible()
    expect(page.get_by_role("link", name="Reload the page")).to_be_visible()


def test_a_page_that_could_get_no_qr_turns_to_paid_and_presses_no_button_again(stack: Stack, open_page: Open) -> None:
    put(stack)
    page = open_page(stack.parts.pay_pages.address("order-1", qr_expires_at=datetime.now(UTC)))
    stack.gateway.cut()
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_be_visible(timeout=30_000)
    pressed: list[str] = []
    page.on("request", lambda request: pressed.append(request.url) if request.method == "POST" else None)

    stack.record(1_500_000)

    expect(page.get_by_role("heading", level=1)).to_have_text("Төлбөр төлөгдсөн", timeout=20_000)
    assert pressed == []


def too_faint(page: Page) -> list[str]:
    """Return the texts whose contrast with what lies behind them is below 4.5 : 1 (WCAG 2.2, 1.4.3)."""
    return list(page.evaluate(CONTRAST))


CONTRAST = """() => {
  const channels = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((element) => element.checkVisibility())
    .filter((element) => {
      const [front, back] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
      return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05) < 4.5;
    })
    .map((element) => element.textContent.trim().slice(0, 40));
}"""
