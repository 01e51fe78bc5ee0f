"""Dramatiq's own metrics of messages, in the worker's registry instead of a server that Dramatiq's command starts."""

import os
from typing import Any

from dramatiq import Broker
from dramatiq.middleware.prometheus import Prometheus
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

_LEFT_BEHIND = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")


class MessageMetrics(Prometheus):
    """Counts messages and their durations under Dramatiq's names. A worker is one process, so no files are shared."""

    def __init__(self, broker: Broker, *, registry: CollectorRegistry) -> None:
        """Count from now on; the caller adds it to the broker."""
        super().__init__()
        kept = {name: os.environ.get(name) for name in _LEFT_BEHIND}
        super().after_process_boot(broker)  # type: ignore[no-untyped-call]
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        for instrument in vars(self).values():
            if isinstance(instrument, MetricWrapperBase):
                registry.register(instrument)

    @property
    def forks(self) -> list[Any]:
        """Start no server: ours serves these as well."""
        return []

    def after_process_boot(self, broker: Broker) -> None:
        """Do nothing: it was done when this was made."""

    def after_worker_shutdown(self, broker: Broker, worker: object) -> None:
        """Do nothing: there are no files to tidy."""
