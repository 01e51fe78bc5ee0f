"""Connections whose server, or the network to it, has gone silent: no wait is without an end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from adapters.postgres import connection as connection_module
from adapters.postgres.connection import (
    CHECKED_FOR_S,
    CHECKOUT_TIMEOUT_S,
    SIGN_OF_LIFE_TIMEOUT_S,
    Pool,
    ServerSilentError,
    answering_within,
    open_pool,
)
from tests.proxy import Proxy, held, proxied
from tests.waiting import BUSY_S


@pytest.fixture
def network(database_url: str) -> Iterator[Proxy]:
    parts = urlsplit(database_url)
    with proxied(parts.hostname or "127.0.0.1", parts.port or 5432) as network:
        yield network


@pytest.fixture
def distant(network: Proxy, database_url: str) -> Iterator[Pool]:
    """A pool of one connection through the network."""
    parts = urlsplit(database_url)
    url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{network.port}").geturl()
    with open_pool(url, size=1) as pool:
        yield pool


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    started_s = time.monotonic()
    yield
    assert time.monotonic() - started_s < limit_s + BUSY_S


def test_a_statement_that_nobody_answers_ends_its_connection(distant: Pool, network: Proxy) -> None:
    with distant.connection() as connection, answering_within(connection, 0.3), held(network):
        with within(0.3), pytest.raises(ServerSilentError, match=r"did not answer within 0\.3 s"):
            connection.execute("SELECT 1")

        assert connection.closed


def test_a_transaction_that_nobody_answers_ends_without_a_rollback(distant: Pool, network: Proxy) -> None:
    with (
        distant.connection() as connection,
        answering_within(connection, 0.3),
        within(2 * 0.3),
        pytest.raises(ServerSilentError),
        connection.transaction(),
        held(network),
    ):
        connection.execute("SELECT 1")


def test_a_pooled_connection_that_has_gone_silent_is_found_out_before_it_is_handed_out(
    distant: Pool, network: Proxy
) -> None:
    with distant.connection() as connection:
        connection.execute("SELECT 1")
    time.sleep(2 * CHECKED_FOR_S)  # after which it is asked again

    with held(network), within(CHECKOUT_TIMEOUT_S + SIGN_OF_LIFE_TIMEOUT_S), pytest.raises(PoolTimeout):
        distant.getconn()

    with distant.connection(timeout=10) as another:
        assert another.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_a_connection_in_use_is_not_asked_for_a_sign_of_life(
    distant: Pool, network: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "CHECKED_FOR_S", 600.0)
    with distant.connection() as connection:
        connection.answered_at_s = -inf
        connection.execute("SELECT 1")

    with held(network):
        distant.putconn(distant.getconn())


def test_errors_of_the_server_stay_what_they_are(distant: Pool) -> None:
    with distant.connection() as connection:
        connection.execute("SET statement_timeout TO '100ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(5)")

        assert not connection.closed
