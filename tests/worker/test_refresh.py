"""QRs are renewed before they expire: one look each, never two that can be paid, and nobody is forgotten."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from adapters.postgres.owed_qrs import OwedQrs
from adapters.postgres.schedule import ScheduleRuns
from domain.gateway import CancelOutcome, Capabilities, GatewayInvoiceRef, GatewayOutcomeUnknownError, PaymentGateway
from domain.payment_event import Source
from domain.refresh import End, ExpiringQr
from simulator.world import Switches
from tests.waiting import wait_until
from tests.worker.conftest import MERCHANT, WEBHOOK_SECRET, Stack
from tests.worker.test_cli import run as run_command
from worker.close import CloseQr
from worker.compose.issuing import compose_refresh
from worker.held import Held
from worker.jobs import REFRESH, works
from worker.refresh import Done, Outcome
from worker.refresh_all import FAILURES_MAX, RefreshAll, Refreshed, in_words, refresh_nightly
from worker.run_job import RunJob
from worker.settings import RefreshSettings

CHECK, CREATE, CANCEL = "POST /v2/payment/check", "POST /v2/invoice", "DELETE /v2/invoice/{invoice_id}"


@pytest.fixture
def told_to_stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def refresh_all(stack: Stack, told_to_stop: threading.Event) -> Iterator[RefreshAll]:
    groups = stack.groups
    with compose_refresh(
        database=groups.database,
        redis=groups.redis,
        checks=groups.checks,
        accounts=groups.accounts,
        web=groups.web,
        settings=RefreshSettings(refresh_per_s=1_000, refresh_threads=4),
        told_to_stop=told_to_stop,
    ) as refresh_all:
        yield refresh_all


def run(refresh_all: RefreshAll) -> tuple[Refreshed, list[Done]]:
    failed: list[Done] = []
    return refresh_all(show=failed.append, tell=lambda *_: None), failed


def expiring(
    stack: Stack, sql: Callable[..., list[Any]], invoice_id: str = "order-1", *, amount: int = 100_000, hours: int = 1
) -> UUID:
    """An invoice whose QR expires in so many hours, at the gateway as well."""
    stack.put(invoice_id, amount=amount)
    qr = UUID(stack.pay_link(invoice_id).json()["gatewayInvoiceId"])
    let_expire(stack, sql, qr, hours=hours)
    return qr


def let_expire(stack: Stack, sql: Callable[..., list[Any]], qr: UUID, *, hours: int) -> None:
    ((external_id, expires_at),) = sql(
        "UPDATE gateway_invoice SET issued_at = now() - interval '6 days', expires_at = now() + %s * interval '1 hour'"
        " WHERE id = %s RETURNING external_id, expires_at",
        hours,
        qr,
    )
    book = stack.simulator.world.book
    invoice = book.invoice(external_id)
    assert invoice is not None
    book.expire(invoice, now=expires_at)


def states(stack: Stack, invoice_id: str = "order-1") -> dict[int, str]:
    return {one["generation"]: one["state"] for one in stack.invoice(invoice_id)["gatewayInvoices"]}


def calls(stack: Stack) -> dict[str, int]:
    told = stack.calls()["endpoints"]
    return {name: told.get(name, 0) for name in (CHECK, CREATE, CANCEL)}


def payable(stack: Stack) -> list[str]:
    """The numbers of what a customer could pay at the gateway now."""
    facts = httpx.get(f"{stack.simulator.url}/simulator/facts", trust_env=False).json()["invoices"]
    return [invoice["number"] for invoice in facts if invoice["state"] == "open"]


def test_qr_that_expires_is_cancelled_looked_at_once_and_replaced(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    expiring(stack, sql, "order-2", hours=30)
    before = calls(stack)

    refreshed, failed = run(refresh_all)

    assert (refreshed.counts, refreshed.finished, failed) == ({Outcome.REFRESHED: 1}, True, [])
    assert (states(stack), states(stack, "order-2")) == ({1: "superseded", 2: "open"}, {1: "open"})
    assert payable(stack) == ["order-2", "order-1-g2"]
    assert {name: count - before[name] for name, count in calls(stack).items()} == {CHECK: 1, CREATE: 1, CANCEL: 1}
    assert sql("SELECT cause FROM gateway_check") == [("refresh",)]
    assert run(refresh_all)[0].counts == {}


def test_new_qr_is_the_one_that_a_customer_gets_and_its_callback_reaches_us(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]], working: Callable[[], int]
) -> None:
    expiring(stack, sql)
    run(refresh_all)
    before = calls(stack)

    link = stack.pay_link().json()

    assert calls(stack) == before
    assert link["amount"]["amount"] == "100000.00"
    stack.pay("order-1-g2")
    wait_until(lambda: working() >= 0 and stack.invoice()["balance"]["status"] == "paid")


def test_payment_that_nobody_announced_settles_the_qr_instead(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    stack.pay(callback="drop")

    refreshed, _ = run(refresh_all)

    assert refreshed.counts == {Outcome.SETTLED: 1}
    assert (states(stack), stack.invoice()["balance"]["status"]) == ({1: "settled"}, "paid")
    assert [payment["source"] for payment in stack.payments()] == ["refresh"]
    assert (calls(stack)[CREATE], sql("SELECT count(*) FROM owed_qr")) == (1, [(0,)])


def test_part_that_nobody_announced_is_taken_off_the_next_qr(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    stack.pay(amount=30_000, callback="drop")

    run(refresh_all)

    assert states(stack) == {1: "superseded", 2: "open"}
    assert stack.pay_link().json()["amount"]["amount"] == "70000.00"


@pytest.mark.parametrize("switches", [Switches(partly_paid_stays_open=True)])
def test_partly_paid_qr_that_the_gateway_keeps_is_kept_until_it_has_run_out(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    qr = expiring(stack, sql)
    stack.pay(amount=30_000, callback="drop")

    first, _ = run(refresh_all)
    second, _ = run(refresh_all)
    kept = states(stack)
    let_expire(stack, sql, qr, hours=-1)
    third, _ = run(refresh_all)

    assert (first.counts, second.counts, third.counts) == ({Outcome.KEPT: 1}, {}, {Outcome.REFRESHED: 1})
    assert (kept, states(stack)) == ({1: "open"}, {1: "settled", 2: "open"})
    assert stack.pay_link().json()["amount"]["amount"] == "70000.00"


@pytest.mark.parametrize("switches", [Switches(partly_paid_stays_open=True)])
def test_partly_paid_qr_that_collects_the_wrong_amount_is_told_and_no_other_is_made(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    stack.pay(amount=30_000, callback="drop")
    sql("UPDATE invoice_balance SET due_minor = 9000000")

    refreshed, (failed,) = run(refresh_all)
    again, _ = run(refresh_all)

    assert (refreshed.counts, failed.reason) == ({Outcome.FAILED: 1}, "refused: INVOICE_PAID")
    assert (refreshed.finished, again.counts) == (True, {})  # left to the closing of QRs, and to the next night
    assert (states(stack), calls(stack)[CREATE]) == ({1: "closing"}, 1)


def test_qr_of_a_void_invoice_is_cancelled_and_not_replaced(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    sql("UPDATE invoice_balance SET voided_at = now()")  # as when it was voided while the QR was being made

    refreshed, _ = run(refresh_all)

    assert (refreshed.counts, states(stack), payable(stack)) == ({Outcome.CANCELLED: 1}, {1: "cancelled"}, [])


def test_qr_that_was_closed_for_a_change_is_not_replaced_by_night(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    stack.put(amount=90_000)

    assert (run(refresh_all)[0].counts, states(stack)) == ({}, {1: "closing"})


def test_invoice_that_is_owing_for_too_long_gets_no_other_qr_and_keeps_its_last_one_to_the_end(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    qr = expiring(stack, sql)
    sql("UPDATE invoice SET created_at = now() - interval '31 days'")

    early, _ = run(refresh_all)
    still = payable(stack)
    let_expire(stack, sql, qr, hours=-1)
    late, _ = run(refresh_all)

    assert (early.counts, still) == ({}, ["order-1"])
    assert (late.counts, states(stack)) == ({Outcome.EXPIRED: 1}, {1: "expired"})
    assert stack.pay_link().status_code == 200  # whoever asks gets one all the same


def test_due_date_counts_and_not_the_age_where_there_is_one(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    sql("UPDATE invoice SET created_at = now() - interval '90 days', due_at = now() - interval '29 days'")

    assert run(refresh_all)[0].counts == {Outcome.REFRESHED: 1}


def test_qr_that_ran_out_before_the_night_came_is_replaced_the_same_way(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql, hours=-5)

    assert (run(refresh_all)[0].counts, states(stack)) == ({Outcome.REFRESHED: 1}, {1: "superseded", 2: "open"})


@pytest.mark.parametrize("so_far", ["begun", "closed", "creating"])
def test_what_a_killed_run_left_is_done_by_the_next(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]], so_far: str
) -> None:
    qr = expiring(stack, sql)
    _begin(stack, refresh_all)
    if so_far != "begun":
        _close(stack)(qr)
    if so_far == "creating":
        stack.parts.issue._gateway_invoices.next_step(  # noqa: SLF001 - as far as a killed process came
            "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=stack.parts.clock()
        )
        waiting, _ = run(refresh_all)
        assert (waiting.counts, waiting.finished) == ({Outcome.WAITING: 1}, False)
        sql("UPDATE gateway_invoice SET issue_deadline = now()")

    refreshed, _ = run(refresh_all)

    assert (refreshed.counts, refreshed.finished) == ({Outcome.REFRESHED: 1}, True)
    assert [state for state in states(stack).values() if state == "open"] == ["open"]
    assert len(payable(stack)) == 1
    assert sql("SELECT count(*) FROM owed_qr") == [(0,)]


def test_check_that_a_killed_run_had_begun_is_waited_for_and_made_again(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.close.LOOK_S", 0.0)
    qr = expiring(stack, sql)
    _begin(stack, refresh_all)
    stack.parts.check_requests.request(qr, source=Source.REFRESH)
    assert stack.parts.check_requests.claim(qr, lease_token=uuid4())
    sql("UPDATE gateway_invoice SET lease_until = now() + interval '1 second', next_check_at = now()")

    assert run(refresh_all)[0].counts == {Outcome.REFRESHED: 1}


def test_create_whose_answer_was_lost_is_replaced_after_its_deadline(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    with _failing(stack, "resetAfter", CREATE):
        lost, (failed,) = run(refresh_all)
    early, _ = run(refresh_all)
    sql("UPDATE gateway_invoice SET issue_deadline = now()")
    sql("UPDATE owed_qr SET next_try_at = now()")

    late, _ = run(refresh_all)

    assert (lost.finished, failed.reason) == (False, "no answer: the outcome is unknown")
    assert (early.counts, early.finished, late.counts) == ({}, False, {Outcome.REFRESHED: 1})
    assert states(stack) == {1: "superseded", 2: "failed", 3: "open"}


def test_customer_who_asks_meanwhile_gets_the_qr_that_was_owed(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    _begin(stack, refresh_all)

    assert stack.pay_link().status_code == 200

    assert (states(stack), sql("SELECT count(*) FROM owed_qr")) == ({1: "superseded", 2: "open"}, [(0,)])


@pytest.mark.slow
def test_run_stops_when_many_fail_in_a_row_so_that_customers_keep_their_qrs(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    orders = [f"order-{number}" for number in range(20)]
    for order in orders:
        expiring(stack, sql, order)
    stack.simulator.world.merchants["TEST_MERCHANT"] = replace(MERCHANT, invoice_code="ANOTHER_CODE")

    refreshed, failed = run(refresh_all)

    assert refreshed.stopped is not None
    assert FAILURES_MAX <= len(failed) < FAILURES_MAX + 4  # those that other threads had in hand
    assert len(payable(stack)) == len(orders) - len(failed)
    assert refreshed.reasons == {"qpay: refused: INVOICE_CODE_INVALID": len(failed)}
    assert "INVOICE_CODE_INVALID" in in_words(refreshed)


def test_gateway_where_all_fail_keeps_no_other_gateways_qrs_from_being_renewed(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    for number in range(FAILURES_MAX + 5):
        expiring(stack, sql, f"order-{number}")
    stack.put("elsewhere")
    stack.pay_link("elsewhere", gateway="socialpay")
    sql(
        "UPDATE gateway_invoice SET issued_at = now() - interval '6 days', expires_at = now() + interval '1 hour'"
        " WHERE gateway = 'socialpay'"
    )
    stack.simulator.world.merchants["TEST_MERCHANT"] = replace(MERCHANT, invoice_code="ANOTHER_CODE")

    refreshed, _ = run(refresh_all)

    assert states(stack, "elsewhere") == {1: "superseded", 2: "open"}
    assert refreshed.stopped is not None
    assert "in a row at qpay" in refreshed.stopped


@pytest.mark.slow
def test_all_pages_are_renewed_and_each_qr_once_however_many_run_at_once(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.owed_qrs.PAGE", 3)
    orders = [f"order-{number}" for number in range(10)]
    for order in orders:
        expiring(stack, sql, order)

    others = [threading.Thread(target=run, args=(refresh_all,)) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()

    assert all(states(stack, order) == {1: "superseded", 2: "open"} for order in orders)
    assert sorted(payable(stack)) == sorted(f"{order}-g2" for order in orders)
    assert calls(stack)[CREATE] == 2 * len(orders)


def test_plan_is_told_without_asking_anybody(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    expiring(stack, sql)
    before = stack.calls()["endpoints"]

    ((qr, plan),) = list(refresh_all.expiring())

    assert (qr.invoice_id, plan) == ("order-1", End(replaced=True))
    assert (stack.calls()["endpoints"], states(stack)) == (before, {1: "open"})


def test_run_that_is_told_to_stop_begins_nothing_more(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]], told_to_stop: threading.Event
) -> None:
    expiring(stack, sql)
    told_to_stop.set()

    refreshed, _ = run(refresh_all)

    assert (refreshed.counts, refreshed.finished, states(stack)) == ({}, False, {1: "open"})


@pytest.mark.slow
def test_night_that_is_not_finished_is_run_again_and_says_what_is_left(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    runs = ScheduleRuns(stack.parts.ledger._pool)  # noqa: SLF001 - the same database
    runs.enter(REFRESH, "2026-11-22", now=runs.now())
    expiring(stack, sql)
    worker = RunJob(runs=runs, works=_night(runs, refresh_all), held=Held())

    with _failing(stack, "resetAfter", CREATE):
        worker(1)
    first = runs.last(REFRESH)
    sql("UPDATE gateway_invoice SET issue_deadline = now()")
    sql("UPDATE owed_qr SET next_try_at = now()")
    sql("UPDATE schedule_run SET next_try_at = now()")
    worker(1)
    last = runs.last(REFRESH)

    assert first is not None
    assert last is not None
    assert first.outcome is None
    assert "1 owed still" in str(first.result)
    assert (last.outcome, last.result) == ("done", "1 refreshed, 0 settled instead, 0 cancelled, 0 failed")


def test_worker_that_must_stop_leaves_its_night_to_another_without_counting_it(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]], told_to_stop: threading.Event
) -> None:
    runs, held = ScheduleRuns(stack.parts.ledger._pool), Held()  # noqa: SLF001 - the same database
    runs.enter(REFRESH, "2026-11-22", now=runs.now())
    expiring(stack, sql)
    told_to_stop.set()
    held.told_to_stop.set()

    RunJob(runs=runs, works=_night(runs, refresh_all), held=held)(1)

    last = runs.last(REFRESH)
    assert last is not None
    assert (last.outcome, last.attempts) == (None, 0)


@pytest.fixture
def settings(stack: Stack, database_url: str) -> dict[str, str]:
    groups = stack.groups
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": groups.redis.redis_url,
        "PUBLIC_URL": groups.web.public_url,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "QPAY_BASE_URL": groups.qpay.qpay_base_url,
        "QPAY_USERNAME": MERCHANT.username,
        "QPAY_PASSWORD": MERCHANT.password,
        "QPAY_INVOICE_CODE": MERCHANT.invoice_code,
    }


def test_command_tells_what_it_would_do_then_does_it_and_ends_with_0(
    stack: Stack, sql: Callable[..., list[Any]], settings: dict[str, str], tmp_path: Path
) -> None:
    expiring(stack, sql)

    plan = run_command(tmp_path, "refresh --dry-run", **settings)
    planned = json.loads(run_command(tmp_path, "refresh --dry-run --json", **settings).stdout)
    done = run_command(tmp_path, "refresh", **settings)
    again = json.loads(run_command(tmp_path, "refresh --json", **settings).stdout)

    assert (plan.returncode, done.returncode) == (0, 0)
    assert "order-1 at qpay" in plan.stdout
    assert "1 to be replaced, 0 to be closed alone, 0 owed from before. Nothing was done" in plan.stdout
    assert [(one["invoice"], one["replaced"]) for one in planned["expiring"]] == [("order-1", True)]
    assert done.stdout == "✓ 1 refreshed, 0 settled instead, 0 cancelled, 0 failed\n"
    assert (again["refreshed"], again["failed"], again["owed"]) == (0, [], 0)


def test_command_names_each_that_failed_and_ends_with_1(
    stack: Stack, sql: Callable[..., list[Any]], settings: dict[str, str], tmp_path: Path
) -> None:
    expiring(stack, sql)
    stack.simulator.world.merchants["TEST_MERCHANT"] = replace(MERCHANT, invoice_code="ANOTHER_CODE")

    failed = run_command(tmp_path, "refresh", **settings)
    sql("UPDATE owed_qr SET next_try_at = now()")
    as_json = run_command(tmp_path, "refresh --json", **settings)

    assert (failed.returncode, as_json.returncode) == (1, 1)
    assert "✗ order-1 at qpay: refused: INVOICE_CODE_INVALID" in failed.stdout
    assert json.loads(as_json.stdout)["failed"] == [
        {"invoice": "order-1", "gateway": "qpay", "reason": "refused: INVOICE_CODE_INVALID"}
    ]


class Obstinate:
    """A gateway that cancels nothing, or that refuses to cancel what has run out."""

    def __init__(self, gateway: PaymentGateway, capabilities: Capabilities) -> None:
        self._gateway = gateway
        self.capabilities = capabilities

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def cancel(self, invoice: GatewayInvoiceRef, /) -> CancelOutcome:
        raise GatewayOutcomeUnknownError(f"nobody cancels {invoice.number} here")


def test_gateway_that_cannot_cancel_gets_the_next_qr_when_the_one_before_has_run_out(
    stack: Stack, refresh_all: RefreshAll, sql: Callable[..., list[Any]]
) -> None:
    qr = expiring(stack, sql)
    gateways = {"qpay": _obstinate(stack)}
    for part in (refresh_all, refresh_all._refresh, refresh_all._refresh._close):  # noqa: SLF001 - another gateway in its place
        part._gateways = gateways  # noqa: SLF001

    early, _ = run(refresh_all)
    let_expire(stack, sql, qr, hours=-1)
    late, _ = run(refresh_all)

    assert (early.counts, late.counts) == ({}, {Outcome.REFRESHED: 1})
    assert states(stack) == {1: "superseded", 2: "open"}
    assert calls(stack)[CHECK] == 1


def _obstinate(stack: Stack) -> Obstinate:
    gateway = stack.parts.gateways["qpay"]
    return Obstinate(gateway, replace(gateway.capabilities, cancels=False))


def _begin(stack: Stack, refresh_all: RefreshAll) -> None:
    """What a run writes down first."""

    def plan(_: ExpiringQr) -> End:
        return End(replaced=True)

    for qr, _ in list(refresh_all.expiring()):
        assert OwedQrs(stack.parts.ledger._pool).begin(qr, plan) == End(replaced=True)  # noqa: SLF001 - the same database


def _close(stack: Stack) -> CloseQr:
    return stack.parts.issue._close  # noqa: SLF001 - it has no other way in


def _night(runs: ScheduleRuns, refresh_all: RefreshAll) -> Any:
    return works(
        runs=runs,
        remove_history=lambda: pytest.fail("no house is kept here"),
        removals={"something": lambda: pytest.fail("no house is kept here")},
        refresh=lambda: refresh_nightly(refresh_all, for_s=timedelta(hours=1).total_seconds()),
        look_back=str,
        discover=lambda: pytest.fail("nothing is looked for here"),
        seal=None,
    )


@contextmanager
def _failing(stack: Stack, kind: str, endpoint: str) -> Iterator[None]:
    """Have the simulator do this to every call of an endpoint."""
    rules = f"{stack.simulator.url}/simulator/faults"
    for wanted in ([{"kind": kind, "endpoint": endpoint, "probability": 1}], []):
        assert httpx.put(rules, json={"rules": wanted}, trust_env=False).is_success
        if wanted:
            yield
