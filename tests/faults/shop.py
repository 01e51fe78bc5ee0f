"""A shop and its customers: invoices, QRs, payments, and callbacks, true and false."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import httpx

from worker.webhook_token import WebhookTokens

CALL_WITHIN_S = 40.0
"""Longer than any call of ours may take; what takes longer is an error of its own."""

FALSE_WORD = "FALSEHOOD"
"""In every field of a callback that is not true: it must be found nowhere afterwards."""


@dataclass(slots=True, kw_only=True)
class Sale:
    """One invoice with a QR that a customer may pay."""

    invoice: str
    number: str
    """Of the QR at the gateway."""
    amount: int
    """Whole tögrög."""
    qr: UUID
    payments: list[str] = field(default_factory=list)
    """The gateway's ids of what was paid."""


@dataclass(slots=True)
class Answers:
    """How callbacks were answered."""

    statuses: dict[int | str, int] = field(default_factory=dict)
    slowest_s: float = 0.0

    def count(self, status: int | str, took_s: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.slowest_s = max(self.slowest_s, took_s)


class Shop:
    """The merchant's application and its customers. Safe to use from several threads."""

    def __init__(self, *, web_url: str, simulator_url: str, api_key: str, tokens: WebhookTokens) -> None:
        # Idle connections are given up before a server does so, for a request on its way just then would be lost.
        limits = httpx.Limits(max_connections=100, keepalive_expiry=2.0)
        self.api = httpx.Client(
            base_url=web_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=CALL_WITHIN_S,
            limits=limits,
            trust_env=False,
        )
        self.gateway = httpx.Client(base_url=simulator_url, timeout=CALL_WITHIN_S, limits=limits, trust_env=False)
        self._tokens = tokens
        self._lock = threading.Lock()
        self.sales: list[Sale] = []
        self.taken_at: dict[str, datetime] = {}
        """When a callback of a payment was answered with SUCCESS, of those that this shop sent itself."""
        self.paid_at: dict[str, datetime] = {}
        self.announces = True
        """Whether what no callback has said is said again in the end; else it is to be found without one."""
        self.answers = Answers()
        self.lied_about: set[UUID] = set()

    def close(self) -> None:
        self.api.close()
        self.gateway.close()

    # --- What a merchant does ---

    def open(self, invoice: str, amount: int, *, patience_s: float = 0.0) -> Sale:
        """Make an invoice and its QR; what is refused with "ask again" is asked again for so long."""
        until = time.monotonic() + patience_s
        while True:
            try:
                self.put(invoice, amount).raise_for_status()
                link = self.ask_for_qr(invoice)
                link.raise_for_status()
                break
            except httpx.HTTPStatusError as error:
                if error.response.status_code not in {503, 504} or time.monotonic() > until:
                    raise
                time.sleep(0.5)  # between two calls, as a merchant's application would
        qr = link.json()["gatewayInvoiceId"]
        known = self.api.get(f"/v2/invoices/{invoice}").raise_for_status().json()["gatewayInvoices"]
        (generation,) = (one["generation"] for one in known if one["id"] == qr)
        number = invoice if generation == 1 else f"{invoice}-g{generation}"
        sale = Sale(invoice=invoice, number=number, amount=amount, qr=UUID(qr))
        with self._lock:
            self.sales.append(sale)
        return sale

    def put(self, invoice: str, amount: int) -> httpx.Response:
        body = {"amount": {"amount": amount, "currency": "MNT"}, "description": "An order"}
        return self.api.put(f"/v2/invoices/{invoice}", json=body)

    def open_many(
        self, count: int, rng: random.Random, *, prefix: str = "order", patience_s: float = 0.0
    ) -> list[Sale]:
        """Make `count` invoices with a QR each."""
        wanted = [(f"{prefix}-{number}", rng.randint(100, 5_000_000)) for number in range(count)]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda one: self.open(*one, patience_s=patience_s), wanted))

    def ask_for_qr(self, invoice: str) -> httpx.Response:
        return self.api.post(f"/v2/invoices/{invoice}/pay-link", json={"gateway": "qpay"})

    def readiness(self) -> httpx.Response:
        return self.api.get("/readyz")

    # --- What customers and the gateway do ---

    def pay(self, sale: Sale, amount: int | None = None, *, callback: str = "send", repeat: int = 1) -> str:
        """Pay a sale at the gateway, in full or in part; the gateway sends the callback `repeat` times."""
        order = {"number": sale.number, "callback": callback, "repeat": repeat}
        paid_at = datetime.now(UTC)
        answer = self.gateway.post("/simulator/pay", json=order | ({} if amount is None else {"amount": amount}))
        answer.raise_for_status()
        payment: str = answer.json()["paymentId"]
        with self._lock:
            sale.payments.append(payment)
            self.paid_at[payment] = paid_at
        return payment

    def call_back(self, sale: Sale, payment: str) -> int | str:
        """Send the callback of a payment as the gateway does; return the status, or what broke the connection."""
        began, taken = time.monotonic(), datetime.now(UTC)
        try:
            answer = self.api.get(self._callback_path(sale), params={"qpay_payment_id": payment})
        except httpx.HTTPError as error:
            status: int | str = type(error).__name__
        else:
            status = answer.status_code
            if answer.is_success and answer.text == "SUCCESS":
                with self._lock:
                    self.taken_at.setdefault(payment, taken)
        with self._lock:
            self.answers.count(status, time.monotonic() - began)
        return status

    def lie(self, sale: Sale, rng: random.Random) -> None:
        """Send a callback with a good token, in which nothing else is true."""
        false = {
            "qpay_payment_id": f"{FALSE_WORD}{rng.randint(0, 10**9)}",
            "payment_amount": str(rng.randint(1, 10**9)),
            "payment_status": FALSE_WORD,
            "invoice_id": FALSE_WORD,
        }
        with self._lock:
            self.lied_about.add(sale.qr)
        with suppress(httpx.HTTPError):  # a liar does not care
            self.api.request(rng.choice(("GET", "POST")), self._callback_path(sale), params=false)

    def _callback_path(self, sale: Sale) -> str:
        return f"/v2/qpay/webhook/{self.token_of(sale)}"

    def token_of(self, sale: Sale) -> str:
        """Tell the secret in the address of a sale's callbacks."""
        return self._tokens.make(sale.qr)

    # --- What is wrong with the gateway ---

    def break_gateway(self, *rules: Mapping[str, object], seed: int | None = None) -> None:
        """Let its calls go wrong by these rules, as the simulator takes them, instead of those before."""
        self.gateway.put("/simulator/faults", json={"rules": rules, "seed": seed}).raise_for_status()

    def mend_gateway(self) -> None:
        self.break_gateway()

    def went_wrong(self) -> int:
        """Count the calls that a fault has met since the gateway was broken."""
        injected: dict[str, dict[str, int]] = self._tell("faults")["injected"]
        return sum(sum(of_endpoint.values()) for of_endpoint in injected.values())

    def gateway_calls(self) -> int:
        """Count the calls that the gateway has had, of all kinds."""
        endpoints: dict[str, int] = self.calls()["endpoints"]
        return sum(endpoints.values())

    # --- What really happened ---

    def facts(self) -> dict[str, Any]:
        return self._tell("facts")

    def calls(self) -> dict[str, Any]:
        return self._tell("calls")

    def callbacks(self) -> dict[str, Any]:
        return self._tell("callbacks")

    def when_taken(self) -> dict[str, datetime]:
        """Tell of each payment when the first callback of it was answered with SUCCESS."""
        taken = dict(self.taken_at)
        for one in self.callbacks()["callbacks"]:
            if one["statusCode"] == httpx.codes.OK and one["body"] == "SUCCESS":
                at = datetime.fromisoformat(one["sentAt"])
                taken[one["paymentId"]] = min(at, taken.get(one["paymentId"], at))
        return taken

    def since_when(self) -> dict[str, datetime]:
        """Tell of each payment since when it should be found: since its callback was taken, or since it was paid."""
        return self.when_taken() if self.announces else {**self.paid_at}

    def repeat_what_was_not_taken(self) -> int:
        """Send the callbacks again that nobody took, as a gateway would; return how many there were."""
        if not self.announces:
            return 0
        taken = self.when_taken()
        missing = [(sale, payment) for sale in self.sales for payment in sale.payments if payment not in taken]
        for sale, payment in missing:
            self.call_back(sale, payment)
        return len(missing)

    def _tell(self, what: str) -> dict[str, Any]:
        answer = self.gateway.get(f"/simulator/{what}")
        answer.raise_for_status()
        return answer.json()  # type: ignore[no-any-return]  # JSON


