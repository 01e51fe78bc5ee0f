"""A request with an Idempotency-Key has one effect and one answer; another one with that key is refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.worker.conftest import Stack


def pay_link(stack: Stack, key: str, invoice_id: str = "order-1") -> httpx.Response:
    return stack.api.post(
        f"/v2/invoices/{invoice_id}/pay-link", json={"gateway": "qpay"}, headers={"Idempotency-Key": key}
    )


def void(stack: Stack, key: str, reason: str = "a mistake") -> httpx.Response:
    return stack.api.post("/v2/invoices/order-1/void", json={"reason": reason}, headers={"Idempotency-Key": key})


def test_a_pay_link_asked_for_again_is_answered_the_same_whatever_came_meanwhile(stack: Stack) -> None:
    stack.put()
    first = pay_link(stack, "a")
    stack.put(amount=7)

    again, fresh = pay_link(stack, "a"), pay_link(stack, "b")

    assert (first.status_code, again.status_code, fresh.status_code) == (200, 200, 200)
    assert again.content == first.content
    assert fresh.json()["amount"]["amount"] == "7.00"
    assert stack.creates() == 2


def test_requests_at_once_with_one_key_have_one_effect_and_one_answer(stack: Stack) -> None:
    stack.put()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: pay_link(stack, "a"), range(4)))

    assert len({answer.content for answer in answers}) == 1
    assert stack.creates() == 1


def test_a_key_of_another_request_is_refused(stack: Stack) -> None:
    stack.put()
    stack.put("order-2")
    pay_link(stack, "a")

    refused = [pay_link(stack, "a", "order-2"), void(stack, "a")]

    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in refused} == {
        (409, "IDEMPOTENCY_CONFLICT")
    }
    assert stack.invoice()["voidedAt"] is None


def test_a_void_asked_for_again_is_answered_as_it_was(stack: Stack) -> None:
    stack.put()
    stack.pay_link()
    first = void(stack, "a")

    again = void(stack, "a")
    other: Any = void(stack, "a", reason="another")

    assert first.json()["balance"]["status"] == "void"
    assert again.content == first.content
    assert other.status_code == 409


def test_what_was_refused_may_be_asked_for_again(stack: Stack) -> None:
    unknown = pay_link(stack, "a")
    stack.put()

    answer = pay_link(stack, "a")

    assert (unknown.status_code, answer.status_code) == (404, 200)
