"""Servers of a test's own, which may be flushed and killed, and the processes of ours that must survive it."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from adapters.embedded.server import Server
from adapters.embedded.servers import EmbeddedServers, remove_home, start_servers
from adapters.postgres.schema import migrate
from tests.waiting import wait_until
from tests.worker.conftest import Stack, api_limits, retry_limit, spacing_s, stack, switches
from worker.settings import environment_without_settings

__all__ = ["api_limits", "retry_limit", "spacing_s", "stack", "switches"]

TELLS_WITHIN_S = 60.0
"""Far more than a process needs: on a busy machine its imports alone may take ten seconds."""

SEAL_SECRET = "a seal secret that only tests know"


class Processes:
    """Real processes of ours, which log into files and are gone when the test is over."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._folder = folder
        inherited = environment_without_settings()
        self._env = inherited | env
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, command: str, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start one, and return at once."""
        log = self.log_of(len(self._started))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", command, *arguments],
                cwd=self._folder,
                env=self._env | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._started.append(process)
        return process

    def started(self, command: str, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start one, and return when it says that it has started."""
        process = self.start(command, *arguments, **env)
        self.await_told(process, f"{command}.started")
        return process

    def await_told(self, process: subprocess.Popen[bytes], words: str) -> None:
        """Wait until a process has logged these words; fail with its log when it ends before."""
        wait_until(
            lambda: words in self.told(process) or process.poll() is not None,
            within_s=TELLS_WITHIN_S,
        )
        assert process.poll() is None, self.told(process)

    def told(self, process: subprocess.Popen[bytes]) -> str:
        """Return what a process has logged until now."""
        return self.log_of(self._started.index(process)).read_text(encoding="utf-8")

    def log_of(self, number: int) -> Path:
        return self._folder / f"{number}.log"

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    """PostgreSQL and Valkey of this test alone, which keep nothing on disk that a kill would have to spare."""
    home = Path(tempfile.mkdtemp(prefix="tootsoo-faults-"))
    home.chmod(0o711)
    try:
        with start_servers(home, fsync=False, appendonly=False) as servers:
            migrate(servers.postgres_url, qpay_env="sandbox")
            yield servers
    finally:
        remove_home(home)


@pytest.fixture
def database_url(servers: EmbeddedServers) -> str:
    return servers.postgres_url


@pytest.fixture
def redis_url(servers: EmbeddedServers) -> str:
    return servers.redis_url


@pytest.fixture
def processes(stack: Stack, tmp_path: Path) -> Iterator[Processes]:
    """Processes between the servers and the simulator of `stack`."""
    groups = stack.groups
    running = Processes(
        tmp_path,
        {
            "DATABASE_URL": groups.database.database_url,
            "REDIS_URL": groups.redis.redis_url,
            "PUBLIC_URL": groups.web.public_url,
            "WEBHOOK_SECRET": groups.web.webhook_secret[0].get_secret_value(),
            "QPAY_BASE_URL": groups.qpay.qpay_base_url,
            "QPAY_USERNAME": groups.qpay.qpay_username,
            "QPAY_PASSWORD": groups.qpay.qpay_password.get_secret_value(),
            "QPAY_INVOICE_CODE": groups.qpay.qpay_invoice_code,
            "CHECK_SPACING_S": "0.2",
            "SEAL_SECRET": SEAL_SECRET,
            "SEAL_EVERY_S": "1",
        },
    )
    try:
        yield running
    finally:
        running.end()


@pytest.fixture
def watcher(database_url: str) -> Iterator[psycopg.Connection[DictRow]]:
    """A look behind the API, past the network that a test may cut."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("SET search_path TO tootsoo")
        yield connection


def kill_and_restart(server: Server) -> None:
    """Kill a server at once, and start it again at the same port."""
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.process = server.spawn(server.command(server.port))
    server.wait_until_ready()
