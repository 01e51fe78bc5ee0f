"""What tells the merchant's application."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dramatiq.brokers.redis import RedisBroker

from adapters.merchant.application import MerchantApplication
from adapters.postgres.notifications import Notifications
from adapters.redis.doorbell import NOTIFY_ACTOR, NOTIFY_QUEUE
from worker.actors import declare_notify
from worker.clock import utc_now
from worker.compose.database import open_database
from worker.compose.services import open_broker
from worker.metrics.instruments import Metrics
from worker.notify import Notify
from worker.notify_target import NotifyTarget
from worker.settings import DatabaseSettings, NotifySettings, RedisSettings

REDIS_TIMEOUT_S = 5.0


@contextmanager
def compose_notifier(
    target: NotifyTarget | None, *, database: DatabaseSettings, redis: RedisSettings, metrics: Metrics
) -> Iterator[Sequence[tuple[RedisBroker, int]]]:
    """Put together what tells the application: a broker and how many threads it takes; none when nobody is told.

    Broker, threads and connections are its own, so that an application that hangs holds up nothing else. The first
    delivery opens the connections to it.
    """
    if target is None:
        yield ()
        return
    broker = open_broker(redis, timeout_s=REDIS_TIMEOUT_S)
    with (
        open_database(database.model_copy(update={"database_pool_size": target.threads})) as pool,
        MerchantApplication(target.url, allow_private=target.allow_private) as application,
    ):
        notify = Notify(
            notifications=Notifications(pool, timeout_s=target.timeout_s),
            post=application.post,
            secrets=target.secrets,
            timeout_s=target.timeout_s,
            clock=utc_now,
            told=metrics.notification_tried,
        )
        declare_notify(
            broker, queue=NOTIFY_QUEUE, name=NOTIFY_ACTOR, notify=metrics.counting_errors(NOTIFY_ACTOR, notify)
        )
        yield ((broker, target.threads),)
    broker.close()


@contextmanager
def open_notifications(database: DatabaseSettings, *, notify: NotifySettings) -> Iterator[Notifications]:
    """Open what is to be told."""
    with open_database(database) as pool:
        yield Notifications(pool, timeout_s=notify.notify_timeout_s)
