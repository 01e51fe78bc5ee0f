"""Processes wait for their servers, find them again by themselves, and stop in order: requests first, then work."""

import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import psycopg
import pytest
from psycopg.rows import DictRow

from adapters.embedded.servers import EmbeddedServers
from tests.faults.conftest import Processes
from tests.proxy import held
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from worker.local import free_port

pytestmark = pytest.mark.slow

Watcher = psycopg.Connection[DictRow]

STOPS_WITHIN_S = 20.0


@pytest.mark.parametrize(("server", "command"), [("postgres", "scheduler"), ("redis", "worker")])
def test_a_start_waits_for_a_server_and_says_for_which(
    stack: Stack, processes: Processes, server: str, command: str
) -> None:
    network = {"postgres": stack.postgres, "redis": stack.redis}[server]
    network.cut()
    process = processes.start(command)
    processes.await_told(process, {"postgres": "(DATABASE_URL)", "redis": "(REDIS_URL)"}[server])
    assert "start.waits" in processes.told(process)

    network.mend()

    processes.await_told(process, f"{command}.started")


def test_a_start_gives_up_after_a_while_with_the_reason(stack: Stack, processes: Processes) -> None:
    stack.redis.cut()

    process = processes.start("scheduler", START_WITHIN_S="1")

    assert process.wait(timeout=60) == 1
    assert '"gives_up_in_s": 1' in processes.told(process)
    assert processes.told(process).splitlines()[-1].startswith("tootsoo: Redis at 127.0.0.1:")


def test_fault_6_a_database_that_was_restarted_is_found_again(
    stack: Stack, processes: Processes, servers: EmbeddedServers
) -> None:
    processes.started("scheduler")
    processes.started("worker")
    stack.put()
    stack.pay_link()
    server = servers.postgres
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)
    server.process.wait()

    server.process = server.spawn(server.command(server.port))
    server.wait_until_ready()
    wait_until(lambda: stack.api.get("/readyz").status_code == 200)
    stack.pay()

    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")


def test_web_takes_no_more_requests_when_told_to_stop_and_finishes_those_at_hand(
    stack: Stack, processes: Processes
) -> None:
    port = free_port()
    web = processes.started("web", "--port", str(port))
    stack.put()
    headers = dict(stack.api.headers)
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False) as api,
        ThreadPoolExecutor() as threads,
    ):
        with held(stack.gateway):
            answer = threads.submit(api.post, "/v2/invoices/order-1/pay-link", json={"gateway": "qpay"})
            wait_until(lambda: stack.invoice()["gatewayInvoices"] != [])
            web.terminate()
            wait_until(lambda: not listens(port))
        answered = answer.result(timeout=STOPS_WITHIN_S)

    assert answered.status_code == 200
    assert web.wait(timeout=STOPS_WITHIN_S) == 0


def test_a_worker_that_is_told_to_stop_leaves_no_lease_behind(
    stack: Stack, processes: Processes, watcher: Watcher
) -> None:
    worker = processes.started("worker")
    stack.put()
    stack.pay_link()
    with held(stack.gateway):
        stack.pay()
        wait_until(lambda: leases(watcher) == 1)
        worker.terminate()
        stops(worker, processes)

    assert leases(watcher) == 0
    assert "worker.stopped" in processes.told(worker)


def test_a_scheduler_that_is_told_to_stop_ends_its_tick(processes: Processes) -> None:
    scheduler = processes.started("scheduler")

    scheduler.terminate()

    stops(scheduler, processes)


def leases(watcher: Watcher) -> int:
    return len(watcher.execute("SELECT FROM gateway_invoice WHERE lease_token IS NOT NULL").fetchall())


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stops(process: subprocess.Popen[bytes], processes: Processes) -> None:
    try:
        process.wait(timeout=STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it does not stop: {processes.told(process)}")
    assert process.returncode == 0, processes.told(process)
