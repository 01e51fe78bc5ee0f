"""The command line as a process of its own, forked from one that has loaded it: starting Python anew takes a second."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

TIMEOUT_S = 60.0

_LOADED = [
    f"worker.cli.{module}"
    for module in (
        "main",
        "corrections",
        "discover",
        "discrepancies",
        "doctor",
        "explain",
        "keys",
        "local",
        "notifications",
        "parked",
        "processes",
        "reconcile",
        "record_payment",
        "refresh",
        "refund_at_gateway",
        "replay",
        "simulate",
        "statement",
        "statement_review",
        "verify",
    )
]


def run(folder: Path, words: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `tootsoo` with these words in a folder, with nothing else in its environment, and return how it ended."""
    forks = _forks()
    with tempfile.TemporaryDirectory(prefix="tootsoo-run-") as outputs:
        told, complained = Path(outputs, "stdout"), Path(outputs, "stderr")
        process = forks.Process(target=_be_tootsoo, args=(folder, list(words), dict(env), told, complained))
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["tootsoo", *words], TIMEOUT_S)
        return subprocess.CompletedProcess(
            ["tootsoo", *words],
            process.exitcode or 0,
            stdout=told.read_text(encoding="utf-8"),
            stderr=complained.read_text(encoding="utf-8"),
        )


def start(folder: Path, words: Sequence[str], env: Mapping[str, str], *, log: Path) -> "Forked":
    """Start `tootsoo` with these words, in a session of its own, and return at once. It dies with this process."""
    process = _forks().Process(target=_live_as_tootsoo, args=(folder, list(words), dict(env), log), daemon=True)
    process.start()
    return Forked(process)


class Forked:
    """A started process, with what is used of `subprocess.Popen`."""

    def __init__(self, process: BaseProcess) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process = process

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it has not."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return how it ended, None while it has not."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, so many seconds at most, and return how.

        Raises:
            subprocess.TimeoutExpired: it has not.

        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("tootsoo", timeout or 0)
        return self._process.exitcode

    def kill(self) -> None:
        """Send SIGKILL; nothing where it has ended."""
        self._process.kill()

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _forks() -> ForkServerContext:
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__, *_LOADED, "worker.compose.statements"])
    return forks


def _live_as_tootsoo(folder: Path, words: list[str], env: dict[str, str], log: Path) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.setsid()
    _be_tootsoo(folder, words, env, log, log)


def _die_with_parent() -> None:
    """Kill this process when the one that asked for it is gone; to the kernel the fork server is its parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


def _be_tootsoo(folder: Path, words: list[str], env: dict[str, str], told: Path, complained: Path) -> None:
    from worker.cli.main import main  # noqa: PLC0415 - in the child, which has loaded it

    for descriptor, path, flags in (
        (0, Path(os.devnull), os.O_RDONLY),
        (1, told, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, complained, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["tootsoo", *words]
    main()
