"""Why a process cannot start: what is wrong with its servers, in one line, without a password."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from adapters.postgres.connection import address_of
from adapters.postgres.schema import SchemaError
from worker.settings import DatabaseSettings, SettingsError

DATABASE_URL_FORM = (
    "it should be postgresql://user:password@host:5432/database, with @ : / % in a password written as %40 %3A %2F %25"
)


class StartError(Exception):
    """The process cannot start. The message is one line that says what to do."""


@contextmanager
def database_reported(settings: DatabaseSettings) -> Iterator[None]:
    """Say in one line what is wrong with the database while it is opened or migrated.

    Raises:
        SettingsError: DATABASE_URL cannot be understood.
        StartError: it cannot be reached, or is not for us.

    """
    try:
        address = address_of(settings.database_url)
    except ValueError:
        raise SettingsError(f"DATABASE_URL is wrong: {DATABASE_URL_FORM}") from None
    try:
        yield
    except SchemaError as error:
        raise StartError(f"PostgreSQL at {address}: {error}") from None
    except psycopg.ProgrammingError:
        raise SettingsError(f"DATABASE_URL is wrong: {DATABASE_URL_FORM}") from None
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0].removeprefix("connection failed: ")
        raise StartError(f"PostgreSQL at {address} (DATABASE_URL) cannot be reached: {reason}") from None
