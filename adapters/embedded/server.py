"""One server process: started on a free port, waited for, stopped."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import BinaryIO

from adapters.embedded.data import DataFolder
from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.process import die_with_parent

READY_LIMIT_S = 20.0
STOP_LIMIT_S = 10.0
POLL_S = 0.01
PORT_ATTEMPTS = 5
LOG_LIMIT_BYTES = 1_000_000  # a longer log starts anew with the server
LOG_LINES_SHOWN = 8
# All that a server inherits: no secret of ours, no locale, and none of libpq's settings.
INHERITED_VARIABLES = ("PATH", "LD_LIBRARY_PATH")


@dataclass(kw_only=True, slots=True)
class Server:
    """A server on a claimed data folder. `command` and `answers` take the port; `answers` also the process id.

    `answers` says whether *this* process takes requests at the port: another server may have been quicker to it.
    """

    name: str
    data: DataFolder
    log: Path
    stop_signal: Signals
    command: Callable[[int], list[str]]
    answers: Callable[[int, int], bool]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _log_start: int = field(default=0, init=False)
    _asked: bool = field(default=False, init=False)

    def launch(self) -> None:
        """Start the process on a free port and return at once. Call it from the main thread: see `die_with_parent`."""
        self.port = _free_port()
        self.process = self.spawn(self.command(self.port))

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start `command` as the server's account, writing to its log and holding its lock."""
        account, lock = self.data.account, self.data.lock
        if lock is None:
            raise EmbeddedServerError(f"{self.name} was stopped: start servers anew on {self.data.path}")
        environment = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ} | {"LC_ALL": "C"}
        try:
            with _open_log(self.log) as log:
                self._log_start = log.tell()
                return subprocess.Popen(  # noqa: S603 - absolute paths of our own wheels, no shell, no foreign input
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    cwd="/",
                    umask=0o077,
                    pass_fds=(lock,),
                    user=None if account is None else account.uid,
                    group=None if account is None else account.gid,
                    extra_groups=None if account is None else [],
                    # Ctrl-C in a terminal is for us; the servers go down after those who use them.
                    start_new_session=True,
                    preexec_fn=die_with_parent(self.stop_signal),  # noqa: PLW1509 - one system call, see there
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerError(f"cannot start {self.name} ({command[0]}): {error}") from error

    def wait_until_ready(self) -> None:
        """Wait until the server answers, for at most READY_LIMIT_S; take another port when its port was taken.

        Raises EmbeddedServerError with the last lines of its log when it ends or stays silent.
        """
        deadline = time.monotonic() + READY_LIMIT_S
        attempts = 1
        while True:
            process = self._running()
            if process.poll() is not None:
                if attempts == PORT_ATTEMPTS or "Address already in use" not in self.log_tail():
                    raise EmbeddedServerError(f"{self.name} did not start: {self.log_tail()} (log: {self.log})")
                attempts += 1
                self.launch()
            elif self.answers(self.port, process.pid):
                return
            elif time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{self.name} did not answer within {READY_LIMIT_S:.0f} s: {self.log_tail()} (log: {self.log})"
                )
            time.sleep(POLL_S)  # between two looks: a server tells nobody that it is ready

    def ask_to_stop(self) -> None:
        """Ask the server to shut down and return at once."""
        if self.process is not None and not self._asked:
            self._asked = True  # a second signal could mean "at once, and never mind the data"
            self.process.send_signal(self.stop_signal)

    def stop(self) -> str | None:
        """Shut the server down and release its data; say so when it had to be killed. May be called again."""
        complaint = None
        if self.process is not None:
            self.ask_to_stop()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                complaint = f"{self.name} did not stop within {STOP_LIMIT_S:.0f} s and was killed (log: {self.log})"
        self.data.release()
        return complaint

    def log_tail(self) -> str:
        """Return the last lines that the latest process wrote, as one line."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").split("\n")
        return " | ".join([line.strip() for line in lines if line.strip()][-LOG_LINES_SHOWN:]) or "its log is empty"

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise EmbeddedServerError(f"{self.name} was not launched")
        return self.process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _open_log(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    log = os.fdopen(descriptor, "ab")
    if log.tell() > LOG_LIMIT_BYTES:
        log.truncate(0)
        log.seek(0)
    return log
