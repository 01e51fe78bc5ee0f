"""Serving the simulator: where it listens, and how it ends."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from simulator.server import run, serving
from tests.simulator.receiver import Answer, Receiver
from tests.simulator.shop import SHOP, Bearer, Clock, Shop, invoice_request

PROGRAM = """
from simulator.facts import Merchant
from simulator.server import run
run(merchants=[Merchant(username="TEST_MERCHANT", password="p", invoice_code="TEST_INVOICE")])
print("ended")
"""


@contextmanager
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            yield program, program.stdout.readline().strip()
        finally:
            program.kill()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_with_a_callback_under_way(ending: signal.Signals, receiver: Receiver) -> None:
    def hang(_: str) -> Answer:
        receiver.released.wait(timeout=60)
        return 200, {}, b""

    receiver.answer = hang
    with process() as (program, url), httpx.Client(base_url=url, trust_env=False) as http:
        token = http.post("/v2/auth/token", auth=("TEST_MERCHANT", "p")).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        http.post("/v2/invoice", json=invoice_request("a", callback_url=receiver.callback_url), headers=headers)
        assert http.post("/simulator/pay", json={"number": "a"}).status_code == 201
        while not receiver.seen:
            assert http.get("/simulator/callbacks").status_code == 200

        program.send_signal(ending)
        output, errors = program.communicate(timeout=60)

    assert program.returncode == 0
    assert errors == ""
    assert "ended" in output
    assert "given up" in output
    assert receiver.callback_url not in output


def test_a_signal_ends_it_cleanly_even_with_a_call_that_hangs() -> None:
    with process() as (program, url), httpx.Client(base_url=url, trust_env=False) as http:
        http.put("/simulator/faults", json={"rules": [{"kind": "hang", "probability": 1}]}).raise_for_status()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(http.post, "/v2/auth/token")
            while http.get("/simulator/calls").json()["logins"] == 0:
                pass
            program.send_signal(signal.SIGTERM)
            output, errors = program.communicate(timeout=10)

    assert program.returncode == 0
    assert errors == ""
    assert "ended" in output


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.mn", "::", ""])
def test_hosts_that_others_can_reach_are_refused(host: str) -> None:
    with pytest.raises(ValueError, match="public"):
        run(merchants=[SHOP], host=host, on_ready=end)


def test_such_hosts_are_served_where_that_is_allowed() -> None:
    urls: list[str] = []

    def note_and_end(url: str) -> None:
        urls.append(url)
        end(url)

    run(merchants=[SHOP], host="0.0.0.0", allow_public=True, on_ready=note_and_end)

    assert [url.rpartition(":")[0] for url in urls] == ["http://0.0.0.0"]


def test_signals_mean_what_they_meant_before_once_it_has_ended() -> None:
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]

    run(merchants=[SHOP], on_ready=end)

    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == before


def end(_: str) -> None:
    """End the simulator that has just become ready in this thread."""
    signal.raise_signal(signal.SIGTERM)


def test_an_address_that_is_taken_is_an_error_of_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run(merchants=[SHOP], port=taken.getsockname()[1])


def test_two_simulators_share_nothing() -> None:
    with (
        serving(merchants=[SHOP], clock=Clock()) as one,
        serving(merchants=[SHOP], clock=Clock()) as other,
        httpx.Client(base_url=one.url, trust_env=False) as http,
    ):
        Shop(http, one.world, Clock()).bearer().issue()

        assert one.url != other.url
        assert (len(one.world.book.invoices()), len(other.world.book.invoices())) == (1, 0)


def test_hundreds_of_calls_at_once_are_all_counted(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue()["invoice_id"]

    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(lambda _: bearer.check(invoice_id).status_code, range(400)))

    assert statuses == {200}
    assert shop.look("calls")["checks"] == {invoice_id: 400}
