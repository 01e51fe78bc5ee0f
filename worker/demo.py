"""The demo: seven invoices, seven ways in which customers and gateways behave, and every tögrög accounted for."""

import base64
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from worker.local import LocalStack

SETTLED_WITHIN_S = 30.0
"""Far beyond what the slowest of the seven takes: two parts, each with its own check."""

BURST = 100
FORGED = 50

_LOOK_EVERY_S = 0.1


class DemoError(Exception):
    """Something did not come out as it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one invoice ended. Amounts are strings of tögrög."""

    invoice: str
    story: str
    due: str
    received: str
    outstanding: str
    status: str
    events: int
    checks: int
    wrong: tuple[str, ...]
    """What is not as it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Story:
    """One invoice, what its customer does, and how it must end."""

    invoice: str
    story: str
    amount: int
    play: Callable[["_Shop", "_Story"], None]
    status: str
    received: int
    events: int
    checks: tuple[int, int]
    """The fewest and the most checks that are right, at whichever gateway."""


def play_demo(stack: LocalStack, *, api_key: str, tell: Callable[[str], None]) -> list[Outcome]:
    """Open the invoices, let the customers pay, wait until all is settled, and return how each ended.

    Raises:
        DemoError: an answer was not as it must be.

    """
    with _open_shop(stack, api_key) as shop:
        for story in STORIES:
            shop.put(story.invoice, amount=story.amount, description=story.story)
            shop.pay_link(story.invoice)
            tell(f"{story.invoice}: {story.story}")
        for story in STORIES:
            story.play(shop, story)
        tell("Waiting until every payment is on its invoice")
        shop.wait_until(lambda: all(_is_settled(shop, story) for story in STORIES))
        shop.wait_until(shop.callbacks_are_sent)
        stack.require_alive()
        return [_outcome(shop, story) for story in STORIES]


def _pay_normally(shop: "_Shop", story: _Story) -> None:
    shop.pay(story.invoice)


def _pay_with_a_burst(shop: "_Shop", story: _Story) -> None:
    shop.pay(story.invoice, repeat=BURST)


def _pay_in_two_parts(shop: "_Shop", story: _Story) -> None:
    shop.pay(story.invoice, amount=story.amount // 3)
    shop.wait_until(lambda: shop.invoice(story.invoice)["balance"]["payments"] == 1)
    shop.pay(story.invoice)


def _pay_half_at_each_gateway(shop: "_Shop", story: _Story) -> None:
    shop.pay(story.invoice, amount=story.amount // 2)
    shop.wait_until(lambda: shop.invoice(story.invoice)["balance"]["payments"] == 1)
    shop.pay_qr(shop.pay_link(story.invoice, gateway="socialpay"))


def _never_pay(_: "_Shop", __: _Story) -> None:
    """The customer walks away."""


def _forge_then_pay(shop: "_Shop", story: _Story) -> None:
    refused = shop.fire_forged_callbacks()
    if refused != FORGED:
        raise DemoError(f"{FORGED - refused} of {FORGED} forged callbacks were not refused")
    if shop.checks(story.invoice):
        raise DemoError("a forged callback made the gateway be asked")
    shop.pay(story.invoice)


def _pay_and_lose_the_callback(shop: "_Shop", story: _Story) -> None:
    """What workers do every five minutes is done at once: the demo is in a hurry."""
    shop.pay(story.invoice, callback="drop")
    shop.discover()


STORIES = (
    _Story(
        invoice="order-1001",
        story="paid, one callback",
        amount=1_500_000,
        play=_pay_normally,
        status="paid",
        received=1_500_000,
        events=1,
        checks=(1, 1),
    ),
    _Story(
        invoice="order-1002",
        story=f"paid, the callback comes {BURST} times at once",
        amount=250_000,
        play=_pay_with_a_burst,
        status="paid",
        received=250_000,
        events=1,
        checks=(1, 2),
    ),
    _Story(
        invoice="order-1003",
        story="paid in two parts",
        amount=90_000,
        play=_pay_in_two_parts,
        status="paid",
        received=90_000,
        events=2,
        checks=(2, 2),
    ),
    _Story(
        invoice="order-1004",
        story="never paid",
        amount=45_000,
        play=_never_pay,
        status="unpaid",
        received=0,
        events=0,
        checks=(0, 0),
    ),
    _Story(
        invoice="order-1005",
        story=f"{FORGED} forged callbacks, then paid",
        amount=780_000,
        play=_forge_then_pay,
        status="paid",
        received=780_000,
        events=1,
        checks=(1, 1),
    ),
    _Story(
        invoice="order-1006",
        story="half paid through QPay, half through SocialPay",
        amount=640_000,
        play=_pay_half_at_each_gateway,
        status="paid",
        received=640_000,
        events=2,
        checks=(2, 5),
    ),
    _Story(
        invoice="order-1007",
        story="paid, the callback never comes: found in QPay's list",
        amount=320_000,
        play=_pay_and_lose_the_callback,
        status="paid",
        received=320_000,
        events=1,
        checks=(1, 1),
    ),
)


def _is_settled(shop: "_Shop", story: _Story) -> bool:
    received = shop.invoice(story.invoice)["balance"]["received"]["amount"]
    return bool(received == f"{story.received}.00")


def _outcome(shop: "_Shop", story: _Story) -> Outcome:
    balance = shop.invoice(story.invoice)["balance"]
    events, checks = len(shop.payments(story.invoice)), shop.checks(story.invoice)
    fewest, most = story.checks
    wrong = []
    if balance["status"] != story.status:
        wrong.append(f"status {balance['status']}, not {story.status}")
    if balance["received"]["amount"] != f"{story.received}.00":
        wrong.append(f"received {balance['received']['amount']}, not {story.received}.00")
    if events != story.events:
        wrong.append(f"{events} events, not {story.events}")
    if not fewest <= checks <= most:
        wrong.append(f"{checks} checks, not {fewest} to {most}")
    return Outcome(
        invoice=story.invoice,
        story=story.story,
        due=balance["due"]["amount"],
        received=balance["received"]["amount"],
        outstanding=balance["outstanding"]["amount"],
        status=balance["status"],
        events=events,
        checks=checks,
        wrong=tuple(wrong),
    )


class _Shop:
    """The merchant's side over HTTP, the customers' at the simulator, and what the simulator counted."""

    def __init__(self, api: httpx.Client, simulator: httpx.Client, stack: LocalStack) -> None:
        self._api = api
        self._simulator = simulator
        self._stack = stack

    def put(self, invoice: str, *, amount: int, description: str) -> None:
        body = {"amount": {"amount": amount, "currency": "MNT"}, "description": description}
        _require(self._api.put(f"/v2/invoices/{invoice}", json=body))

    def pay_link(self, invoice: str, *, gateway: str = "qpay") -> str:
        """Ask for a QR and return what it says."""
        return str(_require(self._api.post(f"/v2/invoices/{invoice}/pay-link", json={"gateway": gateway}))["qrText"])

    def pay(self, invoice: str, *, amount: int | None = None, repeat: int = 1, callback: str = "send") -> None:
        order: dict[str, object] = {"number": invoice, "repeat": repeat, "callback": callback}
        order |= {} if amount is None else {"amount": amount}
        _require(self._simulator.post("/simulator/pay", json=order))

    def pay_qr(self, qr_text: str) -> None:
        """Pay what a QR says, as a phone does that reads it."""
        _require(self._simulator.post("/simulator/pay", json={"qrText": qr_text}))

    def invoice(self, invoice: str) -> dict[str, Any]:
        return _require(self._api.get(f"/v2/invoices/{invoice}"))

    def payments(self, invoice: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _require(self._api.get("/v2/payments", params={"invoice": invoice}))["payments"]
        return found

    def checks(self, invoice: str) -> int:
        """How often the gateways were asked about the QRs of this invoice, as they counted."""
        facts = _require(self._simulator.get("/simulator/facts"))
        calls = _require(self._simulator.get("/simulator/calls"))
        numbers = {invoice, *(UUID(one["id"]).hex for one in self.invoice(invoice)["gatewayInvoices"])}
        mine = [known["invoiceId"] for known in facts["invoices"] if known["number"] in numbers]
        return sum(calls["checks"].get(external_id, 0) for external_id in mine)

    def discover(self) -> None:
        """Have the payments found that nobody announced."""
        self._stack.run_once("discover")

    def callbacks_are_sent(self) -> bool:
        return bool(_require(self._simulator.get("/simulator/callbacks"))["pending"] == 0)

    def fire_forged_callbacks(self) -> int:
        """Send callbacks with made-up tokens of the right form, all at once; return how many were refused."""

        def fire(_: int) -> int:
            token = base64.urlsafe_b64encode(secrets.token_bytes(48)).decode()
            answer = self._api.get(f"/v2/qpay/webhook/{token}", params={"qpay_payment_id": "100000000000000"})
            return int(answer.status_code == httpx.codes.NOT_FOUND)

        with ThreadPoolExecutor(max_workers=10) as pool:
            return sum(pool.map(fire, range(FORGED)))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + SETTLED_WITHIN_S
        while not holds():
            self._stack.require_alive()
            if time.monotonic() > until:
                raise DemoError(f"not everything was settled within {SETTLED_WITHIN_S:.0f} s; see {self._stack.logs}")
            time.sleep(_LOOK_EVERY_S)


@contextmanager
def _open_shop(stack: LocalStack, api_key: str) -> Iterator[_Shop]:
    headers = {"Authorization": f"Bearer {api_key}"}
    with (
        httpx.Client(base_url=stack.web_url, headers=headers, timeout=20.0, trust_env=False) as api,
        httpx.Client(base_url=stack.simulator_url, timeout=20.0, trust_env=False) as simulator,
    ):
        yield _Shop(api, simulator, stack)


def _require(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise DemoError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body
