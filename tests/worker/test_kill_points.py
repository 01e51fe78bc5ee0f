"""Kill points are for tests alone: production refuses them, and a mistyped one is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker.settings import environment_without_settings

SETTINGS = {
    "DATABASE_URL": "postgresql://u@127.0.0.1:1/shop",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "QPAY_BASE_URL": "http://127.0.0.1:1",
    "QPAY_USERNAME": "u",
    "QPAY_PASSWORD": "p",
    "QPAY_INVOICE_CODE": "c",
    "PUBLIC_URL": "http://127.0.0.1:1",
    "WEBHOOK_SECRET": "x" * 32,
}


def start_worker(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = environment_without_settings()
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", "worker"],
        cwd=folder,
        env={**inherited, **SETTINGS, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_kill_point_is_refused_in_production(tmp_path: Path) -> None:
    refused = start_worker(tmp_path, KILL_POINT="kill:after_answer", TOOTSOO_ENV="production")

    assert refused.returncode == 2
    assert refused.stderr == "tootsoo: KILL_POINT is refused with TOOTSOO_ENV=production: it kills the worker\n"


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["after_answer", "kill", "kill:", "kill:nowhere", "hurt:after_answer"])
def test_a_kill_point_that_does_not_exist_stops_the_start(tmp_path: Path, wrong: str) -> None:
    refused = start_worker(tmp_path, KILL_POINT=wrong)

    assert refused.returncode == 2
    assert refused.stderr.startswith("tootsoo: KILL_POINT is wrong: it should be kill or stop, a colon, and one of")
