"""The API is as its OpenAPI document says: schemathesis asks every route what nobody thought of."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.conftest import Stack

RUN = [str(Path(sys.executable).with_name("schemathesis")), "run", "--no-color"]


@pytest.mark.slow
def test_schemathesis_finds_nothing_that_is_not_as_described(stack: Stack, tmp_path: Path) -> None:
    stack.put("rent-2026-11")
    seed = random.randrange(2**32)

    told = subprocess.run(
        [
            *RUN,
            *("--header", f"Authorization: {stack.api.headers['Authorization']}"),
            *("--seed", str(seed), "--max-examples", "60", "--request-timeout", "20", "--continue-on-failure"),
            f"{stack.api.base_url}/openapi.json",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert told.returncode == 0, f"seed {seed}\n{told.stdout}\n{told.stderr}"
