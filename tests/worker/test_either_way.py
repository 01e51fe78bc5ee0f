"""What differs between QPays, or nobody has seen: the worker comes to the same balances, whichever way it is."""

from collections.abc import Callable
from dataclasses import fields
from uuid import uuid4

import httpx
import pytest

from simulator.switches import Switches, changed
from tests.waiting import wait_until
from tests.worker.conftest import Stack

pytestmark = pytest.mark.slow

EITHER = {
    "expires_in_is_duration": (False, True),
    "no_credentials_misspelt": (False, True),
    "validation_in_words": (False, True),
    "text_amounts_are_refused": (False, True),
    "qr_image_is_empty": (False, True),
    "default_expiry_h": (None, 1),
    "expired_status": ("OPEN", "EXPIRED", "CLOSED", "CANCELED"),
    "partly_paid_stays_open": (False, True),
    "invoice_paid_status": (400, 409, 422),
    "refunded_stays_paid": (False, True),
    "check_rows_are_older": (False, True),
    "check_newest_first": (False, True),
    "list_object_id": ("invoice_id", "invoice_code", "absent"),
    "list_without_qr_code": (False, True),
    "list_window_is_local": (False, True),
    "list_newest_first": (False, True),
    "list_count_is_of_page": (False, True),
    "callback_by_post": (False, True),
    "callback_retries": (0, 3),
    "refund_is_called_back": (False, True),
}
OTHER_GATEWAYS = "socialpay_"


def test_every_switch_of_qpay_is_tried() -> None:
    assert set(EITHER) == {one.name for one in fields(Switches) if not one.name.startswith(OTHER_GATEWAYS)}


def test_balances_are_the_same_whichever_way_qpay_is(stack: Stack, working: Callable[[], int]) -> None:
    lives = {}
    for name, values in EITHER.items():
        for value in values:
            stack.simulator.world.switches = changed(Switches(), {name: value})
            lives[f"{name}={value}"] = _live(stack, working)

    assert set(lives.values()) == {
        (
            ("in-parts", "partially_refunded", "100000.00", "70000.00"),
            ("replaced", "paid", "60000.00", "0.00"),
            ("ran-out", "paid", "20000.00", "0.00"),
            ("never", "unpaid", "0.00", "0.00"),
        )
    }, lives
    assert stack.parts.ledger.balances_unlike_events() == []


def _live(stack: Stack, ring: Callable[[], int]) -> tuple[tuple[str, str, str, str], ...]:
    """Let one invoice be paid in parts and refunded, one be replaced, one be paid when it ran out, and one never."""
    life = uuid4().hex[:8]

    def settled(name: str, status: str) -> None:
        wait_until(lambda: ring() >= 0 and stack.invoice(f"{name}-{life}")["balance"]["status"] == status, within_s=30)

    def order(name: str, amount: int) -> str:
        stack.put(f"{name}-{life}", amount=amount)
        assert stack.pay_link(f"{name}-{life}").status_code == 200
        return f"{name}-{life}"

    in_parts = order("in-parts", 100_000)
    stack.pay(in_parts, amount=30_000)
    settled("in-parts", "partially_paid")
    card = stack.pay(in_parts, type="CARD")
    settled("in-parts", "paid")
    _tell_simulator(stack, f"payments/{card['paymentId']}/refund", callback="send")
    settled("in-parts", "partially_refunded")

    replaced = order("replaced", 50_000)
    order("replaced", 60_000)
    stack.pay(f"{replaced}-g2")
    settled("replaced", "paid")

    ran_out = order("ran-out", 20_000)
    _tell_simulator(stack, "expire", number=ran_out)
    stack.pay(ran_out, force=True)
    settled("ran-out", "paid")

    order("never", 10_000)
    names = ("in-parts", "replaced", "ran-out", "never")
    balances = [(name, stack.invoice(f"{name}-{life}")["balance"]) for name in names]
    return tuple(
        (name, told["status"], told["received"]["amount"], told["refunded"]["amount"]) for name, told in balances
    )


def _tell_simulator(stack: Stack, path: str, **order: object) -> None:
    httpx.post(f"{stack.simulator.url}/simulator/{path}", json=order, trust_env=False).raise_for_status()
