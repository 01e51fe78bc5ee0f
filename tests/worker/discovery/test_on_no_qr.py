"""Found payments that lead to no QR of ours are followed, and end on their invoice, in suspense or with their owner."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.following import GRACE, Unmatched
from simulator.qpay import answers
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.discovery.sales import LOOK_UP, calls, run, sold, status
from tests.worker.reconciling import tell
from worker.discover import Discover


def foreign(stack: Stack, sql: Callable[..., list[Any]], *, amount: int = 70_000) -> str:
    """A payment on an invoice that other software has made with our account, after our first QR."""
    stack.put("ours")
    stack.pay_link("ours")
    (payment,) = sold(stack, "theirs", amount=amount)
    sql("UPDATE gateway_invoice SET external_id = gen_random_uuid(), qr_text = 'other' WHERE invoice_id = 'theirs'")
    return payment


def test_a_payment_of_nobody_is_filed_once_after_the_grace_by_the_answer_to_one_look(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None], sql: Callable[..., list[Any]]
) -> None:
    payment = foreign(stack, sql)

    first = run(discover)
    assert (first.steps.waiting, first.steps.looked_up, calls(stack, LOOK_UP)) == (1, 0, 0)
    later(GRACE)
    filed = run(discover)
    again = run(discover)

    assert (filed.steps.filed, again.steps.filed, calls(stack, LOOK_UP)) == (1, 0, 1)
    events = sql("SELECT payment_id, kind, invoice_id, amount_minor, source, ref FROM payment_event")
    assert events == [(payment, "received", None, 7_000_000, "sweep", "gateway")]
    assert sql("SELECT kind, payment_id, state FROM discrepancy") == [("unmatched", payment, "open")]
    assert sql("SELECT net_minor FROM suspense_balance") == [(7_000_000,)]
    assert stack.checks() == 0


@pytest.mark.parametrize("unmatched", [Unmatched.IGNORE])
def test_payments_of_other_software_on_our_account_may_be_ignored_and_cost_no_look(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None], sql: Callable[..., list[Any]]
) -> None:
    foreign(stack, sql)
    run(discover)
    later(GRACE)

    assert run(discover).steps.ignored == 1
    assert run(discover).steps.ignored == 0

    assert sql("SELECT count(*) FROM payment_event") == sql("SELECT count(*) FROM discrepancy") == [(0,)]
    assert calls(stack, LOOK_UP) == 0


@pytest.mark.usefixtures("working")
def test_fault_37_a_payment_that_is_found_before_its_qr_is_saved_ends_on_its_invoice(
    stack: Stack, discover: Discover, sql: Callable[..., list[Any]]
) -> None:
    sold(stack, "order-1")
    known = sql("SELECT external_id, qr_text FROM gateway_invoice")[0]
    sql("UPDATE gateway_invoice SET state = 'issuing', external_id = NULL, qr_text = NULL")

    early = run(discover)
    sql("UPDATE gateway_invoice SET state = 'open', external_id = %s, qr_text = %s", *known)
    found = run(discover)
    wait_until(lambda: status(stack, "order-1") == "paid")

    assert (early.steps.waiting, early.steps.rung, found.steps.rung, found.steps.filed) == (1, 0, 1, 0)
    assert (stack.checks(), calls(stack, LOOK_UP)) == (1, 0)


@pytest.mark.usefixtures("working")
def test_a_payment_in_suspense_goes_to_its_invoice_when_the_list_leads_there(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None], sql: Callable[..., list[Any]]
) -> None:
    (payment,) = sold(stack, "order-1")
    known = sql("SELECT external_id, qr_text FROM gateway_invoice")[0]
    sql("UPDATE gateway_invoice SET external_id = gen_random_uuid(), qr_text = 'not saved yet'")
    run(discover)
    later(GRACE)
    assert run(discover).steps.filed == 1
    sql("UPDATE gateway_invoice SET external_id = %s, qr_text = %s", *known)
    sql("UPDATE listed_window SET total = NULL")

    run(discover)
    wait_until(lambda: status(stack, "order-1") == "paid")

    kinds = [row[0] for row in sql("SELECT kind FROM payment_event WHERE payment_id = %s ORDER BY 1", payment)]
    assert kinds == ["assigned", "received", "unassigned"]
    assert sql("SELECT net_minor FROM suspense_balance") == [(0,)]


@pytest.mark.usefixtures("working")
def test_a_payment_whose_row_in_the_list_cannot_be_read_is_on_its_invoice_all_the_same(
    stack: Stack, discover: Discover, sql: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (payment,) = sold(stack, "order-1")
    row = answers._list_row  # noqa: SLF001 - what the simulator lists

    def without_amount(*told: Any, **how: Any) -> dict[str, object]:
        return {key: value for key, value in row(*told, **how).items() if key != "payment_amount"}

    monkeypatch.setattr(answers, "_list_row", without_amount)

    found = run(discover)
    run(discover)
    wait_until(lambda: status(stack, "order-1") == "paid")

    assert (found.swept.unreadable, found.swept.new, found.steps.looked_up, found.steps.rung) == (1, 1, 1, 1)
    assert stack.payments("order-1")[0]["paymentId"] == payment
    assert sql("SELECT kind FROM discrepancy") == []


def test_a_payment_that_cannot_be_read_anywhere_is_a_question_about_it(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None], sql: Callable[..., list[Any]]
) -> None:
    payment = foreign(stack, sql)
    tell(stack, payment, garbled=True)
    run(discover)
    later(GRACE)

    run(discover)
    run(discover)

    assert sql("SELECT kind, payment_id, state FROM discrepancy") == [("unreadable_row", payment, "open")]
