"""How a database is set up, and who we are there; and the last sign that the internet reaches us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import dict_row

from adapters.postgres.connection import CONNECT_TIMEOUT_S, OWNER_ROLE, SCHEMA, BoundedConnection, Pool
from adapters.postgres.queries import load_queries

_queries = load_queries("set_up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What answers at an address, whoever logs in."""

    version: int
    """As PostgreSQL numbers it: 150004 is 15.4."""
    version_text: str
    read_only: bool
    encoding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """What a session of the processes finds in a database that was migrated."""

    acts_as: str
    is_superuser: bool
    """Whether the login is, whatever it acts as."""
    may_become_owner: bool
    append_only: Sequence[str]
    """Tables that nobody changes, as their comments say."""
    changeable: Sequence[str]
    """Those of them that the role may change."""
    unguarded: Sequence[str]
    """Those without a trigger that always refuses."""
    durability: Mapping[str, str]
    """The settings by which a commit may be answered before it is on the disk."""


def read_server(database_url: str) -> Server:
    """Connect, and read what answers there.

    Raises:
        psycopg.ProgrammingError: the URL cannot be understood.
        psycopg.OperationalError: the server cannot be reached.

    """
    with BoundedConnection.connect(
        database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, row_factory=dict_row
    ) as connection:
        return Server(**_queries.server(connection))


class SetUps:
    """Reads it. Each method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def read(self) -> SetUp:
        """Read how the database is set up for the processes' sessions."""
        with self._pool.connection() as connection:
            row = _queries.set_up(connection, schema=SCHEMA, owner=OWNER_ROLE)
        durability = {name: row.pop(name) for name in ("fsync", "full_page_writes", "synchronous_commit")}
        return SetUp(durability=durability, **row)

    def last_callback_at(self) -> datetime | None:
        """Read when a callback last came that was taken in, by PostgreSQL's clock; None when none is remembered.

        It reads all QRs' callbacks: for people, not for every minute.
        """
        with self._pool.connection() as connection:
            last: datetime | None = _queries.last_callback_at(connection)
        return last
