"""Connections to PostgreSQL: a pool whose sessions act as the application's role, in the application's schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg.rows import Row as AnyRow
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool
from pydantic_core import from_json

APP_ROLE = "tootsoo_app"
"""What the processes act as: it may only INSERT and SELECT where a table is append-only."""

OWNER_ROLE = "tootsoo_owner"
"""What migrations act as: it owns the schema."""

SCHEMA = "tootsoo"

CONNECT_TIMEOUT_S = 5
CHECKOUT_TIMEOUT_S = 3.0
"""How long a request waits for a connection before it is told that the database is not there: callbacks time out."""

ANSWER_TIMEOUT_S = 12.0
"""How long an answer is waited for: a statement may take 10 s, and says so itself when it takes longer. Only a server
or a network that has gone silent takes more, and that no setting of the server can end."""

SIGN_OF_LIFE_TIMEOUT_S = 2.0
"""How long an idle connection may take to show that it is alive, before it is taken for dead."""

CHECKED_FOR_S = 0.1
"""How long a connection that answered is taken for alive."""

_LOOK_EVERY_S = 0.1
"""How often a wait looks up, so that Ctrl-C is noticed; psycopg's own."""

_PREPARE_SESSION = b"""
SET ROLE tootsoo_app;
SET search_path TO tootsoo;
SET timezone TO 'UTC';
SET statement_timeout TO '10s';
SET lock_timeout TO '5s';
SET idle_in_transaction_session_timeout TO '30s';
"""

Row = dict[str, Any]
_T = TypeVar("_T")


class ServerSilentError(psycopg.OperationalError):
    """PostgreSQL did not answer in time. The connection is closed; nobody knows whether it did what was asked."""


class BoundedConnection(psycopg.Connection[AnyRow]):
    """A connection on which no wait for the server is without an end: see `answering_within`."""

    answer_timeout_s: float = ANSWER_TIMEOUT_S
    answered_at_s: float = -inf
    """When the server last answered, on the clock of `time.monotonic`."""

    def wait(self, gen: PQGen[_T], interval: float = _LOOK_EVERY_S, timeout: float | None = None) -> _T:
        """Wait as psycopg does, but not for ever: a network that swallows everything ends no wait by itself.

        Raises:
            ServerSilentError: no answer came; the connection is closed.

        """
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        until = monotonic() + self.answer_timeout_s
        try:
            answer = super().wait(gen, interval, self.answer_timeout_s)
        except psycopg.OperationalError as error:
            if monotonic() < until or self.closed:
                raise
            self.pgconn.finish()  # the answer to this could be taken for the answer to the next
            raise ServerSilentError(f"PostgreSQL did not answer within {self.answer_timeout_s:g} s") from error
        self.answered_at_s = monotonic()
        return answer


Connection = BoundedConnection[DictRow]
Pool = ConnectionPool[Connection]


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
        check=_check_unless_in_use,
        open=True,
    )


def reach(database_url: str) -> None:
    """Connect, and no more.

    Raises:
        psycopg.OperationalError: the server cannot be reached, or does not take connections yet.

    """
    psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_S).close()


@contextmanager
def answering_within(connection: Connection, timeout_s: float) -> Iterator[None]:
    """Give the server so long for each answer while the context lasts: raise it together with `statement_timeout`."""
    before, connection.answer_timeout_s = connection.answer_timeout_s, timeout_s
    try:
        yield
    finally:
        connection.answer_timeout_s = before


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


def _check_unless_in_use(connection: Connection) -> None:
    """Ask an idle connection for a sign of life: a busy one would pay a round trip for each statement.

    No server is back within `CHECKED_FOR_S`, so what breaks meanwhile was as good as in flight.
    """
    if monotonic() - connection.answered_at_s >= CHECKED_FOR_S:
        with answering_within(connection, SIGN_OF_LIFE_TIMEOUT_S):
            ConnectionPool.check_connection(connection)


def _prepare_session(connection: Connection) -> None:
    # As exact as json.loads, in a third of the time. It reads 200 levels; nothing is stored with more than 50.
    set_json_loads(from_json, connection)
    connection.execute(_PREPARE_SESSION)
