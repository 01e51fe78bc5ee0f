"""Haste shortens what it lists, in the process that asked for it, and says what it cannot."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TELL = """
import json, sys
from tests.faults.hasty import hasten
hasten(sys.argv[1])
from adapters.postgres import check_requests
from adapters.qpay.config import Limits
from worker.compose import core
limits = Limits()
print(json.dumps([check_requests.LEASE_S, check_requests.RECHECK_AFTER_S, core.ISSUE_DEADLINE_S, limits.check_timeout_s,
    limits.breaker_open_s, limits.login_spacing_s, limits.breaker_failures, limits.redis_timeout_s]))
"""


def told(haste: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", TELL, haste], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_waits_are_divided_and_counts_are_not() -> None:
    assert json.loads(told("10 login_spacing_s=0.5 LEASE_S=4").stdout) == [4, [0.5, 3, 30], 6, 0.8, 0.5, 0.5, 5, 1]


def test_haste_for_what_there_is_not_is_refused() -> None:
    refused = told("10 patience_s=1")

    assert refused.returncode == 1
    assert "HASTE names what there is not: patience_s" in refused.stderr
