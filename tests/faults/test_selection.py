"""The selection of faults that fits into two minutes; `make faults` plays them all."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.scenarios import SCENARIOS

QUICK = [scenario.number for scenario in SCENARIOS.values() if scenario.quick]
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("number", QUICK)
def test_fault_is_survived(number: int) -> None:
    seed = str(secrets.randbelow(10**6))

    played = subprocess.run(
        [sys.executable, "-P", "-m", "tests.faults", "--only", str(number), "--seed", seed],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert played.returncode == 0, f"make faults ONLY={number} SEED={seed}\n{played.stdout}{played.stderr}"


@pytest.mark.parametrize("wrong", [["--seed", "x"], ["--seed", "3..1"], ["--only", "999"], ["--jobs", "0"]])
def test_wrong_usage_exits_2(wrong: list[str]) -> None:
    refused = subprocess.run(
        [sys.executable, "-P", "-m", "tests.faults", *wrong],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
