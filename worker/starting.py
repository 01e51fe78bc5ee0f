"""Why a process cannot start yet, or at all: what is wrong with its servers, in one line, without a password."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog

from adapters.postgres.connection import address_of
from adapters.postgres.schema import SchemaError
from worker.settings import DatabaseSettings, SettingsError

DATABASE_URL_FORM = (
    "it should be postgresql://user:password@host:5432/database, with @ : / % in a password written as %40 %3A %2F %25"
)


WAIT_LOOK_EVERY_S = 0.5
WAIT_TELL_EVERY_S = 5.0

log = structlog.get_logger()


class StartError(Exception):
    """The process cannot start. The message is one line that says what to do."""


class LocalError(Exception):
    """The local stack cannot run. The message is one line that says what to do."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


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


def await_up(probe: Callable[[], None], *, until: float) -> None:
    """Wait for a server until `until`, by the monotonic clock, and tell again and again what is waited for.

    Raises:
        StartError: what the probe said last.

    """
    told = float("-inf")
    while True:
        try:
            probe()
        except StartError as error:
            now = time.monotonic()
            if now >= until:
                raise
            if now >= told + WAIT_TELL_EVERY_S:
                log.warning("start.waits", reason=str(error), gives_up_in_s=round(until - now))
                told = now
            time.sleep(min(WAIT_LOOK_EVERY_S, max(0.0, until - now)))
        else:
            return
