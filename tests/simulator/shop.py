"""A merchant and a customer of the simulator, for tests: one method for each thing they do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import httpx

from simulator.facts import Merchant
from simulator.world import World

SHOP = Merchant(username="TEST_MERCHANT", password="pa:ss-өнгө", invoice_code="TEST_INVOICE")
OTHER = Merchant(username="OTHER_MERCHANT", password="other", invoice_code="OTHER_INVOICE")
NOWHERE = "http://127.0.0.1:9/v2/qpay/webhook/nobody-listens"


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 11, 5, 57, 47, 336_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Shop:
    """Calls one simulator over HTTP."""

    def __init__(self, http: httpx.Client, world: World, clock: Clock) -> None:
        self.http = http
        self.world = world
        self.clock = clock

    def log_in(self, merchant: Merchant = SHOP) -> dict[str, Any]:
        answer = self.http.post("/v2/auth/token", auth=httpx.BasicAuth(merchant.username, merchant.password))
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body

    def bearer(self, merchant: Merchant = SHOP) -> "Bearer":
        return Bearer(self.http, self.log_in(merchant)["access_token"])

    def pay(self, **order: Any) -> httpx.Response:
        return self.http.post("/simulator/pay", json=order)

    def paid(self, **order: Any) -> dict[str, Any]:
        answer = self.pay(**order)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def tell(self, payment_id: str, **order: Any) -> dict[str, Any]:
        answer = self.http.post(f"/simulator/payments/{payment_id}", json=order)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def faults(self, *rules: dict[str, Any], seed: int = 1) -> None:
        answer = self.http.put("/simulator/faults", json={"seed": seed, "rules": rules})
        assert answer.status_code == 200, answer.text

    def always(self, kind: str, endpoint: str = "POST /v2/payment/check", **more: Any) -> None:
        self.faults({"endpoint": endpoint, "kind": kind, "probability": 1, **more})

    def switch(self, **changes: Any) -> None:
        answer = self.http.patch("/simulator/switches", json=changes)
        assert answer.status_code == 200, answer.text

    def look(self, path: str) -> dict[str, Any]:
        body: dict[str, Any] = self.http.get(f"/simulator/{path}").json()
        return body

    def callbacks(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many callbacks have ended, and none is under way."""
        eventually(lambda: (seen := self.look("callbacks"))["pending"] == 0 and len(seen["callbacks"]) == count)
        ended: list[dict[str, Any]] = self.look("callbacks")["callbacks"]
        return ended


class Bearer:
    """A merchant who has logged in."""

    def __init__(self, http: httpx.Client, access_token: str) -> None:
        self.access_token = access_token
        self._http = http

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._http.request(method, path, headers={"Authorization": f"Bearer {self.access_token}"}, **more)

    def create(self, number: str = "rent-2026-03", **fields: Any) -> httpx.Response:
        return self.call("POST", "/v2/invoice", json=invoice_request(number, **fields))

    def issue(self, number: str = "rent-2026-03", **fields: Any) -> dict[str, Any]:
        answer = self.create(number, **fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def check(self, invoice_id: str, **offset: Any) -> httpx.Response:
        asked: dict[str, Any] = {"object_type": "INVOICE", "object_id": invoice_id}
        return self.call("POST", "/v2/payment/check", json={**asked, "offset": offset} if offset else asked)

    def list(self, *, merchant: Merchant = SHOP, **asked: Any) -> httpx.Response:
        window = {"start_date": "2026-03-10 00:00:00", "end_date": "2026-03-13 00:00:00"}
        whose = {"object_type": "MERCHANT", "object_id": merchant.merchant_id}
        return self.call("POST", "/v2/payment/list", json={**whose, **window, **asked})


def invoice_request(number: str = "rent-2026-03", **fields: Any) -> dict[str, Any]:
    request = {
        "invoice_code": SHOP.invoice_code,
        "sender_invoice_no": number,
        "invoice_receiver_code": "terminal",
        "invoice_description": "Түрээс",
        "amount": 1_500_000,
        "callback_url": NOWHERE,
    }
    return {key: value for key, value in {**request, **fields}.items() if value is not ...}


def eventually(holds: Callable[[], bool], *, within_s: float = 5) -> None:
    end = monotonic() + within_s
    while not holds():
        assert monotonic() < end, "what was waited for did not happen"
