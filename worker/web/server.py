"""The web process: serves the application until it is told to stop."""

import uvicorn

from worker.web.app import create_app
from worker.web.parts import WebParts

SHUTDOWN_S = 15
"""A stop waits this long for requests that are being answered: longer than a gateway call may take."""


def serve(parts: WebParts, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; then take no more requests and finish those at hand.

    No access log: its lines would hold the secret tokens of callbacks.
    """
    uvicorn.run(
        create_app(parts),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
