"""What reads and works off statements of banks, put together; apart, since other commands need no reader of files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.bank.reader import BANKS, FileFormat, Statement, open_statement
from adapters.postgres import connection as postgres
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.statement_files import StatementImports
from adapters.postgres.statement_lines import StatementLines
from worker.clock import Clock, utc_now
from worker.compose.database import open_database
from worker.import_statement import ImportStatement
from worker.match_lines import MatchLines
from worker.review_lines import ReviewLines
from worker.settings import DatabaseSettings

KNOWN_BANKS = BANKS


def open_file(
    path: Path, *, bank: str, file_format: str | None, account: str | None, mapping_path: Path | None
) -> Statement:
    """Open a file as a bank's statement.

    Raises:
        StatementFileError: it cannot be read so.

    """
    known = None if file_format is None else FileFormat(file_format)
    return open_statement(path, bank=bank, file_format=known, account=account, mapping_path=mapping_path)


@contextmanager
def compose_import(database: DatabaseSettings) -> Iterator[ImportStatement]:
    """Put the import together: two connections hold its locks, one the file's lines, one reads ahead, and one works."""
    with open_database(_of_size(database, 5)) as pool:
        yield import_on(pool)


@contextmanager
def compose_match(database: DatabaseSettings) -> Iterator[tuple[postgres.Pool, MatchLines]]:
    """Put together what looks at kept lines again, with the pool on which it holds the lock."""
    with open_database(_of_size(database, 4)) as pool:
        yield pool, match_on(pool)


@contextmanager
def compose_review(database: DatabaseSettings) -> Iterator[ReviewLines]:
    """Put a person's decisions about lines together."""
    with open_database(_of_size(database, 2)) as pool:
        yield review_on(pool)


def import_on(pool: postgres.Pool, *, clock: Clock = utc_now) -> ImportStatement:
    """Put the import together on a pool that is open, of at least five connections."""
    return ImportStatement(
        pool,
        imports=StatementImports(pool),
        lines=StatementLines(pool),
        discrepancies=Discrepancies(pool),
        match_lines=match_on(pool, clock=clock),
        clock=clock,
    )


def match_on(pool: postgres.Pool, *, clock: Clock = utc_now) -> MatchLines:
    """Put matching together on a pool that is open, of at least two connections."""
    return MatchLines(lines=StatementLines(pool), ledger=Ledger(pool), clock=clock)


def review_on(pool: postgres.Pool, *, clock: Clock = utc_now) -> ReviewLines:
    """Put a person's decisions together on a pool that is open, of at least two connections."""
    return ReviewLines(lines=StatementLines(pool), invoices=Invoices(pool), ledger=Ledger(pool), clock=clock)


def _of_size(database: DatabaseSettings, connections: int) -> DatabaseSettings:
    return database.model_copy(update={"database_pool_size": connections})
