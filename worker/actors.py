"""The actors: what a message wakes. A message names a gateway invoice and means nothing by itself."""

from uuid import UUID

import dramatiq
import structlog
from dramatiq import Broker

from worker.settle import Settle

log = structlog.get_logger()


def declare_actors(broker: Broker, *, settle: Settle, queue: str, name: str) -> None:
    """Let the broker's workers settle what a message names; what is not due is left alone, so twice is once."""

    def wake(gateway_invoice_id: str) -> None:
        try:
            settle(UUID(gateway_invoice_id))
        except Exception:
            # The lease runs out and the scheduler rings again; the message has done its duty either way.
            log.exception("settle.broken", gateway_invoice=gateway_invoice_id)

    dramatiq.actor(broker=broker, actor_name=name, queue_name=queue)(wake)
