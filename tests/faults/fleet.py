"""Our processes, started as an operator starts them, and killed, stopped and continued as no operator does."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.embedded.process import die_with_parent
from tests import command_line
from worker.settings import environment_without_settings

STARTED_WITHIN_S = 60.0
"""Generous: a start is a second of work, on a machine that others may use as well."""

AS_IT_IS = ("-P", "-m", "worker.cli")
"""What Python is told to run for `tootsoo`."""

_LOOK_EVERY_S = 0.02


class FaultError(Exception):
    """Something is not as it must be, whatever the oracle says afterwards."""


@dataclass(slots=True, kw_only=True)
class Process:
    """One `tootsoo …` process, and its log."""

    name: str
    log: Path
    child: subprocess.Popen[bytes] | command_line.Forked

    def says(self, text: str) -> bool:
        """Tell whether its log holds this."""
        return text in self.log.read_text(encoding="utf-8", errors="replace")

    def peak_mb(self) -> float:
        """Tell how much memory it has ever held at once, in MB of 1,000,000 bytes."""
        status = Path(f"/proc/{self.child.pid}/status").read_text(encoding="ascii", errors="replace")
        (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(kilobytes) * 1_024 / 1_000_000

    def has_ended(self) -> bool:
        return self.child.poll() is not None

    def is_stopped(self) -> bool:
        """Tell whether it sleeps since a SIGSTOP."""
        with Path(f"/proc/{self.child.pid}/stat").open() as stat:
            return stat.read().rpartition(")")[2].split()[0] in {"T", "t"}

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def pause(self) -> None:
        self.child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.child.send_signal(signal.SIGCONT)


class Fleet:
    """Starts processes that know these settings and no others, and that die with this process. From the main thread."""

    def __init__(self, folder: Path, *, env: Mapping[str, str], logs: Path, python: Sequence[str] = AS_IT_IS) -> None:
        inherited = environment_without_settings()
        self._env = {**inherited, **env}
        self._folder = folder
        self._logs = logs
        self._python = python
        self._started: list[Process] = []
        self._number = 0

    def start(self, name: str, *arguments: str, python: Sequence[str] | None = None, **env: str) -> Process:
        """Start `tootsoo name arguments`, and return at once. `python` says otherwise which program that is."""
        log = self._next_log(name)
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, *(python or self._python), name, *arguments],
                env={**self._env, **env},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one system call, see there
            )
        process = Process(name=name, log=log, child=child)
        self._started.append(process)
        return process

    def fork(self, name: str) -> Process:
        """Start `tootsoo name` as `start` does, from a process that has loaded Python's modules: it takes no second."""
        if self._python != AS_IT_IS:
            raise ValueError("what was changed before it was loaded cannot be forked")
        log = self._next_log(name)
        process = Process(name=name, log=log, child=command_line.start(self._folder, [name], self._env, log=log))
        self._started.append(process)
        return process

    def _next_log(self, name: str) -> Path:
        self._number += 1
        log = self._logs / f"{self._number:03}-{name}.log"
        log.touch()
        return log

    def run(self, name: str, *arguments: str, within_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run `tootsoo name arguments` to its end."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "worker.cli", name, *arguments],
            env={**self._env, "NO_COLOR": "1"},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def require_alive(self, *processes: Process) -> None:
        """Fail when one of these has ended by itself."""
        for process in processes:
            if process.has_ended():
                raise FaultError(f"{process.name} ended with {process.child.returncode} by itself: {process.log}")

    def stop(self) -> None:
        """Kill all: the judgement is over, and how they stop in order is tested elsewhere."""
        for process in self._started:
            process.kill()


def wait_for(what: str, holds: Callable[[], bool], *, within_s: float, look_every_s: float = _LOOK_EVERY_S) -> float:
    """Wait for a condition, and return how long that took. Fails when it does not come to hold."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() > begun + within_s:
            raise FaultError(f"not within {within_s:.0f} s: {what}")
        time.sleep(look_every_s)
    return time.monotonic() - begun


def await_start(process: Process) -> None:
    """Wait until a worker or a scheduler says that it has started."""

    def started() -> bool:
        if process.has_ended():
            raise FaultError(f"{process.name} did not start: {process.log}")
        return process.says(f"{process.name}.started")

    wait_for(f"{process.name} has started", started, within_s=STARTED_WITHIN_S)
