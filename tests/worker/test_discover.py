"""What no callback announced is found in the gateway's list, by one check each, and is on its invoice."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psycopg
import pytest

from adapters.postgres.connection import open_pool
from adapters.postgres.polls import Polls
from domain.following import GRACE, Unmatched
from domain.polling import FIRST
from simulator.faults import Drawn, Fault, Rule
from simulator.qpay import answers
from simulator.qpay.endpoints import CHECK
from simulator.world import Switches
from tests.adapters.postgres.samples import qr_store
from tests.waiting import wait_until
from tests.worker.conftest import MERCHANT, Stack
from tests.worker.reconciling import tell
from tests.worker.test_cli import run as run_command
from worker.compose.discovering import compose_discover
from worker.discover import Discover, Discovered, DiscoveryUnfinishedError, discover_once
from worker.poll import poll_due
from worker.settings import DiscoverySettings
from worker.sweep import STOPPED, UNREAD_MAX

LIST, LOOK_UP = "POST /v2/payment/list", "GET /v2/payment/{payment_id}"
PERIOD_S = 300.0
"""Of sweeps, as it is set by default."""
BOTH_WAYS = [
    Switches(),
    Switches(list_window_is_local=True, list_newest_first=True),
    Switches(list_object_id="invoice_code"),
    Switches(list_object_id="absent", list_without_qr_code=True, list_window_is_local=True),
    Switches(list_count_is_of_page=True, list_object_id="absent"),
]


@pytest.fixture
def unmatched() -> Unmatched:
    return Unmatched.SUSPENSE


@pytest.fixture
def told_to_stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def discover(stack: Stack, unmatched: Unmatched, told_to_stop: threading.Event) -> Iterator[Discover]:
    groups = stack.groups
    with compose_discover(
        database=groups.database,
        redis=groups.redis,
        checks=groups.checks,
        accounts=groups.accounts,
        settings=DiscoverySettings(unmatched=unmatched),
        told_to_stop=told_to_stop,
    ) as discover:
        yield discover


@pytest.fixture
def sql(database_url: str) -> Iterator[Callable[..., list[Any]]]:
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo") as connection:

        def execute(statement: str, *values: object) -> list[Any]:
            cursor = connection.execute(statement, values)  # a test's own text
            return cursor.fetchall() if cursor.description else []

        yield execute


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, discover: Discover) -> Callable[[timedelta], None]:
    """Let it be so much later for whoever discovers; the gateway and PostgreSQL keep their time."""

    def move(by: timedelta) -> None:
        for part in (discover._sweep, discover._follow):  # noqa: SLF001 - the clock that tests move
            monkeypatch.setattr(part, "_clock", lambda: datetime.now(UTC) + by)

    return move


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
    (external_id,) = (one["invoiceId"] for one in _facts(stack)["invoices"] if one["number"] == "order-1")
    stack.pay(None, invoiceId=external_id, callback="drop", force=True)

    run(discover)
    wait_until(lambda: stack.payments() != [])

    assert stack.payments()[0]["invoice"] == "order-1"
    assert old in {one["id"] for one in stack.invoice()["gatewayInvoices"]}


# --- Payments that are on no QR of ours ------------------------------------------------------------------------------


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


# --- Trouble ---------------------------------------------------------------------------------------------------------


def test_a_gateway_that_does_not_answer_fails_the_run_and_the_next_one_finds_all(
    stack: Stack, discover: Discover
) -> None:
    sold(stack, "order-1")
    stack.gateway.cut()

    with pytest.raises(DiscoveryUnfinishedError, match="qpay"):
        discover_once(discover)
    stack.gateway.mend()
    wait_until(lambda: run(discover).steps.rung + run(discover).steps.waiting > 0, within_s=20)


@pytest.mark.usefixtures("working")
def test_a_window_that_cannot_be_read_keeps_no_other_from_being_read(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(stack, "order-1")
    run(discover)  # now the zone is known
    later(timedelta(hours=1))
    faults, draw = stack.simulator.world.faults, stack.simulator.world.faults.draw
    asked = count()

    def cut_off_at_first(endpoint: str) -> Drawn | None:
        first = endpoint == LIST and next(asked) == 0
        return Drawn(kind=Fault.TRUNCATED, seconds=0, chance=Random(0)) if first else draw(endpoint)

    monkeypatch.setattr(faults, "draw", cut_off_at_first)

    found = run(discover)
    again = run(discover)

    assert (found.swept.unread, found.swept.left, found.swept.stopped) == (1, 0, False)
    assert found.failed is not None
    assert found.swept.questions > 3
    assert (again.swept.unread, again.failed) == (0, None)


@pytest.mark.usefixtures("working")
def test_a_list_that_cannot_be_read_at_all_ends_the_sweep_soon(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None]
) -> None:
    sold(stack, "order-1")
    run(discover)
    later(timedelta(hours=1))
    stack.simulator.world.faults.set([Rule(endpoint=LIST, kind=Fault.TRUNCATED, probability=1)])
    before = calls(stack, LIST)

    found = run(discover)

    assert found.swept.stopped
    assert found.swept.left > 0
    assert calls(stack, LIST) - before == UNREAD_MAX


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("switches", [Switches(list_object_id="absent", list_without_qr_code=True)])
def test_a_payment_that_the_gateway_never_tells_of_holds_up_no_other_and_is_not_polled(
    stack: Stack, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(stack, "order-1", "order-2", "order-3")
    faults, draw = stack.simulator.world.faults, stack.simulator.world.faults.draw
    asked = count()

    def busy_at_first(endpoint: str) -> Drawn | None:
        return (
            Drawn(kind=Fault.BUSY, seconds=0, chance=Random(0))
            if endpoint == LOOK_UP and not next(asked)
            else draw(endpoint)
        )

    monkeypatch.setattr(faults, "draw", busy_at_first)

    first = run(discover)
    again = run(discover)

    assert (first.steps.not_told, first.steps.looked_up, first.steps.rung) == (1, 2, 2)
    assert first.failed == "1 payments could not be looked up: see the log"
    assert (again.steps.not_told, again.steps.looked_up, again.failed) == (0, 0, None)
    assert calls(stack, LOOK_UP) == 3


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("switches", [Switches(list_object_id="absent", list_without_qr_code=True)])
def test_who_is_told_to_stop_asks_no_more_and_the_next_one_goes_on(
    stack: Stack, discover: Discover, told_to_stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(stack, "order-1", "order-2", "order-3")
    faults, draw = stack.simulator.world.faults, stack.simulator.world.faults.draw

    def stop_at_the_first(endpoint: str) -> Drawn | None:
        if endpoint == LOOK_UP:
            told_to_stop.set()
        return draw(endpoint)

    monkeypatch.setattr(faults, "draw", stop_at_the_first)

    stopped = run(discover)
    monkeypatch.undo()
    told_to_stop.clear()
    again = run(discover)

    assert (stopped.failed, stopped.steps.looked_up, stopped.steps.rung) == (STOPPED, 1, 1)
    assert (again.failed, again.steps.looked_up) == (None, 2)


@pytest.mark.slow
@pytest.mark.parametrize("switches", [Switches(list_newest_first=True)])
def test_fault_14_a_row_that_comes_while_the_list_is_paged_is_found(
    stack: Stack, discover: Discover, sql: Callable[..., list[Any]]
) -> None:
    stack.put("order-1", amount=10_000_000)
    stack.pay_link("order-1")
    for _ in range(150):
        stack.pay("order-1", amount=10, callback="drop")
    sold(stack, "late")
    hidden = stack.simulator.world
    pages = 0
    listing = hidden.calls.count

    def pay_between_pages(endpoint: str, *, invoice_id: str | None) -> None:
        nonlocal pages
        listing(endpoint, invoice_id=invoice_id)
        pages += endpoint == LIST
        if endpoint == LIST and pages == 5:  # the page of the zone, two probes, the first page, and now the second
            stack.simulator.world.book.add_payment(_another_of(stack))

    hidden.calls.count = pay_between_pages  # type: ignore[method-assign]  # at the simulator's own counter

    run(discover)
    run(discover)

    assert sql("SELECT count(*) FROM found_payment") == [(152,)]


def _another_of(stack: Stack) -> Any:
    book = stack.simulator.world.book
    last = book.payments()[-1]
    return replace(last, payment_id="999999999999999", paid_at=last.paid_at + timedelta(milliseconds=1))


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


# --- A gateway without a list -----------------------------------------------------------------------------------------


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
    wait_until(lambda: status(stack, "order-1") == "paid", within_s=20)

    assert (waits, asked) == ([(FIRST.total_seconds(),)], 1)
    assert stack.payments()[0]["source"] == "sweep"


# --- For people ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("working")
def test_the_report_tells_what_callbacks_missed(
    stack: Stack, discover: Discover, tmp_path: Path, database_url: str
) -> None:
    sold(stack, "order-1")
    run(discover)
    wait_until(lambda: status(stack, "order-1") == "paid")
    for number in (2, 3, 4):
        stack.put(f"order-{number}")
        stack.pay_link(f"order-{number}")
        stack.pay(f"order-{number}")
    wait_until(lambda: all(status(stack, f"order-{number}") == "paid" for number in (2, 3, 4)))

    told = run_command(tmp_path, "discover --report --json", DATABASE_URL=database_url)
    words = run_command(tmp_path, "discover --report", DATABASE_URL=database_url)

    (day,) = json.loads(told.stdout)["days"]
    assert (day["gateway"], day["callback"], day["sweep"], day["missed"], day["missedShare"]) == (
        "qpay",
        3,
        1,
        1,
        0.25,
    )
    assert "25.0%" in words.stdout


def test_the_command_says_what_it_did(stack: Stack, tmp_path: Path, database_url: str, redis_url: str) -> None:
    sold(stack, "order-1")
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "QPAY_BASE_URL": stack.simulator.url,
        "QPAY_USERNAME": MERCHANT.username,
        "QPAY_PASSWORD": MERCHANT.password,
        "QPAY_INVOICE_CODE": MERCHANT.invoice_code,
    }

    done = run_command(tmp_path, "discover --json", **settings)
    refused = run_command(tmp_path, "discover --json", **{**settings, "QPAY_BASE_URL": "http://127.0.0.1:9"})

    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["gateways"]
    assert (told["gateway"], told["found"], told["checksRequested"], told["failed"]) == ("qpay", 1, 1, None)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["gateways"][0]["failed"]


def _facts(stack: Stack) -> dict[str, Any]:
    return httpx.get(f"{stack.simulator.url}/simulator/facts", trust_env=False).json()  # type: ignore[no-any-return]  # JSON
