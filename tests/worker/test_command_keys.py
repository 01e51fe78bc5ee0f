"""A caller's key stands for one command and all that it asked for: the same is done once, anything else is refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.waiting import wait_until
from tests.worker.conftest import Stack

pytestmark = pytest.mark.usefixtures("working")


def pay(stack: Stack, invoice_id: str) -> str:
    """An invoice of 1,000 that is paid; the payment as the API names it."""
    stack.put(invoice_id, amount=1_000)
    stack.pay_link(invoice_id)
    payment = stack.pay(invoice_id)
    wait_until(lambda: stack.invoice(invoice_id)["balance"]["status"] == "paid")
    return f"qpay:{payment['paymentId']}"


def post(stack: Stack, path: str, *, key: str, **body: object) -> httpx.Response:
    return stack.api.post(f"/v2/invoices/{path}", json=body, headers={"Idempotency-Key": key})


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", {}).get("code", "")


CONFLICT = (409, "IDEMPOTENCY_CONFLICT")


def test_a_key_with_an_amount_is_not_the_same_as_without(stack: Stack) -> None:
    payment = pay(stack, "order-1")
    amount: dict[str, Any] = {"amount": "100", "currency": "MNT"}

    part = post(stack, "order-1/refund", key="kk", payment=payment, reason="Returned", amount=amount)
    all_of_it = post(stack, "order-1/refund", key="kk", payment=payment, reason="Returned")
    written_otherwise = post(
        stack, "order-1/refund", key="kk", payment=payment, reason="Returned", amount={**amount, "amount": "100.00"}
    )

    assert (part.status_code, code_of(all_of_it)) == (201, CONFLICT)
    assert written_otherwise.json() == part.json()
    assert stack.invoice()["balance"]["refunded"]["amount"] == "100.00"


def test_a_key_makes_no_second_refund_of_another_payment(stack: Stack) -> None:
    one, other = pay(stack, "order-1"), pay(stack, "order-2")

    first = post(stack, "order-1/refund", key="kk", payment=one, reason="Returned")
    second = post(stack, "order-2/refund", key="kk", payment=other, reason="Returned")

    assert (first.status_code, code_of(second)) == (201, CONFLICT)
    assert stack.invoice("order-2")["balance"]["status"] == "paid"


def test_a_key_of_two_different_refunds_at_once_has_one_effect(stack: Stack) -> None:
    orders = {invoice_id: pay(stack, invoice_id) for invoice_id in ("order-1", "order-2")}

    with ThreadPoolExecutor(max_workers=10) as threads:
        answers = list(
            threads.map(
                lambda order: post(stack, f"{order[0]}/refund", key="kk", payment=order[1], reason="Returned"),
                list(orders.items()) * 5,
            )
        )

    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 5
    assert sorted(stack.invoice(invoice_id)["balance"]["status"] for invoice_id in orders) == ["paid", "refunded"]


def test_void_takes_a_key_and_refuses_it_for_something_else(stack: Stack) -> None:
    stack.put("order-1", amount=1_000)
    stack.put("order-2", amount=1_000)

    first = post(stack, "order-1/void", key="kk", reason="Cancelled")
    again = post(stack, "order-1/void", key="kk", reason="Cancelled")
    another_invoice = post(stack, "order-2/void", key="kk", reason="Cancelled")
    another_reason = post(stack, "order-1/void", key="kk", reason="Lost")
    no_key = post(stack, "order-1/void", key="gateway", reason="Cancelled")

    assert (first.status_code, again.json()) == (200, first.json())
    assert (code_of(another_invoice), code_of(another_reason)) == (CONFLICT, CONFLICT)
    assert (no_key.status_code, no_key.json()["error"]["field"]) == (422, "Idempotency-Key")
    assert stack.invoice("order-2")["balance"]["status"] == "unpaid"


def test_a_key_of_a_void_is_no_key_of_a_refund(stack: Stack) -> None:
    payment = pay(stack, "order-1")
    stack.put("order-2")

    post(stack, "order-2/void", key="kk", reason="Returned")
    refund = post(stack, "order-1/refund", key="kk", payment=payment, reason="Returned")

    assert code_of(refund) == CONFLICT


def test_a_command_that_was_refused_may_be_given_again_with_its_key(stack: Stack) -> None:
    stack.put("order-1", amount=1_000)

    early = post(stack, "order-2/void", key="kk", reason="Cancelled")
    stack.put("order-2")
    later = post(stack, "order-2/void", key="kk", reason="Cancelled")

    assert (early.status_code, later.status_code) == (404, 200)
