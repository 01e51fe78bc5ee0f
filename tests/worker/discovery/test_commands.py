"""What `tootsoo discover` tells people, and other programs."""

import json
from pathlib import Path

import pytest

from tests.waiting import wait_until
from tests.worker.conftest import MERCHANT, Stack
from tests.worker.discovery.sales import run, sold, status
from tests.worker.test_cli import run as run_command
from worker.discover import Discover


@pytest.mark.usefixtures("working")
def test_the_report_tells_what_callbacks_missed(
    stack: Stack, discover: Discover, tmp_path: Path, database_url: str
) -> None:
    sold(stack, "order-1")
    run(discover)
    wait_until(lambda: status(stack, "order-1") == "paid")
    for number in (2, 3, 4):
        stack.put(f"order-{number}")
        stack.pay_link(f"order-{number}")
        stack.pay(f"order-{number}")
    wait_until(lambda: all(status(stack, f"order-{number}") == "paid" for number in (2, 3, 4)))

    told = run_command(tmp_path, "discover --report --json", DATABASE_URL=database_url)
    words = run_command(tmp_path, "discover --report", DATABASE_URL=database_url)

    (day,) = json.loads(told.stdout)["days"]
    assert (day["gateway"], day["callback"], day["sweep"], day["missed"], day["missedShare"]) == (
        "qpay",
        3,
        1,
        1,
        0.25,
    )
    assert "25.0%" in words.stdout


def test_the_command_says_what_it_did(stack: Stack, tmp_path: Path, database_url: str, redis_url: str) -> None:
    sold(stack, "order-1")
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "QPAY_BASE_URL": stack.simulator.url,
        "QPAY_USERNAME": MERCHANT.username,
        "QPAY_PASSWORD": MERCHANT.password,
        "QPAY_INVOICE_CODE": MERCHANT.invoice_code,
    }

    done = run_command(tmp_path, "discover --json", **settings)
    refused = run_command(tmp_path, "discover --json", **{**settings, "QPAY_BASE_URL": "http://127.0.0.1:9"})

    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["gateways"]
    assert (told["gateway"], told["found"], told["checksRequested"], told["failed"]) == ("qpay", 1, 1, None)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["gateways"][0]["failed"]
