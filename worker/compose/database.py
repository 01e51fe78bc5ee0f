"""What needs PostgreSQL alone: what people's commands read and write."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from adapters.postgres import connection as postgres
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.dossiers import Dossiers
from adapters.postgres.gateway_refunds import GatewayRefunds
from adapters.postgres.horizon import Horizons
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.manual_payments import ManualPayments
from adapters.postgres.parked import ParkedQrs
from adapters.postgres.schedule import ScheduleRuns
from adapters.postgres.schema import migrate, require_schema
from adapters.postgres.seals import Seals
from worker.clock import utc_now
from worker.correct import Correct
from worker.record import RecordPayment
from worker.replay import Replayed, replay
from worker.seal import Seal, seal_keys
from worker.settings import DatabaseSettings, SealSettings
from worker.starting import database_reported
from worker.verify_ledger import LedgerReport, verify_ledger


def migrate_database(settings: DatabaseSettings) -> list[str]:
    """Bring the database to this version and return the migrations that were applied.

    Raises:
        StartError: it cannot be reached, or is not for us.

    """
    with database_reported(settings):
        return migrate(settings.database_url, qpay_env=settings.qpay_env)


@contextmanager
def open_database(settings: DatabaseSettings) -> Iterator[postgres.Pool]:
    """Open the pool of a database that is at this version.

    Raises:
        StartError: it cannot be reached, or is at another version.

    """
    with database_reported(settings):
        require_schema(settings.database_url, qpay_env=settings.qpay_env)
    with postgres.open_pool(settings.database_url, size=settings.database_pool_size) as pool:
        yield pool


@contextmanager
def open_keys(settings: DatabaseSettings) -> Iterator[ApiKeys]:
    """Open the API's keys."""
    with open_database(settings) as pool:
        yield ApiKeys(pool)


@contextmanager
def open_ledger(settings: DatabaseSettings) -> Iterator[Ledger]:
    """Open the ledger."""
    with open_database(settings) as pool:
        yield Ledger(pool)


@contextmanager
def open_discrepancies(settings: DatabaseSettings) -> Iterator[Discrepancies]:
    """Open the questions for a person."""
    with open_database(settings) as pool:
        yield Discrepancies(pool)


@contextmanager
def open_dossiers(settings: DatabaseSettings) -> Iterator[Dossiers]:
    """Open what is recorded about an invoice, a QR or a payment, to be explained."""
    with open_database(settings) as pool:
        yield Dossiers(pool)


@contextmanager
def open_parked(settings: DatabaseSettings) -> Iterator[ParkedQrs]:
    """Open what is parked."""
    with open_database(settings) as pool:
        yield ParkedQrs(pool)


@contextmanager
def open_schedule(database: DatabaseSettings) -> Iterator[ScheduleRuns]:
    """Open what the schedule has had done."""
    with open_database(database) as pool:
        yield ScheduleRuns(pool)


@contextmanager
def open_seals(settings: DatabaseSettings) -> Iterator[Seals]:
    """Open the seals."""
    with open_database(settings) as pool:
        yield Seals(pool)


@contextmanager
def compose_seal(database: DatabaseSettings, *, seals: SealSettings) -> Iterator[Callable[[], int] | None]:
    """Put what seals together, on a connection of its own; None without a secret to seal with."""
    keys = seal_keys(seals)
    if not keys:
        yield None
        return
    with open_database(database.model_copy(update={"database_pool_size": 1})) as pool:
        yield Seal(seals=Seals(pool), horizons=Horizons(pool), key=keys[0], clock=utc_now)


@contextmanager
def compose_correct(database: DatabaseSettings) -> Iterator[Correct]:
    """Put a person's commands about money together that need no gateway."""
    with open_database(database) as pool:
        yield correct_on(pool)


def correct_on(pool: postgres.Pool, *, ledger: Ledger | None = None) -> Correct:
    """Put a person's commands about money together, on a pool that is open."""
    return Correct(
        ledger=ledger or Ledger(pool),
        invoices=Invoices(pool),
        keys=IdempotencyKeys(pool),
        gateway_refunds=GatewayRefunds(pool),
        clock=utc_now,
    )


@contextmanager
def compose_record(database: DatabaseSettings) -> Iterator[RecordPayment]:
    """Put together what records payments by hand."""
    with open_database(database) as pool:
        yield record_on(pool)


def record_on(pool: postgres.Pool, *, ledger: Ledger | None = None) -> RecordPayment:
    """Put together what records payments by hand, on a pool that is open."""
    return RecordPayment(
        ledger=ledger or Ledger(pool),
        invoices=Invoices(pool),
        keys=IdempotencyKeys(pool),
        manual_payments=ManualPayments(pool),
        clock=utc_now,
    )


@contextmanager
def compose_replay(settings: DatabaseSettings) -> Iterator[Callable[..., Replayed]]:
    """Put replay together: one connection holds its lock, another one works."""
    with open_database(settings.model_copy(update={"database_pool_size": 2})) as pool:
        yield partial(replay, pool, clock_s=time.monotonic)


@contextmanager
def compose_verify(settings: DatabaseSettings) -> Iterator[Callable[..., LedgerReport]]:
    """Put the verification of the ledger together."""
    with open_database(settings) as pool:
        yield partial(verify_ledger, pool)
