"""The web process: serves the application until it is told to stop."""

import socket
import threading
from collections.abc import Sequence

import structlog
import uvicorn
from fastapi import FastAPI

from worker.starting import StartError
from worker.stopping import stop_event
from worker.web.heads import BoundedHeads

SHUTDOWN_S = 15
"""A stop waits this long for requests that are being answered: longer than a gateway call may take."""


BACKLOG = 2_048
"""Callbacks that come while all threads are busy wait here."""

log = structlog.get_logger()


def serve(app: FastAPI, *, host: str, port: int, trusted_proxies: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT; then take no more requests and finish those at hand.

    Raises:
        StartError: the address is taken or is none of this machine.

    """
    config = config_of(app, trusted_proxies=trusted_proxies)
    # uvicorn raises the signal again when it has stopped; it must find a handler, or all that is to be closed is not.
    told_to_stop = stop_event()
    with _listening(host, port) as listener:
        log.info("web.started", address=f"http://{host}:{port}")
        _Server(config, told_to_stop=told_to_stop).run(sockets=[listener])
    log.info("web.stopped")


class _Server(uvicorn.Server):
    """uvicorn, which hears signals from when it serves, and heeds one that came before."""

    def __init__(self, config: uvicorn.Config, *, told_to_stop: threading.Event) -> None:
        super().__init__(config)
        self._told_to_stop = told_to_stop

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to stop; asked ten times a second."""
        return await super().on_tick(counter) or self._told_to_stop.is_set()


def config_of(app: FastAPI, *, trusted_proxies: Sequence[str]) -> uvicorn.Config:
    """Return how an application is served.

    What `trusted_proxies` say in X-Forwarded-For is taken for the address that a request comes from.

    No access log: its lines would hold the secret tokens of callbacks. No WebSockets: nothing here speaks them.
    """
    return uvicorn.Config(
        app,
        http=BoundedHeads,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=list(trusted_proxies),
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(f"web cannot listen on {host}:{port}: {error.strerror}") from None
