"""What discovers, at the stack of the test, and its clock."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
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
def sql(database_url: str) -> Iterator[Callable[..., list[Any]]]:
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo") as connection:

        def execute(statement: str, *values: object) -> list[Any]:
            cursor = connection.execute(statement, values)  # a test's own text
            return cursor.fetchall() if cursor.description else []

        yield execute


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, discover: Discover) -> Callable[[timedelta], None]:
    """Let it be so much later for whoever discovers; the gateway and PostgreSQL keep their time."""

    def move(by: timedelta) -> None:
        for part in (discover._sweep, discover._follow):  # noqa: SLF001 - the clock that tests move
            monkeypatch.setattr(part, "_clock", lambda: datetime.now(UTC) + by)

    return move
