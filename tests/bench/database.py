"""The servers and databases of a benchmark, and what they begin with."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiosql
import psycopg
from psycopg.rows import class_row

from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.servers import EmbeddedServers, remove_home, start_servers
from adapters.postgres.schema import migrate
from tests.bench.rounds import say
from tests.databases import create_database, drop_database, url_of

SQL = Path(__file__).parent / "sql"


def load_bench_queries(subject: str) -> Any:
    return aiosql.from_path(SQL / f"{subject}.sql", "psycopg")


_setup = load_bench_queries("setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQr:
    """One seeded QR, whose check is claimed."""

    gateway_invoice_id: UUID
    invoice_id: str
    external_id: str
    lease_token: UUID
    amount_minor: int

    @property
    def payment_id(self) -> str:
        """The payment that the callback named."""
        return f"pay-{self.invoice_id}"


@contextmanager
def running_server(*, fsync: bool) -> Iterator[str]:
    """Run a PostgreSQL for the length of the block; yields its superuser's URL. Its data goes with it."""
    # Not under a 0700 folder: root's PostgreSQL runs as another user.
    home = Path(tempfile.mkdtemp(prefix="tootsoo-bench-"))
    home.chmod(0o711)
    try:
        with start_servers(home, fsync=fsync, appendonly=False) as servers:
            yield _admin_url(servers)
    finally:
        with suppress(EmbeddedServerError):
            remove_home(home)
        shutil.rmtree(home, ignore_errors=True)


def _admin_url(servers: EmbeddedServers) -> str:
    return urlsplit(servers.postgres_url)._replace(path="/postgres").geturl()


@contextmanager
def database(admin_url: str, name: str, *, migrated: bool = True) -> Iterator[str]:
    """Make a database for the length of the block; yields its URL."""
    create_database(admin_url, name)
    try:
        url = url_of(admin_url, name)
        if migrated:
            migrate(url, qpay_env="sandbox")
        yield url
    finally:
        drop_database(admin_url, name)


def seed_qrs(url: str, count: int, *, prefix: str = "order", due_minor: int = 150_000_000) -> list[OpenQr]:
    """Make `count` invoices, each with an open QR whose check is claimed."""
    wanted = {"prefix": prefix, "first": 1, "count": count}
    with superuser(url) as connection:
        _setup.seed_invoices(connection, **wanted, due_minor=due_minor)
        connection.execute("ANALYZE")
        with connection.cursor(row_factory=class_row(OpenQr)) as cursor:
            return cursor.execute(_setup.open_qrs.sql, wanted).fetchall()


def seed_unasked_qrs(url: str, count: int, *, prefix: str = "order", due_minor: int) -> list[OpenQr]:
    """Make `count` invoices, each with an open QR that nobody has asked about yet."""
    qrs = seed_qrs(url, count, prefix=prefix, due_minor=due_minor)
    with superuser(url) as connection:
        _setup.forget_requests(connection, prefix=prefix)
        connection.execute("VACUUM (ANALYZE)")
    return qrs


@contextmanager
def superuser(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True, options="-c search_path=tootsoo") as connection:
        yield connection


FILL_STEP = 250_000
"""Events filled by one statement: enough of them to show how far it is."""

EVENTS_PER_INVOICE = 10


def invoice_id_of(number: int, *, prefix: str = "order") -> str:
    """The id of a seeded invoice; sql/setup.sql makes the same."""
    digest = md5(f"{prefix}-{number}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:12]}-{prefix}-{number}"


def fill_events(url: str, count: int) -> None:
    """Make `count` events on a tenth as many paid invoices, quickly: no foreign key is checked."""
    invoices = count // EVENTS_PER_INVOICE
    with superuser(url) as connection:
        _setup.trust_rows(connection)
        _setup.fill_invoices(connection, count=invoices)
        for first in range(0, count, FILL_STEP):
            last = min(first + FILL_STEP, count) - 1
            _setup.fill_events(connection, first=first, last=last, count=count, invoices=invoices)
            say(".", end="")
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
    say("")


def database_bytes(url: str) -> int:
    """How much of the disk a database takes."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    size: int = row[0]
    return size
