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


def test_every_route_that_reads_a_body_says_that_it_may_be_too_large_or_too_slow(stack: Stack) -> None:
    paths = stack.api.get("/openapi.json").json()["paths"]

    silent = [
        (method, path)
        for path, routes in paths.items()
        for method, route in routes.items()
        if method in {"post", "put"} and not {"408", "413"} <= set(route["responses"])
    ]

    assert silent == []
