"""What discovers, at the stack of the test, and its clock."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from domain.following import Unmatched
from tests.worker.conftest import Stack
from worker.compose.discovering import compose_discover
from worker.discover import Discover
from worker.settings import DiscoverySettings


@pytest.fixture
def unmatched() -> Unmatched:
    return Unmatched.SUSPENSE


@pytest.fixture
def told_to_stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def discover(stack: Stack, unmatched: Unmatched, told_to_stop: threading.Event) -> Iterator[Discover]:
    groups = stack.groups
    with compose_discover(
        database=groups.database,
        redis=groups.redis,
        checks=groups.checks,
        accounts=groups.accounts,
        settings=DiscoverySettings(unmatched=unmatched),
        told_to_stop=told_to_stop,
    ) as discover:
        yield discover


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, discover: Discover) -> Callable[[timedelta], None]:
    """Let it be so much later for whoever discovers; the gateway and PostgreSQL keep their time."""

    def move(by: timedelta) -> None:
        for part in (discover._sweep, discover._follow):  # noqa: SLF001 - the clock that tests move
            monkeypatch.setattr(part, "_clock", lambda: datetime.now(UTC) + by)

    return move
