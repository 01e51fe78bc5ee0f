"""From a payment at the gateway to a balance: once, however often and through whatever it is announced."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import httpx
import pytest

from adapters.postgres import check_requests
from adapters.redis.doorbell import Doorbell, open_broker
from domain.payment_event import Source
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from worker.ring import ring_due
from worker.settle import Settle, Settled

Ring = Callable[[], int]


@pytest.mark.usefixtures("working")
def test_a_payment_is_on_its_invoice_moments_after_its_callback(stack: Stack) -> None:
    stack.put(amount=1_500_000)
    stack.pay_link()

    paid = stack.pay()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")

    (payment,) = stack.payments()
    assert payment["id"] == f"qpay:{paid['paymentId']}"
    assert payment["amount"] == {"amount": "1500000.00", "currency": "MNT"}
    assert (payment["source"], payment["kind"], payment["invoice"]) == ("callback", "received", "order-1")
    assert stack.invoice()["gatewayInvoices"][0]["state"] == "settled"


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("spacing_s", [2.0])
def test_a_hundred_callbacks_at_once_cost_two_checks_at_most_and_make_one_event(stack: Stack) -> None:
    stack.put()
    stack.pay_link()

    stack.pay(repeat=100)
    wait_until(lambda: stack.simulator.world.callbacks.pending == 0)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")
    wait_until(lambda: _is_quiet(stack))

    assert stack.checks() <= 2
    assert len(stack.payments()) == 1


@pytest.mark.parametrize("told", [{"status": "QUARANTINED"}, {"status": "NEW"}, {"garbled": True}, {"hidden": True}])
def test_a_payment_whose_row_says_nothing_yet_is_looked_at_again_by_itself(
    stack: Stack, working: Ring, monkeypatch: pytest.MonkeyPatch, told: dict[str, object]
) -> None:
    monkeypatch.setattr(check_requests, "RECHECK_AFTER_S", (3_600.0,))
    monkeypatch.setattr(check_requests, "DOUBT_S", 7_200.0)
    stack.put()
    stack.pay_link()
    payment = stack.pay(callback="drop")["paymentId"]
    telling = f"{stack.simulator.url}/simulator/payments/{payment}"
    httpx.post(telling, json=told, trust_env=False).raise_for_status()
    qr = UUID(stack.invoice()["gatewayInvoices"][0]["id"])
    stack.api.get(stack.callback_path(str(qr)), params={"qpay_payment_id": payment}).raise_for_status()
    wait_until(lambda: stack.parts.check_requests.has_served(qr, requested=1))
    assert _awaited(stack, qr) == [payment]

    httpx.post(telling, json={}, trust_env=False).raise_for_status()
    _let_it_be_due(stack)

    wait_until(lambda: working() >= 0 and stack.invoice()["balance"]["status"] == "paid")
    assert stack.checks() == 2


@pytest.mark.usefixtures("working")
def test_fault_27_two_parts_sum(stack: Stack) -> None:
    stack.put(amount=90_000)
    stack.pay_link()

    stack.pay(amount=30_000)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "partially_paid")
    stack.pay()
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")

    assert sorted(payment["amount"]["amount"] for payment in stack.payments()) == ["30000.00", "60000.00"]
    assert stack.creates() == 1


@pytest.mark.usefixtures("working")
def test_a_hundred_settles_of_one_payment_at_once_make_one_event(stack: Stack) -> None:
    stack.put()
    qr = UUID(stack.pay_link().json()["gatewayInvoiceId"])
    stack.pay(callback="drop")

    settle_now = settle(stack)

    def request_and_settle(_: int) -> Settled:
        stack.parts.check_requests.request(qr, source=Source.COMMAND)
        return settle_now(qr)

    with ThreadPoolExecutor(max_workers=16) as threads:
        outcomes = list(threads.map(request_and_settle, range(100)))
    wait_until(lambda: _is_quiet(stack))

    assert Settled.FAILED not in outcomes
    assert len(stack.payments()) == 1
    assert stack.invoice()["balance"]["received"]["amount"] == "1500000.00"


@pytest.mark.usefixtures("working")
def test_what_a_callback_says_reaches_no_event(stack: Stack) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    stack.pay(callback="drop")

    answer = stack.api.get(path, params={"qpay_payment_id": "666000666000666", "payment_amount": "1"})
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")

    assert (answer.status_code, answer.text) == (200, "SUCCESS")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "666000666000666" not in str(stack.payments())


@pytest.mark.usefixtures("working")
def test_a_callback_that_nobody_was_woken_for_is_settled_by_the_scheduler(stack: Stack, working: Ring) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    stack.pay(callback="drop")
    stack.redis.cut()

    answer = stack.api.post(path)
    assert (answer.status_code, answer.text) == (200, "SUCCESS")
    stack.redis.mend()

    wait_until(lambda: _ring(working) and stack.invoice()["balance"]["status"] == "paid")


@pytest.mark.usefixtures("working")
def test_a_gateway_that_is_down_is_asked_again_until_it_answers(stack: Stack, working_unscheduled: Ring) -> None:
    stack.put()
    stack.pay_link()
    stack.pay(callback="drop")
    qr = UUID(stack.invoice()["gatewayInvoices"][0]["id"])
    stack.gateway.cut()
    stack.parts.check_requests.request(qr, source=Source.COMMAND)

    assert settle(stack)(qr) is Settled.FAILED
    assert stack.payments() == []
    stack.gateway.mend()
    wait_until(lambda: _ring(working_unscheduled) and stack.invoice()["balance"]["status"] == "paid")


def test_messages_do_not_pile_up_while_no_worker_takes_them(
    stack: Stack, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.ring.WAITING_MAX", 3)
    monkeypatch.setattr("worker.ring.PAGE", 1)
    doorbell = Doorbell(open_broker(redis_url, timeout_s=5))
    requests = stack.parts.check_requests
    gateway_invoices = stack.parts.issue._gateway_invoices  # noqa: SLF001 - the scheduler makes its own
    for number in range(5):
        stack.put(f"order-{number}")
        qr = UUID(stack.pay_link(f"order-{number}").json()["gatewayInvoiceId"])
        requests.request(qr, source=Source.CALLBACK)
    _forget_ringing(stack)

    assert [ring_due(requests, gateway_invoices, doorbell) for _ in range(3)] == [3, 0, 0]


@pytest.mark.usefixtures("working")
def test_payments_are_read_page_by_page_each_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.web.payments.PAGE", 2)
    stack.put(amount=50_000)
    stack.pay_link()
    for part in range(1, 6):
        stack.pay(amount=10_000)
        wait_until(partial(_has_payments, stack, part))

    pages, cursor = [], "0"
    while cursor is not None:
        page = stack.api.get("/v2/payments", params={"cursor": cursor, "gateway": "qpay"}).json()
        pages.append([payment["paymentId"] for payment in page["payments"]])
        cursor = page["next"]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert len({payment_id for page in pages for payment_id in page}) == 5
    assert stack.api.get("/v2/payments", params={"unmatched": "true"}).json() == {"payments": [], "next": None}
    assert stack.api.get("/v2/payments", params={"to": "2020-01-01T00:00:00Z"}).json()["payments"] == []


def _forget_ringing(stack: Stack) -> None:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - a look behind the API
        connection.execute("UPDATE gateway_invoice SET rung_at = NULL")


def _has_payments(stack: Stack, count: int) -> bool:
    return bool(stack.invoice()["balance"]["payments"] == count)


def settle(stack: Stack) -> Settle:
    """The web process's own settle, which it uses when it closes a QR."""
    return stack.parts.issue._close._settle  # noqa: SLF001 - it has no other way in


def _ring(ring: Ring) -> bool:
    ring()
    return True


def _awaited(stack: Stack, qr: UUID) -> list[str]:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - a look behind the API
        row = connection.execute(
            "SELECT awaited_payment_ids FROM gateway_invoice WHERE id = %s AND next_check_at > now()", [qr]
        ).fetchone()
    return list(row["awaited_payment_ids"]) if row else []


def _let_it_be_due(stack: Stack) -> None:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - likewise
        connection.execute("UPDATE gateway_invoice SET next_check_at = now() WHERE requested > served")


def _is_quiet(stack: Stack) -> bool:
    """Nothing is due, and nobody is at it."""
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - a look behind the API
        row = connection.execute(
            "SELECT count(*) AS busy FROM gateway_invoice WHERE requested > served OR lease_token IS NOT NULL"
        ).fetchone()
    return row is not None and row["busy"] == 0
