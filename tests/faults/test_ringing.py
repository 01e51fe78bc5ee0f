"""What is due is in PostgreSQL: whatever happens to messages and workers, money flows again within 15 seconds."""

import signal

import psycopg
import pytest
import redis
from psycopg.rows import DictRow

from adapters.embedded.servers import EmbeddedServers
from tests.faults.conftest import Processes, kill_and_restart
from tests.proxy import held
from tests.waiting import wait_until
from tests.worker.conftest import Stack

pytestmark = pytest.mark.slow

Watcher = psycopg.Connection[DictRow]
RESUMES_WITHIN_S = 15.0
INVOICES = [f"order-{number}" for number in range(1, 13)]


def issue_all(stack: Stack) -> None:
    for invoice_id in INVOICES:
        stack.put(invoice_id)
        assert stack.pay_link(invoice_id).status_code == 200


def pay_all(stack: Stack) -> None:
    for invoice_id in INVOICES:
        stack.pay(invoice_id)
    wait_until(lambda: stack.simulator.world.callbacks.pending == 0)


def paid(watcher: Watcher) -> int:
    return len(watcher.execute("SELECT FROM invoice_balance WHERE status = 'paid'").fetchall())


def all_is_right(stack: Stack, watcher: Watcher) -> bool:
    events = watcher.execute("SELECT invoice_id FROM payment_event ORDER BY invoice_id").fetchall()
    leases = watcher.execute("SELECT FROM gateway_invoice WHERE lease_token IS NOT NULL").fetchall()
    return (
        [event["invoice_id"] for event in events] == sorted(INVOICES)
        and leases == []
        and stack.parts.ledger.balances_unlike_events() == []
    )


def test_fault_4_what_flushall_forgot_is_rung_again(stack: Stack, processes: Processes, watcher: Watcher) -> None:
    issue_all(stack)
    processes.started("scheduler")
    worker = processes.started("worker")
    worker.send_signal(signal.SIGSTOP)
    pay_all(stack)

    with redis.Redis.from_url(stack.groups.redis.redis_url) as client:
        client.flushall()
    worker.send_signal(signal.SIGCONT)
    wait_until(lambda: paid(watcher) == len(INVOICES), within_s=RESUMES_WITHIN_S)

    assert all_is_right(stack, watcher)


def test_fault_4_a_valkey_without_persistence_may_be_killed(
    stack: Stack, processes: Processes, watcher: Watcher, servers: EmbeddedServers
) -> None:
    issue_all(stack)
    processes.started("scheduler")
    processes.started("worker")
    assert servers.valkey.process is not None
    servers.valkey.process.kill()
    pay_all(stack)
    answers = {callback.body for callback in stack.simulator.world.book.callbacks()}

    kill_and_restart(servers.valkey)
    wait_until(lambda: paid(watcher) == len(INVOICES), within_s=RESUMES_WITHIN_S)

    assert answers == {"SUCCESS"}
    assert all_is_right(stack, watcher)


def test_fault_1_checks_of_a_worker_that_was_killed_are_made_by_another(
    stack: Stack, processes: Processes, watcher: Watcher
) -> None:
    issue_all(stack)
    processes.started("scheduler")
    worker = processes.started("worker")
    with held(stack.gateway):
        pay_all(stack)
        wait_until(lambda: _held(watcher) > 0)
        worker.kill()
        worker.wait()
    processes.started("worker")

    wait_until(lambda: paid(watcher) == len(INVOICES), within_s=RESUMES_WITHIN_S)

    assert all_is_right(stack, watcher)


def _held(watcher: Watcher) -> int:
    return len(watcher.execute("SELECT FROM gateway_invoice WHERE lease_token IS NOT NULL").fetchall())
