"""Fixtures that give every test real servers; see tests/servers.py for where they come from."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import redis

from adapters.embedded.errors import EmbeddedServerError
from adapters.postgres.schema import migrate
from tests.databases import create_database, drop_database, url_of
from tests.servers import ServerUrls, ThrowawayServers, valkey_database

URLS = pytest.StashKey[ServerUrls]()
WORKER = pytest.StashKey[str]()


# --- The servers: started once for a run, by the xdist controller or by the only process -----------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres", metavar="URL", help="a superuser's URL of a server to test on instead of the embedded PostgreSQL"
    )


def pytest_configure(config: pytest.Config) -> None:
    handed_over: dict[str, Any] | None = getattr(config, "workerinput", None)
    if handed_over is not None:
        config.stash[URLS] = ServerUrls(**handed_over["servers"])
        config.stash[WORKER] = handed_over["workerid"]
    elif not (config.option.collectonly or config.option.help):
        try:
            servers = ThrowawayServers.start()
        except EmbeddedServerError as error:
            raise pytest.UsageError(f"the test servers did not start: {error}") from error
        config.add_cleanup(servers.stop)
        other: str | None = config.getoption("--postgres")
        config.stash[URLS] = replace(servers.urls, postgres_admin=other) if other else servers.urls
        config.stash[WORKER] = "master"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the URLs to an xdist worker; xdist, which ships no types, may be absent."""
    node.workerinput["servers"] = node.config.stash[URLS].as_plain()


# --- Fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_admin_url(pytestconfig: pytest.Config) -> str:
    """The database `postgres` of the run's server, as the superuser."""
    return pytestconfig.stash[URLS].postgres_admin


@pytest.fixture
def redis_url(pytestconfig: pytest.Config) -> str:
    """An empty Valkey database that no other test uses at the same time."""
    url = valkey_database(pytestconfig.stash[URLS].valkey, pytestconfig.stash[WORKER])
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


# --- Databases -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def migrated_template(pytestconfig: pytest.Config, postgres_admin_url: str) -> str:
    """The name of a migrated database of this xdist worker, to copy for each test."""
    name = f"migrated_{pytestconfig.stash[WORKER]}"
    create_database(postgres_admin_url, name)
    migrate(url_of(postgres_admin_url, name), qpay_env="sandbox")
    return name


@pytest.fixture
def database_url(postgres_admin_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated, empty database of this test alone."""
    name = f"test_{uuid4().hex}"
    create_database(postgres_admin_url, name, template=migrated_template)
    yield url_of(postgres_admin_url, name)
    drop_database(postgres_admin_url, name)


@pytest.fixture
def blank_database_url(postgres_admin_url: str) -> Iterator[str]:
    """An empty database that was never migrated."""
    name = f"blank_{uuid4().hex}"
    create_database(postgres_admin_url, name)
    yield url_of(postgres_admin_url, name)
    drop_database(postgres_admin_url, name)
