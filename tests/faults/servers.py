"""PostgreSQL and Valkey of one scenario's own, which can be killed and started again at the same address."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.server import Server
from adapters.embedded.servers import EmbeddedServers, remove_home, start_servers

BACK_WITHIN_S = 30.0
"""PostgreSQL recovers in less than a second; its sessions may take longer to notice that it was killed."""


def kill_server(server: Server) -> None:
    """Kill -9."""
    if server.process is not None:
        server.process.kill()
        server.process.wait()


def start_again(server: Server) -> None:
    """Start a server that has ended on its data and at its port. Call it from the main thread.

    Raises:
        EmbeddedServerError: it does not come up.

    """
    until, port = time.monotonic() + BACK_WITHIN_S, server.port
    while True:
        server.process = server.spawn(server.command(port))
        try:
            server.wait_until_ready()
        except EmbeddedServerError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)  # sessions of the killed one still hold its memory
        else:
            if server.port != port:
                raise EmbeddedServerError(f"{server.name} came up at another port than before")
            return


@contextmanager
def own_servers(home: Path | None = None) -> Iterator[EmbeddedServers]:
    """Run new servers for as long as the context lasts; nothing of them is kept.

    Without syncs to disk: what is killed is processes, not the machine. Valkey keeps nothing.
    """
    # Not under a 0700 folder: root's PostgreSQL runs as another user.
    home = home or Path(tempfile.mkdtemp(prefix="tootsoo-faults-"))
    home.chmod(0o711)
    servers = None
    try:
        servers = start_servers(home, fsync=False, appendonly=False)
        yield servers
    finally:
        if servers is not None:
            servers.stop()
        with suppress(EmbeddedServerError, OSError):
            remove_home(home)
        shutil.rmtree(home, ignore_errors=True)
