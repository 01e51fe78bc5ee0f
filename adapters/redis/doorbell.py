"""The broker, and the bell that wakes a worker for a gateway invoice whose check is due."""

from collections.abc import Iterable
from math import ceil
from urllib.parse import urlsplit
from uuid import UUID

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain.delivery import Lane

SETTLE_ACTOR = "settle"
CLOSE_ACTOR = "close"
"""Both take their messages from their gateway's queue, and mean a gateway invoice."""

JOB_QUEUE = "jobs"
JOB_ACTOR = "job"
"""Its messages mean a run of the schedule. A queue of their own: checks that pile up do not hold them up."""

NOTIFY_QUEUE = "notify"
NOTIFY_ACTOR = "notify"
"""Its messages mean a lane of notifications. Workers have threads of their own for this queue: an application that
answers slowly holds up no check."""

HEARTBEAT_TIMEOUT_MS = 5_000
"""After this a killed worker's messages are given to others (measured with dramatiq 2.2: 5.0 to 5.7 s)."""

_ALWAYS = 1_000_000
"""Per million commands: workers look for dead ones at each of them, else messages of the dead wait for minutes."""


def queue_of(gateway: str) -> str:
    """Return the queue of a gateway's messages: each has its own, so that none waits behind another's."""
    return f"settle-{gateway}"


class DoorbellError(Exception):
    """Nobody could be woken. What is due stays due in PostgreSQL and is rung again by the scheduler."""


def open_broker(redis_url: str, *, timeout_s: float, consumes: bool = False) -> RedisBroker:
    """Open Dramatiq's broker on Redis; connects on first use, each command bounded by `timeout_s`.

    One that `consumes` takes over what the dead have left; one that only rings spares itself the look.
    Without middleware: retries and parking live in PostgreSQL, and a check bounds its own time.
    """
    client = redis.Redis.from_url(
        redis_url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq's brokers carry no types
        client=client,
        namespace="tootsoo",
        middleware=[],
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=_ALWAYS if consumes else 0,
    )


def address_of(redis_url: str) -> str:
    """Return `host:port/database` of a URL, without user or password, for people to read."""
    parts = urlsplit(redis_url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"


class Doorbell:
    """Wakes workers."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker

    def ring(
        self, gateway_invoice_ids: Iterable[UUID], *, gateway: str, actor: str = SETTLE_ACTOR, wait_s: float = 0.0
    ) -> None:
        """Wake a worker, in `wait_s`, for each of these gateway invoices of one gateway.

        Raises:
            DoorbellError: Redis did not take a message.

        """
        for gateway_invoice_id in gateway_invoice_ids:
            self._send(queue_of(gateway), actor, str(gateway_invoice_id), wait_s=wait_s)

    def ring_runs(self, run_ids: Iterable[int]) -> None:
        """Wake a worker for each of these runs of the schedule.

        Raises:
            DoorbellError: Redis did not take a message.

        """
        for run_id in run_ids:
            self._send(JOB_QUEUE, JOB_ACTOR, str(run_id), wait_s=0.0)

    def ring_lanes(self, lanes: Iterable[Lane]) -> None:
        """Wake a worker for each of these lanes of notifications.

        Raises:
            DoorbellError: Redis did not take a message.

        """
        for lane in lanes:
            self._send(NOTIFY_QUEUE, NOTIFY_ACTOR, lane.invoice_id, lane.notification_id, wait_s=0.0)

    def waiting(self, gateway: str) -> int:
        """Count a gateway's messages that no worker has finished yet.

        Raises:
            DoorbellError: Redis does not answer.

        """
        return self._waiting(queue_of(gateway))

    def waiting_lanes(self) -> int:
        """Count the messages about notifications that no worker has finished yet; raises likewise."""
        return self._waiting(NOTIFY_QUEUE)

    def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            DoorbellError: none came.

        """
        try:
            self._broker.client.ping()
        except (redis.RedisError, OSError) as error:
            raise DoorbellError(f"Redis does not answer: {type(error).__name__}") from error

    def _waiting(self, queue: str) -> int:
        try:
            return int(self._broker.do_qsize(queue))
        except (redis.RedisError, OSError) as error:
            raise DoorbellError(f"Redis does not answer: {type(error).__name__}") from error

    def _send(self, queue: str, actor: str, *arguments: str | int | None, wait_s: float) -> None:
        message: Message[None] = Message(queue_name=queue, actor_name=actor, args=arguments, kwargs={}, options={})
        try:
            self._broker.enqueue(message, delay=ceil(wait_s * 1000) or None)
        except (redis.RedisError, OSError) as error:
            raise DoorbellError(f"Redis did not take a message: {type(error).__name__}") from error
