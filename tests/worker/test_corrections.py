"""What gateways and people do to recorded money: refunds, moves, voids, and rows that change, through everything."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from adapters.postgres.discrepancies import Discrepancies, State
from domain.payment_event import Source
from tests.waiting import wait_until
from tests.worker.conftest import Stack

pytestmark = pytest.mark.usefixtures("working")


@pytest.fixture
def paid(stack: Stack, working: object) -> dict[str, Any]:  # noqa: ARG001 - somebody has to settle
    """An invoice of 100,000, paid in full."""
    stack.put(amount=100_000)
    stack.pay_link()
    payment = stack.pay()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")
    return payment


def refund(stack: Stack, payment: dict[str, Any], *, key: str | None = "k1", **body: object) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    asked = {"payment": f"qpay:{payment['paymentId']}", "reason": "Returned", **body}
    return stack.api.post("/v2/invoices/order-1/refund", json=asked, headers=headers)


def tell(stack: Stack, payment: dict[str, Any], **told: object) -> None:
    """Let the gateway tell of a payment what is not, or no longer, so; and be asked about it."""
    url = f"{stack.simulator.url}/simulator/payments/{payment['paymentId']}"
    assert httpx.post(url, json=told, trust_env=False).status_code == 200
    check(stack)


def check(stack: Stack) -> None:
    """Have the QR checked, and wait until it is."""
    qr = UUID(stack.invoice()["gatewayInvoices"][0]["id"])
    requested = stack.parts.check_requests.request(qr, source=Source.COMMAND)
    assert requested is not None
    stack.parts.ring(requested.gateway, qr, requested.wait_s)
    wait_until(lambda: stack.parts.check_requests.has_served(qr, requested=requested.requested))


def kinds(stack: Stack, state: State = State.OPEN) -> list[str]:
    found = Discrepancies(stack.parts.ledger._pool).list(state=state, after=0, page=100)  # noqa: SLF001 - a look behind the API
    return [one.kind for one in found]


def test_a_refund_is_recorded_once_and_answered_the_same(stack: Stack, paid: dict[str, Any]) -> None:
    amount = {"amount": "30000", "currency": "MNT"}

    first = refund(stack, paid, amount=amount)
    again = refund(stack, paid, amount=amount)
    other = refund(stack, paid, amount={"amount": "40000", "currency": "MNT"})

    assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
    assert (first.json()["kind"], first.json()["amount"]["amount"]) == ("refunded", "30000.00")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    balance = stack.invoice()["balance"]
    assert (balance["status"], balance["refunded"]["amount"], balance["outstanding"]["amount"]) == (
        "partially_refunded",
        "30000.00",
        "0.00",
    )


def test_a_refund_that_cannot_be_is_refused_by_name(stack: Stack, paid: dict[str, Any]) -> None:
    too_much = refund(stack, paid, amount={"amount": "100001", "currency": "MNT"})
    without_key = refund(stack, paid, key=None)
    reserved = refund(stack, paid, key="gateway")
    unknown = refund(stack, {"paymentId": "1"}, key="k2")
    no_reason = refund(stack, paid, reason="")
    wrong = [
        refund(stack, paid, key=f"k{number}", amount={"amount": amount, "currency": currency})
        for number, (amount, currency) in enumerate([(0, "MNT"), (-5, "MNT"), ("0.00", "MNT"), (1, "USD")], start=3)
    ]

    assert (too_much.status_code, too_much.json()["error"]["code"]) == (409, "MORE_THAN_RECEIVED")
    assert (without_key.status_code, without_key.json()["error"]["field"]) == (422, "Idempotency-Key")
    assert (reserved.status_code, reserved.json()["error"]["field"]) == (422, "Idempotency-Key")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "PAYMENT_NOT_FOUND")
    assert {answer.status_code for answer in wrong} == {422}
    assert [answer.json()["error"]["field"] for answer in wrong] == ["amount.amount"] * 3 + ["amount.currency"]
    assert (no_reason.status_code, no_reason.json()["error"]["field"]) == (422, "reason")
    assert len(stack.payments()) == 1


def test_fault_36_many_refunds_at_once_never_give_back_more_than_came(stack: Stack, paid: dict[str, Any]) -> None:
    amount = {"amount": "30000", "currency": "MNT"}

    with ThreadPoolExecutor(max_workers=10) as threads:
        answers = list(threads.map(lambda number: refund(stack, paid, key=f"k{number}", amount=amount), range(10)))

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 7
    assert stack.invoice()["balance"]["refunded"]["amount"] == "90000.00"


def test_fault_36_a_double_click_on_refund_at_once_is_one(stack: Stack, paid: dict[str, Any]) -> None:
    with ThreadPoolExecutor(max_workers=10) as threads:
        answers = list(threads.map(lambda _: refund(stack, paid), range(10)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert stack.invoice()["balance"]["refunded"]["amount"] == "100000.00"


def test_fault_36_a_manual_refund_and_then_the_gateways_are_counted_once(stack: Stack, paid: dict[str, Any]) -> None:
    refund(stack, paid, amount={"amount": "30000", "currency": "MNT"})

    tell(stack, paid, status="REFUNDED")
    check(stack)

    refunds = [payment for payment in stack.payments() if payment["kind"] == "refunded"]
    assert [payment["amount"]["amount"] for payment in refunds] == ["30000.00", "70000.00"]
    assert stack.invoice()["balance"]["status"] == "refunded"


@pytest.mark.parametrize("status", ["NEW", "PARTIAL", "FAILED"])
def test_fault_16_a_stale_read_is_nothing_once_and_a_question_when_it_persists(
    stack: Stack, paid: dict[str, Any], status: str
) -> None:
    tell(stack, paid, status=status)
    assert (kinds(stack), kinds(stack, State.SUSPECTED)) == ([], ["changed_status"])
    tell(stack, paid, status="PAID")
    assert (kinds(stack), kinds(stack, State.SUSPECTED)) == ([], [])

    tell(stack, paid, status=status)
    check(stack)

    assert kinds(stack) == ["changed_status"]
    assert stack.invoice()["balance"]["status"] == "paid"


def test_fault_15_a_payment_that_vanishes_is_a_question_and_never_silence(stack: Stack, paid: dict[str, Any]) -> None:
    tell(stack, paid, hidden=True)
    check(stack)

    assert kinds(stack) == ["missing_at_gateway"]
    assert stack.invoice()["balance"]["status"] == "paid"


def test_fault_13_duplicated_rows_and_another_amount_are_one_event_and_a_question(
    stack: Stack, paid: dict[str, Any]
) -> None:
    tell(stack, paid, duplicated=5)
    assert kinds(stack) == []

    tell(stack, paid, amount="90000")

    assert kinds(stack) == ["changed_amount"]
    assert [payment["amount"]["amount"] for payment in stack.payments()] == ["100000.00"]


STRANGE: dict[str, dict[str, object]] = {
    "unreadable_row": {"garbled": True},
    "unknown_status": {"status": "QUARANTINED"},
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_row_that_cannot_be_understood_twice_is_a_question_until_it_can_be(stack: Stack, kind: str) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    payment = stack.pay(callback="drop")
    tell(stack, payment, **STRANGE[kind])
    assert (kinds(stack), kinds(stack, State.SUSPECTED)) == ([], [kind])

    check(stack)
    assert (kinds(stack), stack.payments()) == ([kind], [])
    tell(stack, payment)

    assert (kinds(stack), kinds(stack, State.WITHDRAWN)) == ([], [kind])
    assert stack.invoice()["balance"]["status"] == "paid"


def test_a_void_invoice_takes_no_qr_and_asks_about_money_that_it_gets(stack: Stack) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.pay(callback="drop")

    voided = stack.api.post("/v2/invoices/order-1/void", json={"reason": "Cancelled by the customer"})
    again = stack.api.post("/v2/invoices/order-1/void", json={"reason": "Cancelled by the customer"})
    check(stack)

    assert (voided.status_code, voided.json()["balance"]["status"]) == (200, "void")
    assert again.json()["voidedAt"] == voided.json()["voidedAt"]
    assert stack.pay_link().json()["error"]["code"] == "INVOICE_VOID"
    balance = stack.invoice()["balance"]
    assert (balance["status"], balance["received"]["amount"], balance["overpaid"]["amount"]) == (
        "void",
        "100000.00",
        "100000.00",
    )
    assert kinds(stack) == ["paid_after_void"]


@pytest.mark.usefixtures("paid")
def test_voiding_what_holds_money_is_a_question(stack: Stack) -> None:
    stack.api.post("/v2/invoices/order-1/void", json={"reason": "A mistake"})

    assert kinds(stack) == ["paid_after_void"]
    assert stack.api.post("/v2/invoices/order-9/void", json={"reason": "x"}).status_code == 404


@pytest.mark.usefixtures("paid")
def test_a_void_whose_question_cannot_be_asked_is_no_void(stack: Stack, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("REVOKE INSERT ON tootsoo.discrepancy FROM tootsoo_app")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        stack.parts.correct.void("order-1", who="Bat", reason="A mistake")

    assert stack.invoice()["balance"]["status"] == "paid"


def test_fault_27_two_qrs_that_were_both_paid_are_overpaid_and_a_duplicate(stack: Stack) -> None:
    stack.put(amount=100_000)
    stack.pay_link()
    stack.put(amount=90_000)
    stack.pay_link()
    old, new = stack.simulator.world.book.invoices()
    for invoice in (old, new):
        stack.pay(None, invoiceId=invoice.invoice_id, force=True)

    wait_until(lambda: len(stack.payments()) == 2)

    assert stack.invoice()["balance"]["status"] == "overpaid"
    assert "duplicate_payment" in kinds(stack)


@pytest.mark.usefixtures("paid")
def test_projections_cannot_be_made_to_hold_more_refunds_than_money(stack: Stack) -> None:
    with (
        stack.parts.ledger._pool.connection() as connection,  # noqa: SLF001 - a look behind the API
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("UPDATE payment SET refunded_minor = received_minor + 1")
