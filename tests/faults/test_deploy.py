"""During a deploy two versions run side by side: the older one works, and starts, on what the newer one added to."""

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.faults.conftest import Processes
from tests.waiting import wait_until
from tests.worker.conftest import Stack

pytestmark = pytest.mark.slow

Watcher = psycopg.Connection[DictRow]

NEXT_VERSION = """
    ALTER TABLE gateway_invoice ADD COLUMN next_thing text;
    ALTER TABLE payment_event ADD COLUMN next_thing text NOT NULL DEFAULT 'unknown';
    CREATE TABLE next_table (id bigint PRIMARY KEY);
    INSERT INTO _yoyo_migration VALUES ('next', '9999_next', now());
"""


def test_fault_35_older_processes_run_and_start_on_a_schema_that_was_added_to(
    stack: Stack, processes: Processes, watcher: Watcher
) -> None:
    for command in ("scheduler", "worker"):
        processes.started(command)
    for invoice_id in ("order-1", "order-2"):
        stack.put(invoice_id)
        stack.pay_link(invoice_id)
    stack.pay("order-1")
    wait_until(lambda: stack.invoice("order-1")["balance"]["status"] == "paid")

    watcher.execute(NEXT_VERSION)
    for command in ("scheduler", "worker"):
        processes.started(command)
    stack.pay("order-2", repeat=20)
    wait_until(lambda: stack.invoice("order-2")["balance"]["status"] == "paid")

    assert stack.api.get("/readyz").status_code == 200
    assert len(stack.payments("order-1")) == len(stack.payments("order-2")) == 1
    assert stack.parts.ledger.balances_unlike_events() == []


def test_fault_35_older_processes_are_refused_where_something_was_taken_away(
    stack: Stack, processes: Processes, watcher: Watcher
) -> None:
    watcher.execute(NEXT_VERSION)
    watcher.execute("UPDATE installation SET compatible_since = '9999_next'")

    worker = processes.start("worker")

    assert worker.wait(timeout=60) == 1
    assert "migration 9999_next took away" in processes.told(worker)
    ready = stack.api.get("/readyz")
    assert (ready.status_code, list(ready.json()["reasons"])) == (503, ["schema"])