class Crowd:
    """Customers who keep coming, in the background, until they are sent home."""

    def __init__(self, shop: Shop, *, seed: str, per_s: float, until: Callable[[], bool] = lambda: False) -> None:
        self._shop = shop
        self._rng = random.Random(seed)
        self._every_s = 1 / per_s
        self._home = threading.Event()
        self._until = until
        self.turned_away = 0
        """Customers who could not be served: no invoice, or no QR."""
        self.came = 0
        self._thread = threading.Thread(target=self._come, name="crowd")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._home.set()
        self._thread.join()

    def _come(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            while not (self._home.wait(self._rng.uniform(0.5, 1.5) * self._every_s) or self._until()):
                self.came += 1
                pool.submit(self._buy, f"crowd-{self.came}", random.Random(self._rng.random()))

    def _buy(self, invoice: str, rng: random.Random) -> None:
        try:
            sale = self._shop.open(invoice, rng.randint(100, 5_000_000))
            behave(self._shop, sale, rng)
        except httpx.HTTPError:
            self.turned_away += 1


def behave(shop: Shop, sale: Sale, rng: random.Random) -> None:
    """Do with a QR what customers do: pay it, in parts, with many callbacks, or not at all; somebody may lie."""
    match rng.choices(("once", "parts", "burst", "never", "lied"), weights=(50, 15, 15, 10, 10))[0]:
        case "once":
            shop.pay(sale)
        case "parts":
            shop.pay(sale, rng.randint(1, sale.amount - 1))
            shop.pay(sale)
        case "burst":
            shop.pay(sale, repeat=rng.randint(2, 20))
        case "lied":
            shop.lie(sale, rng)
            shop.pay(sale)
        case _:
            pass
