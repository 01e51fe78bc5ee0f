"""Connections to PostgreSQL: a pool whose sessions act as the application's role, in the application's schema."""

from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

APP_ROLE = "tootsoo_app"
"""What the processes act as: it may only INSERT and SELECT where a table is append-only."""

OWNER_ROLE = "tootsoo_owner"
"""What migrations act as: it owns the schema."""

SCHEMA = "tootsoo"

CONNECT_TIMEOUT_S = 5
CHECKOUT_TIMEOUT_S = 3.0
"""How long a request waits for a connection before it is told that the database is not there: callbacks time out."""

CHECKED_FOR_S = 0.1
"""How long a connection that answered is taken for alive."""

_PREPARE_SESSION = b"""
SET ROLE tootsoo_app;
SET search_path TO tootsoo;
SET timezone TO 'UTC';
SET statement_timeout TO '10s';
SET lock_timeout TO '5s';
SET idle_in_transaction_session_timeout TO '30s';
"""

Row = dict[str, Any]
Connection = psycopg.Connection[DictRow]
Pool = ConnectionPool[Connection]

_checked_at: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()


def open_pool(database_url: str, *, size: int) -> Pool:
    """Open a pool of up to `size` connections; connections that have died are noticed before they are handed out.

    Each statement is a transaction of its own; several that belong together stand in `connection.transaction()`.
    A checkout raises psycopg_pool.PoolTimeout after `CHECKOUT_TIMEOUT_S`. Close the pool, or use it as a context.
    """
    return ConnectionPool(
        database_url,
        connection_class=Connection,
        kwargs={
            "row_factory": dict_row,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "tootsoo",
            "autocommit": True,
        },
        min_size=1,
        max_size=size,
        timeout=CHECKOUT_TIMEOUT_S,
        reconnect_timeout=2.0,
        configure=_prepare_session,
        check=_check_unless_just_checked,
        open=True,
    )


def reach(database_url: str) -> None:
    """Connect, and no more.

    Raises:
        psycopg.OperationalError: the server cannot be reached, or does not take connections yet.

    """
    psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S).close()


def address_of(database_url: str) -> str:
    """Return `host:port/database` of a URL, without user or password, for people to read.

    Raises:
        ValueError: the URL cannot be understood; the message does not repeat it.

    """
    try:
        parts = conninfo_to_dict(database_url)
    except psycopg.ProgrammingError:
        raise ValueError("not a PostgreSQL URL") from None
    if "@" in str(parts.get("host", "")):
        raise ValueError("a part of the password stands where the host should")
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def _check_unless_just_checked(connection: Connection) -> None:
    """Ask an idle connection for a sign of life: a busy one would pay a round trip for each statement.

    No server is back within `CHECKED_FOR_S`, so what breaks meanwhile was as good as in flight.
    """
    now = monotonic()
    if now - _checked_at.get(connection, -CHECKED_FOR_S) >= CHECKED_FOR_S:
        ConnectionPool.check_connection(connection)
        _checked_at[connection] = now


def _prepare_session(connection: Connection) -> None:
    connection.execute(_PREPARE_SESSION)
