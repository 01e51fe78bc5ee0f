"""Worker and scheduler serve their metrics on a port of their own, if they are given one."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.waiting import BUSY_S, wait_until
from tests.worker.scrape import scrape
from tests.worker.test_cli import run
from worker.metrics.instruments import Metrics
from worker.metrics.server import CONNECTIONS_MAX, REQUEST_S, serving_metrics
from worker.settings import environment_without_settings

TOKEN = "a token of thirty-two characters or more"


@contextmanager
def process(folder: Path, command: str, **env: str) -> Iterator[str]:
    """Run a process and give the address that it serves metrics at."""
    inherited = environment_without_settings()
    log = folder / "process.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "worker.cli", *command.split()], cwd=folder, env=inherited | env, stderr=output
        ) as started,
    ):
        try:
            wait_until(lambda: ".started" in log.read_text() or started.poll() is not None, within_s=60)
            served = re.search(r"http://\S+/metrics", log.read_text())
            yield served.group(0) if served else ""
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait(timeout=30)
    assert started.returncode == 0, log.read_text()
    assert TOKEN not in log.read_text()


@pytest.fixture
def settings(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "http://127.0.0.1:9",
        "WEBHOOK_SECRET": "a webhook secret of thirty-two characters",
        "QPAY_BASE_URL": "http://127.0.0.1:9",
        "QPAY_USERNAME": "TEST_MERCHANT",
        "QPAY_PASSWORD": "simulator-password",
        "QPAY_INVOICE_CODE": "TEST_INVOICE",
        "SEAL_SECRET": "a seal secret of thirty-two characters",
        "SEAL_EVERY_S": "1",
    }


@pytest.mark.slow
def test_a_scheduler_counts_its_ticks(tmp_path: Path, settings: dict[str, str]) -> None:
    with process(tmp_path, "scheduler --metrics-port 0", **settings) as url:
        wait_until(lambda: scrape(url)("tootsoo_ticks_total", tick="ring", outcome="ok") >= 2)
        wait_until(lambda: scrape(url)("tootsoo_ticks_total", tick="plan", outcome="ok") >= 1)

        seen = scrape(url)
        assert seen("tootsoo_ticks_total", outcome="failed") == 0
        assert seen("tootsoo_tick_success_timestamp_seconds", tick="ring") > 1_700_000_000
        assert "tootsoo_check_requests" not in seen.names()


@pytest.mark.slow
def test_a_worker_serves_its_counters_to_those_with_the_token_and_nothing_else(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with process(tmp_path, "worker --metrics-port 0", METRICS_TOKEN=TOKEN, **settings) as url:
        denied = httpx.get(url, trust_env=False)
        elsewhere = httpx.get(url.replace("/metrics", "/"), trust_env=False)
        posted = httpx.post(url, trust_env=False)
        seen = scrape(url, TOKEN)

        assert (denied.status_code, elsewhere.status_code, posted.status_code) == (401, 404, 501)
        assert "tootsoo_" not in denied.text
        assert seen("tootsoo_checks_total") == 0
        assert seen("process_resident_memory_bytes") > 0
        assert "tootsoo_check_requests" not in seen.names()


@pytest.mark.slow
def test_without_a_port_nothing_is_served(tmp_path: Path, settings: dict[str, str]) -> None:
    with process(tmp_path, "worker", **settings) as url:
        assert url == ""


@pytest.mark.parametrize("command", ["worker", "scheduler"])
def test_others_may_not_read_without_a_token(tmp_path: Path, settings: dict[str, str], command: str) -> None:
    refused = run(tmp_path, f"{command} --metrics-port 0 --metrics-host 0.0.0.0", **settings)

    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "METRICS_TOKEN" in refused.stderr


@pytest.mark.slow
def test_a_taken_metrics_port_is_one_line(tmp_path: Path, settings: dict[str, str]) -> None:
    with process(tmp_path, "scheduler --metrics-port 0", **settings) as url:
        port = url.split(":")[2].split("/")[0]

        refused = run(tmp_path, f"worker --metrics-port {port}", **settings)

    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert f":{port}" in refused.stderr


@pytest.mark.slow
def test_clients_that_say_nothing_are_cut_off_and_keep_nobody_out_for_long() -> None:
    with (
        serving_metrics(Metrics().registry, host="127.0.0.1", port=0, tokens=()) as port,
        ExitStack() as silent,
    ):
        idle = [
            silent.enter_context(socket.create_connection(("127.0.0.1", port or 0), timeout=2 * REQUEST_S))
            for _ in range(CONNECTIONS_MAX)
        ]
        idle[0].sendall(b"GET /metrics HTTP/1.0\r\n")
        started_s = time.monotonic()

        ended = [connection.recv(1) for connection in idle]

        assert ended == [b""] * CONNECTIONS_MAX
        assert time.monotonic() - started_s < REQUEST_S + BUSY_S
        wait_until(lambda: "tootsoo_checks_total" in scrape(f"http://127.0.0.1:{port}/metrics").names())
