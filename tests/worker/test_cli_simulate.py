"""`tootsoo simulate`: whom it knows, how it misbehaves, and who may reach it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.worker.test_cli import run
from worker.settings import environment_without_settings


@contextmanager
def simulating(folder: Path, *arguments: str, **env: str) -> Iterator[dict[str, Any]]:
    inherited = environment_without_settings()
    command = [sys.executable, "-m", "worker.cli", "simulate", "--port", "0", "--json", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env={**inherited, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            yield json.loads(program.stdout.readline())
        finally:
            program.terminate()
            program.communicate(timeout=10)


@pytest.mark.slow
def test_every_merchant_of_the_settings_may_log_in(tmp_path: Path) -> None:
    merchants = "SECOND:pass:word:SECOND_INVOICE, THIRD:three:THIRD_INVOICE"
    with simulating(tmp_path, SIMULATOR_MERCHANTS=merchants, QPAY_PASSWORD="first") as told:
        statuses = [
            httpx.post(f"{told['url']}/v2/auth/token", auth=auth, trust_env=False).status_code
            for auth in (("TEST_MERCHANT", "first"), ("SECOND", "pass:word"), ("THIRD", "three"), ("THIRD", "x"))
        ]

    assert statuses == [200, 200, 200, 401]


@pytest.mark.slow
def test_faults_and_switches_of_the_command_line_are_set_and_the_seed_is_told(tmp_path: Path) -> None:
    arguments = ("--seed", "7", "--fault", "busy@POST /v2/auth/token=1", "--switch", "callbackRetries=2")
    with simulating(tmp_path, *arguments) as told:
        login = httpx.post(f"{told['url']}/v2/auth/token", trust_env=False)
        switches = httpx.get(f"{told['url']}/simulator/switches", trust_env=False).json()

    assert told["seed"] == 7
    assert login.json()["error"] == "SYSTEM_BUSY"
    assert switches["callbackRetries"] == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--fault nonsense=0.5", "nonsense"),
        ("--fault busy=2", "--fault"),
        ("--fault busy", "--fault"),
        ("--fault movingRows@nowhere=0.1", "nowhere"),
        ("--switch nonsense=true", "nonsense"),
        ("--switch callbackRetries=many", "callbackRetries"),
        ("--switch callbackRetries", "--switch"),
        ("--host 0.0.0.0", "0.0.0.0"),
    ],
)
def test_what_makes_no_sense_is_named_and_exits_2(tmp_path: Path, arguments: str, named: str) -> None:
    done = run(tmp_path, f"simulate --port 0 {arguments}")

    assert done.returncode == 2
    assert named in done.stderr


def test_merchants_that_are_not_well_written_are_refused_without_their_passwords(tmp_path: Path) -> None:
    done = run(tmp_path, "simulate --port 0", SIMULATOR_MERCHANTS="SECOND:hidden-word")

    assert done.returncode == 2
    assert "SIMULATOR_MERCHANTS is wrong: it should be username:password:invoice_code" in done.stderr
    assert "hidden-word" not in done.stderr
