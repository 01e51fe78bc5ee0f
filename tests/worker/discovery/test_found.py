"""What no callback announced is found in the gateway's list, by one check each, and is on its invoice."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adapters.postgres.connection import open_pool
from adapters.postgres.polls import Polls
from domain.polling import FIRST
from simulator.faults import Fault, Rule
from simulator.qpay.endpoints import CHECK
from simulator.world import Switches
from tests.adapters.postgres.samples import qr_store
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.discovery.sales import LIST, LOOK_UP, calls, facts, run, sold, status
from worker.discover import Discover
from worker.poll import poll_due

PERIOD_S = 300.0
"""Of sweeps, as it is set by default."""
BOTH_WAYS = [
    Switches(),
    Switches(list_window_is_local=True, list_newest_first=True),
    Switches(list_object_id="invoice_code"),
    Switches(list_object_id="absent", list_without_qr_code=True, list_window_is_local=True),
    Switches(list_count_is_of_page=True, list_object_id="absent"),
]


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("switches", BOTH_WAYS, ids=str)
def test_fault_20_payments_that_nobody_announced_are_found_by_one_check_each(stack: Stack, discover: Discover) -> None:
    paid = sold(stack, "order-1", "order-2", "order-3")
    stack.put("order-4")
    stack.pay_link("order-4")

    found = run(discover)
    wait_until(lambda: all(status(stack, f"order-{number}") == "paid" for number in (1, 2, 3)))
    again = run(discover)

    assert (found.failed, found.swept.new, found.steps.rung) == (None, 3, 3)
    assert (again.swept.new, again.steps.rung) == (0, 0)
    assert [stack.payments(f"order-{number}")[0]["paymentId"] for number in (1, 2, 3)] == paid
    assert {stack.payments(f"order-{number}")[0]["source"] for number in (1, 2, 3)} == {"sweep"}
    assert stack.checks() == 3
    clueless = stack.simulator.world.switches.list_without_qr_code
    assert calls(stack, LOOK_UP) == (3 if clueless else 0)


@pytest.mark.usefixtures("working")
def test_a_check_that_did_not_show_what_the_gateway_shows_elsewhere_is_made_again(
    stack: Stack, discover: Discover, sql: Callable[..., list[Any]]
) -> None:
    stale = [Rule(endpoint=CHECK, kind=Fault.STALE, probability=1)]
    sold(stack, "order-1")
    stack.simulator.world.faults.set(stale)
    first = run(discover)
    wait_until(lambda: sql("SELECT checked_at IS NOT NULL AND lease_token IS NULL FROM gateway_invoice") == [(True,)])
    sql(
        "UPDATE gateway_invoice SET served = requested, next_check_at = NULL, awaited_payment_ids = '{}'"
    )  # 300 s later

    again = run(discover)
    stack.simulator.world.faults.set(())
    wait_until(lambda: status(stack, "order-1") == "paid")

    assert (first.steps.rung, first.steps.looked_up, again.steps.looked_up, again.steps.rung) == (1, 0, 1, 1)


@pytest.mark.usefixtures("working")
def test_a_window_in_which_nothing_came_costs_one_call_and_a_recorded_payment_none(
    stack: Stack, discover: Discover
) -> None:
    sold(stack, "order-1")
    run(discover)
    wait_until(lambda: status(stack, "order-1") == "paid")
    run(discover)
    before = calls(stack, LIST)

    found = run(discover)

    assert calls(stack, LIST) - before == found.swept.questions == found.swept.unchanged
    assert (stack.checks(), calls(stack, LOOK_UP)) == (1, 0)


def test_a_payment_that_is_announced_already_is_left_to_its_callback(stack: Stack, discover: Discover) -> None:
    stack.put()
    stack.pay_link()
    stack.pay()
    wait_until(lambda: stack.simulator.world.callbacks.pending == 0)

    found = run(discover)

    assert (found.swept.new, found.steps.rung, found.steps.waiting) == (1, 0, 1)


@pytest.mark.usefixtures("working")
def test_fault_21_callbacks_that_come_days_later_change_nothing(stack: Stack, discover: Discover) -> None:
    (paid,) = sold(stack, "order-1")
    run(discover)
    wait_until(lambda: status(stack, "order-1") == "paid")
    before = stack.payments("order-1")
    path = stack.callback_path(stack.invoice("order-1")["gatewayInvoices"][0]["id"])

    for _ in range(3):
        assert stack.api.get(path, params={"qpay_payment_id": paid}).text == "SUCCESS"
    wait_until(lambda: stack.checks() >= 2)
    run(discover)

    assert stack.payments("order-1") == before


@pytest.mark.usefixtures("working")
def test_a_payment_on_an_old_qr_is_on_its_invoice(stack: Stack, discover: Discover) -> None:
    stack.put(amount=100_000)
    old = stack.pay_link().json()["gatewayInvoiceId"]
    stack.put(amount=120_000)
    wait_until(lambda: stack.pay_link().status_code == 200)
    (external_id,) = (one["invoiceId"] for one in facts(stack)["invoices"] if one["number"] == "order-1")
    stack.pay(None, invoiceId=external_id, callback="drop", force=True)

    run(discover)
    wait_until(lambda: stack.payments() != [])

    assert stack.payments()[0]["invoice"] == "order-1"
    assert old in {one["id"] for one in stack.invoice()["gatewayInvoices"]}


@pytest.mark.slow
@pytest.mark.usefixtures("working")
@pytest.mark.parametrize(
    "switches", [Switches(), Switches(list_object_id="invoice_code", list_count_is_of_page=True)], ids=str
)
def test_fault_20_a_thousand_payments_settle_by_discovery_alone_within_a_sweep_and_its_budget(
    stack: Stack, discover: Discover, sql: Callable[..., list[Any]]
) -> None:
    invoices = [f"order-{number}" for number in range(1_000)]
    with ThreadPoolExecutor(8) as customers:
        list(customers.map(lambda invoice: sold(stack, invoice), invoices))
    begun_s = time.monotonic()

    found = run(discover)
    again = run(discover)
    recorded = "SELECT count(*) FROM payment_event WHERE source = 'sweep' AND invoice_id IS NOT NULL"
    wait_until(lambda: sql(recorded) == [(len(invoices),)], within_s=PERIOD_S)

    assert time.monotonic() - begun_s < PERIOD_S
    assert (found.swept.new, found.failed, again.failed) == (len(invoices), None, None)
    assert stack.checks() + calls(stack, LOOK_UP) <= 1.05 * len(invoices)


@pytest.mark.usefixtures("working")
def test_what_nobody_announced_at_a_gateway_without_a_list_is_found_by_looking_at_its_qrs(
    stack: Stack, sql: Callable[..., list[Any]], database_url: str
) -> None:
    stack.put()
    qr_text = stack.pay_link(gateway="socialpay").json()["qrText"]
    waits = sql("SELECT extract(epoch FROM next_poll_at - opened_at)::float8 FROM gateway_invoice")
    stack.pay(None, qrText=qr_text, callback="drop")
    sql("UPDATE gateway_invoice SET next_poll_at = now()")

    with open_pool(database_url, size=2) as pool:
        asked = poll_due(Polls(pool), qr_store(pool), stack.parts.check_requests, stack.parts.ring)
    wait_until(lambda: status(stack, "order-1") == "paid")

    assert (waits, asked) == ([(FIRST.total_seconds(),)], 1)
    assert stack.payments()[0]["source"] == "sweep"
