"""What tells the merchant's application."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from adapters.merchant.application import MerchantApplication
from adapters.postgres import connection as postgres
from adapters.postgres.notifications import Notifications
from adapters.redis.doorbell import NOTIFY_QUEUE
from worker.clock import utc_now
from worker.compose.database import open_database
from worker.metrics.instruments import Metrics
from worker.notify import Notify
from worker.notify_target import NotifyTarget
from worker.settings import DatabaseSettings, NotifySettings


@contextmanager
def compose_notify(target: NotifyTarget, *, pool: postgres.Pool, metrics: Metrics) -> Iterator[Notify]:
    """Put together what delivers; connections are opened by the first delivery."""
    with MerchantApplication(target.url, allow_private=target.allow_private) as application:
        yield Notify(
            notifications=Notifications(pool, timeout_s=target.timeout_s),
            post=application.post,
            secrets=target.secrets,
            timeout_s=target.timeout_s,
            clock=utc_now,
            told=metrics.notification_tried,
        )


def queues_apart(settings: NotifySettings) -> Mapping[str, int]:
    """Return the queues for which a worker has threads of their own, and how many."""
    return {} if settings.notify_url is None else {NOTIFY_QUEUE: settings.notify_threads}


@contextmanager
def open_notifications(database: DatabaseSettings, *, notify: NotifySettings) -> Iterator[Notifications]:
    """Open what is to be told."""
    with open_database(database) as pool:
        yield Notifications(pool, timeout_s=notify.notify_timeout_s)
