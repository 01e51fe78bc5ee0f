"""The actors: what a message wakes. A message names what may be due, and means nothing by itself."""

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

import dramatiq
import structlog
from dramatiq import Broker

from domain.delivery import Lane
from domain.gateway import GatewayError

log = structlog.get_logger()


def declare_actors(broker: Broker, *, queues: Iterable[str], actors: Mapping[str, Callable[[UUID], object]]) -> None:
    """Let the broker's workers do what is named for the gateway invoice in a message, from all of these queues.

    What is not due is left alone, so a message that comes twice is one. None is tried again because of an error: what
    is due is in PostgreSQL, and is rung again from there.
    """
    first, *others = queues
    for name, act in actors.items():
        dramatiq.actor(broker=broker, actor_name=name, queue_name=first)(_quietly(name, act))
    for queue in others:  # a message says itself which queue it is in; the actor's is only its first
        broker.declare_queue(queue)


def declare_job(broker: Broker, *, queue: str, name: str, run: Callable[[int], None]) -> None:
    """Let the broker's workers do the run of the schedule that is named in a message, if it is due and free."""

    def wake(run_id: str) -> None:
        try:
            run(int(run_id))
        except Exception:
            log.exception("actor.broken", actor=name, run=run_id)

    dramatiq.actor(broker=broker, actor_name=name, queue_name=queue)(wake)


def declare_notify(broker: Broker, *, queue: str, name: str, notify: Callable[[Lane], object]) -> None:
    """Let the broker's workers deliver what is due in the lane of notifications that is named in a message."""

    def wake(invoice_id: str | None, notification_id: int | None) -> None:
        lane = Lane(invoice_id=invoice_id, notification_id=notification_id)
        try:
            notify(lane)
        except Exception:
            log.exception("actor.broken", actor=name, lane=str(lane))

    dramatiq.actor(broker=broker, actor_name=name, queue_name=queue)(wake)


def _quietly(name: str, act: Callable[[UUID], object]) -> Callable[[str], None]:
    def wake(gateway_invoice_id: str) -> None:
        try:
            act(UUID(gateway_invoice_id))
        except GatewayError as error:
            log.warning("actor.failed", actor=name, gateway_invoice=gateway_invoice_id, message=error.message)
        except Exception:
            log.exception("actor.broken", actor=name, gateway_invoice=gateway_invoice_id)

    return wake
