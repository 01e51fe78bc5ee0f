"""Valkey: its server started with our settings."""

from pathlib import Path
from signal import SIGTERM

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adapters.embedded.account import Account
from adapters.embedded.binaries import Programs
from adapters.embedded.data import claim_data
from adapters.embedded.server import Server

FOLDER = "valkey"


def launch_valkey(
    home: Path, programs: Programs, *, account: Account | None, appendonly: bool, databases: int
) -> Server:
    """Start Valkey on `home`/valkey and return without waiting for it.

    With `appendonly` it keeps its data over restarts, without it nothing is written. Raises EmbeddedServerError.
    """
    data = claim_data(home, FOLDER, account)
    flags = {
        "bind": "127.0.0.1",
        "dir": str(data.path),
        "databases": str(databases),
        "appendonly": "yes" if appendonly else "no",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", value)]
    server = Server(
        name="Valkey",
        data=data,
        log=home / "valkey.log",
        stop_signal=SIGTERM,
        command=lambda port: [str(programs.path("valkey-server")), "--port", str(port), *arguments],
        answers=_answers,
    )
    try:
        if not data.path.exists():
            with data.creating():
                pass
        server.launch()
    except BaseException:
        server.stop()
        raise
    return server


def valkey_url(port: int) -> str:
    """Return the URL of database 0 on the server at `port`."""
    return f"redis://127.0.0.1:{port}/0"


def _answers(port: int, pid: int) -> bool:
    client = redis.Redis.from_url(valkey_url(port), socket_timeout=2, retry=Retry(NoBackoff(), 0))
    try:
        client.ping()  # refused while it loads its data
        return bool(client.info("server")["process_id"] == pid)
    except redis.RedisError:  # not yet listening, loading its data, or something else that took the port
        return False
    finally:
        client.close()
