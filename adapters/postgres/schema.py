"""The schema: migrated under a lock, stamped with its environment, and checked before a process starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from adapters.postgres.connection import CONNECT_TIMEOUT_S, OWNER_ROLE, SCHEMA, BoundedConnection, Connection
from adapters.postgres.queries import load_queries

_queries = load_queries("schema")

_MIGRATION_LOCK = 0x746F6F74736F6F
"""Any number that nobody else locks: "tootsoo" in ASCII."""


MIGRATION_MAX_S = 86_400.0
"""How long one statement of a migration may take: large tables are rewritten in hours."""


class SchemaError(Exception):
    """The database is not one that this version can work on. The message says what to do."""


def migrate(database_url: str, *, qpay_env: str) -> list[str]:
    """Bring the schema up to this version, make the two roles, and stamp the database; return what was applied.

    Safe to run again, from several processes at once, and after a kill: a session lock lets one run at a time, and each
    migration is applied and marked in one transaction. yoyo's own lock row, which a kill may have left behind, is
    broken under that lock.

    Raises:
        SchemaError: stamped with another environment, not in UTF8, or the login may not make roles.
        psycopg.OperationalError: the server cannot be reached.

    """
    with _connect(database_url) as connection:
        encoding = _queries.encoding(connection)
        if encoding != "UTF8":
            raise SchemaError(f"the database keeps text in {encoding}: make one with ENCODING 'UTF8'")
        _queries.lock_schema(connection, lock=_MIGRATION_LOCK)
        try:
            _queries.make_roles(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            raise SchemaError(
                f"this login may not make the roles tootsoo_owner and tootsoo_app ({error.diag.message_primary}). "
                "As a superuser: CREATE ROLE tootsoo_owner; CREATE ROLE tootsoo_app; "
                "GRANT tootsoo_owner, tootsoo_app TO <login>; GRANT CREATE ON DATABASE <database> TO <login>"
            ) from None
        applied = _apply(database_url)
        connection.execute("SET ROLE tootsoo_owner")
        _queries.grant_versions(connection)
        _queries.describe_versions(connection)
        _queries.stamp(connection, qpay_env=qpay_env)
        _require_stamp(connection, qpay_env)
    return applied


def require_schema(database_url: str, *, qpay_env: str) -> None:
    """Check that the database is one that this version can work on, and of this environment.

    One that later versions have migrated will do as long as they only added: during a deploy processes of both
    versions run, and those of the older one may be started again. `installation.compatible_since` tells.

    Raises:
        SchemaError: it is not; the message names what to run.
        psycopg.OperationalError: the server cannot be reached.

    """
    with _connect_briefly(database_url) as connection:
        require_schema_of(connection, qpay_env=qpay_env)


def read_stamp(database_url: str) -> str | None:
    """Return whose money is in a database, if it is one that this version can work on.

    Raises:
        SchemaError: it is not; the message names what to run.
        psycopg.OperationalError: the server cannot be reached.

    """
    with _connect_briefly(database_url) as connection:
        _require_migrations(connection)
        return _stamp(connection)


def require_schema_of(connection: Connection, *, qpay_env: str) -> None:
    """Check the same on a connection that is open already.

    Raises:
        SchemaError, psycopg.OperationalError: as `require_schema`.

    """
    _require_migrations(connection)
    _require_stamp(connection, qpay_env)


def _require_migrations(connection: Connection) -> None:
    wanted = {migration.id for migration in _migrations()}
    if not _queries.has_schema(connection):
        raise SchemaError("the database has no Tootsoo schema. Run: tootsoo migrate")
    applied = {row["migration_id"] for row in _queries.applied_migrations(connection)}
    if wanted - applied:
        raise SchemaError(f"the database lacks migration {min(wanted - applied)}. Run: tootsoo migrate")
    since = _queries.compatible_since(connection)
    if since is not None and since not in wanted:
        raise SchemaError(
            f"the database is ahead of this version: migration {since} took away what this version needs. "
            "Install the version of Tootsoo that migrated it"
        )


def _stamp(connection: Connection) -> str | None:
    stamped: str | None = _queries.read_stamp(connection)
    return stamped


def _require_stamp(connection: Connection, qpay_env: str) -> None:
    stamped = _stamp(connection)
    if stamped != qpay_env:
        raise SchemaError(f"the database belongs to QPAY_ENV={stamped}, this process to QPAY_ENV={qpay_env}")


def _apply(database_url: str) -> list[str]:
    migrations = _migrations()
    with _yoyo_backend(database_url) as backend:
        backend.break_lock()
        missing = backend.to_apply(migrations)
        names = [migration.id for migration in missing]
        backend.ensure_internal_schema_updated()
        for migration in missing:
            # Not `backend.apply_migrations`: that commits a migration before it marks it, and a kill between the two
            # would have it applied again.
            with backend.transaction():
                migration.process_steps(backend, "apply")
                backend.mark_one(migration)
    return names


def _migrations() -> yoyo.migrations.MigrationList:
    spec = find_spec("migrations")
    if spec is None or spec.submodule_search_locations is None:
        raise SchemaError("the folder of migrations is missing from this installation")
    # A namespace package lists a folder once for each way in which it is on the path.
    folders = {str(Path(folder).resolve()) for folder in spec.submodule_search_locations}
    return yoyo.read_migrations(*sorted(folders))


def _connect_briefly(database_url: str) -> Connection:
    return BoundedConnection.connect(
        database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, row_factory=dict_row
    )


@contextmanager
def _connect(database_url: str) -> Iterator[Connection]:
    """Connect to migrate: a statement may take as long as it takes."""
    with BoundedConnection.connect(
        database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, row_factory=dict_row
    ) as connection:
        connection.answer_timeout_s = MIGRATION_MAX_S
        yield connection


@contextmanager
def _yoyo_backend(database_url: str) -> Iterator[yoyo.backends.DatabaseBackend]:
    """Connect yoyo as the owner: it takes its own form of URL, and everything else as its query."""
    parts = conninfo_to_dict(database_url)
    user = quote(str(parts.pop("user", "")), safe="")
    password = quote(str(parts.pop("password", "")), safe="")
    host, port = quote(str(parts.pop("host", "")), safe=""), parts.pop("port", "")
    name = quote(str(parts.pop("dbname", "")), safe="")
    parts |= {"schema": SCHEMA, "options": f"-c role={OWNER_ROLE}", "connect_timeout": CONNECT_TIMEOUT_S}
    query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in parts.items())
    address = f"{user}:{password}@{host}" + (f":{port}" if port else "")
    backend = yoyo.get_backend(f"postgresql+psycopg://{address}/{name}?{query}")
    try:
        yield backend
    finally:
        backend.connection.close()
