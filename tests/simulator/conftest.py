"""One simulator for all tests of a process, forgotten between them."""

from collections.abc import Iterator

import httpx
import pytest

from simulator.server import Running, serving
from simulator.world import Switches
from tests.simulator.receiver import Receiver, receiving
from tests.simulator.shop import OTHER, SHOP, Bearer, Clock, Shop


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def running(clock: Clock) -> Iterator[Running]:
    with serving(merchants=[SHOP, OTHER], clock=clock) as running:
        yield running


@pytest.fixture(scope="session")
def http(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        yield client


@pytest.fixture
def shop(running: Running, http: httpx.Client, clock: Clock) -> Shop:
    http.post("/simulator/reset").raise_for_status()
    running.world.switches = Switches()
    clock.now = Clock().now
    return Shop(http, running.world, clock)


@pytest.fixture
def bearer(shop: Shop) -> Bearer:
    return shop.bearer()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver
