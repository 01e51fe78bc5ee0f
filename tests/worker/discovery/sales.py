"""What was sold and paid without anybody saying so, and what the simulator and the API tell of it."""

from typing import Any

import httpx

from tests.waiting import wait_until
from tests.worker.conftest import Stack
from worker.discover import Discover, Discovered

LIST, LOOK_UP = "POST /v2/payment/list", "GET /v2/payment/{payment_id}"


def sold(stack: Stack, *invoices: str, amount: int = 100_000) -> list[str]:
    """Invoices whose QRs are paid without anybody saying so; returns the payments."""
    for invoice in invoices:
        stack.put(invoice, amount=amount)
        wait_until(lambda: stack.pay_link(invoice).is_success, within_s=60)  # noqa: B023 - it is over before the next
    return [stack.pay(invoice, callback="drop")["paymentId"] for invoice in invoices]


def calls(stack: Stack, endpoint: str) -> int:
    return int(stack.calls()["endpoints"].get(endpoint, 0))


def run(discover: Discover) -> Discovered:
    (one,) = discover()
    return one


def status(stack: Stack, invoice: str) -> str:
    return str(stack.invoice(invoice)["balance"]["status"])


def facts(stack: Stack) -> dict[str, Any]:
    return httpx.get(f"{stack.simulator.url}/simulator/facts", trust_env=False).json()  # type: ignore[no-any-return]  # JSON
