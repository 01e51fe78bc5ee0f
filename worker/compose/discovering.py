"""What finds the payments that nobody announced."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.postgres.discoveries import Discoveries
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.ties import Ties
from worker.accounts import Accounts
from worker.clock import utc_now
from worker.compose.core import Core, open_core
from worker.compose.database import open_database
from worker.compose.issuing import COMMAND_REDIS_TIMEOUT_S
from worker.discover import Discover
from worker.follow import Follow
from worker.metrics.instruments import Metrics
from worker.settings import CheckSettings, DatabaseSettings, DiscoverySettings, RedisSettings
from worker.sweep import Sweep


def discover_on(
    core: Core,
    *,
    settings: DiscoverySettings,
    told_to_stop: threading.Event,
) -> Discover:
    """Put together what discovers."""
    discoveries = Discoveries(core.pool)
    return Discover(
        gateways=core.gateways,
        sweep=Sweep(
            discoveries=discoveries,
            discrepancies=Discrepancies(core.pool),
            clock=utc_now,
            told_to_stop=told_to_stop,
        ),
        follow=Follow(
            discoveries=discoveries,
            ties=Ties(core.pool),
            check_requests=core.check_requests,
            ledger=core.ledger,
            ring=core.ring,
            clock=utc_now,
            unmatched=settings.unmatched,
            told_to_stop=told_to_stop,
        ),
    )


@contextmanager
def compose_discover(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    accounts: Accounts,
    settings: DiscoverySettings,
    told_to_stop: threading.Event,
) -> Iterator[Discover]:
    """Put a person's discovery together."""
    with open_core(
        database=database,
        redis=redis,
        checks=checks,
        accounts=accounts,
        redis_timeout_s=COMMAND_REDIS_TIMEOUT_S,
        metrics=Metrics(),
    ) as core:
        yield discover_on(core, settings=settings, told_to_stop=told_to_stop)


@contextmanager
def open_discoveries(settings: DatabaseSettings) -> Iterator[Discoveries]:
    """Open what was found in gateways' lists."""
    with open_database(settings) as pool:
        yield Discoveries(pool)
