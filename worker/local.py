"""The local stack: embedded servers and every process of ours, for the demo and for a developer."""

import contextlib
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from worker.compose.local import EmbeddedServers, child_guard, embedded_servers
from worker.settings import CommonSettings, TootsooEnv, environment_without_settings, load
from worker.starting import LocalError, StartError

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 20.0
"""Longer than any of our processes may take to finish what it has at hand."""

_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecrets:
    """What the processes of a stack prove themselves to one another with."""

    webhook_secret: str
    qpay_password: str
    socialpay_secret: str
    seal_secret: str

    @classmethod
    def make(cls) -> Self:
        """Make new ones."""
        return cls(
            webhook_secret=secrets.token_urlsafe(32),
            qpay_password=secrets.token_urlsafe(24),
            socialpay_secret=secrets.token_urlsafe(24),
            seal_secret=secrets.token_urlsafe(32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStack:
    """Everything running on this machine."""

    env: dict[str, str]
    """The settings that the processes run with."""
    web_url: str
    simulator_url: str
    logs: Path
    """The folder with a log for each process."""
    servers: EmbeddedServers
    processes: dict[str, subprocess.Popen[bytes]]
    run_once: Callable[[str], None]
    """Runs a command of ours to its end; LocalError when that is not 0."""

    def require_alive(self) -> None:
        """Raise LocalError when a server or a process has ended that should run."""
        for server in (self.servers.postgres, self.servers.valkey):
            if server.process is None or server.process.poll() is not None:
                raise LocalError(f"{server.name} has ended; its log is {server.log}", exit_code=1)
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = self.logs / f"{name}.log"
                raise LocalError(
                    f"{name} ended with {process.returncode}: {_last_line(log)} (all of it: {log})", exit_code=1
                )


def refuse_in_production(command: str) -> None:
    """Stop `demo` and `up` where real money is.

    Raises:
        LocalError: TOOTSOO_ENV says production.

    """
    if load(CommonSettings).tootsoo_env is TootsooEnv.PRODUCTION:
        raise LocalError(
            f"{command} runs embedded servers without passwords, so it is refused with TOOTSOO_ENV=production",
            exit_code=2,
        )


@contextmanager
def running_stack(
    home: Path,
    *,
    web_port: int,
    simulator_port: int,
    stack_secrets: StackSecrets,
    tell: Callable[[str], None],
    notify_env: Mapping[str, str] | None = None,
) -> Iterator[LocalStack]:
    """Run servers and processes on new data in `home`, and stop them at the end and remove it.

    Everything begins afresh: the simulator remembers nothing, so QRs of an earlier run could not be paid.
    `notify_env` are the settings of notifications; without them nobody is told.

    `tell` hears what is being done. Call it from the main thread:
    what it starts dies with that thread, also by SIGKILL.

    Raises:
        LocalError, StartError: something does not start; nothing is left running.

    """
    logs = home.parent / "logs" / home.name
    with ExitStack() as undo:
        tell("Starting PostgreSQL and Valkey")
        servers = undo.enter_context(embedded_servers(home))
        logs.mkdir(parents=True, exist_ok=True)
        web_url, simulator_url = f"http://127.0.0.1:{web_port}", f"http://127.0.0.1:{simulator_port}"
        env = {
            "DATABASE_URL": servers.postgres_url,
            "REDIS_URL": servers.redis_url,
            "PUBLIC_URL": web_url,
            "MERCHANT_NAME": "Жишээ дэлгүүр",
            "WEBHOOK_SECRET": stack_secrets.webhook_secret,
            "SEAL_SECRET": stack_secrets.seal_secret,
            "QPAY_ENV": "sandbox",
            "QPAY_BASE_URL": simulator_url,
            "QPAY_USERNAME": "TEST_MERCHANT",
            "QPAY_PASSWORD": stack_secrets.qpay_password,
            "QPAY_INVOICE_CODE": "TEST_INVOICE",
            "QPAY_ALLOW_PARTIAL": "true",
            "SOCIALPAY_BASE_URL": simulator_url,
            "SOCIALPAY_TERMINAL": "95000059",
            "SOCIALPAY_SECRET": stack_secrets.socialpay_secret,
            **(notify_env or {}),
            "START_WITHIN_S": "0",  # the servers are up; when they are not, this process has died and all is over
        }
        tell("Migrating the database")
        start = _Starter(home, env=env, logs=logs)
        start.run_once("migrate")
        tell("Starting simulator, web, worker and scheduler")
        processes: dict[str, subprocess.Popen[bytes]] = {}
        undo.callback(_stop, processes)
        for name, arguments in {
            "web": ["web", "--port", str(web_port)],
            "worker": ["worker"],
            "scheduler": ["scheduler"],
            "simulator": ["simulate", "--port", str(simulator_port)],
        }.items():
            processes[name] = start.process(name, *arguments)
        stack = LocalStack(
            env=env,
            web_url=web_url,
            simulator_url=simulator_url,
            logs=logs,
            servers=servers,
            processes=processes,
            run_once=start.run_once,
        )
        _await_answer(stack, f"{simulator_url}/simulator/calls")
        _await_answer(stack, f"{web_url}/readyz")
        yield stack


def free_port(preferred: int = 0) -> int:
    """Return the preferred port if nothing listens there, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found: int = probe.getsockname()[1]
                return found
    raise LocalError("no port is free on 127.0.0.1", exit_code=1)


class _Starter:
    """Starts `tootsoo …` processes that know the stack's settings and no others, and die with this process."""

    def __init__(self, home: Path, *, env: dict[str, str], logs: Path) -> None:
        inherited = environment_without_settings()
        self._env = inherited | env
        self._home = home
        self._logs = logs

    def run_once(self, command: str) -> None:
        log = self._logs / f"{command}.log"
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603 - our own command, no shell
                self._command(command), env=self._env, cwd=self._home, stdout=output, stderr=output, check=False
            )
        if done.returncode != 0:
            raise LocalError(f"{command} failed: {_last_line(log)}", exit_code=1)

    def process(self, name: str, command: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}.log").open("wb") as output:
            return subprocess.Popen(  # noqa: S603 - our own command, no shell
                self._command(command, *arguments),
                env=self._env,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C goes to us alone: we stop them in order
                preexec_fn=child_guard(signal.SIGTERM),  # noqa: PLW1509 - one system call, see die_with_parent
            )

    @staticmethod
    def _command(command: str, *arguments: str) -> Sequence[str]:
        return [sys.executable, "-m", "worker.cli", command, *arguments]


def _stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Tell all to stop, web first, and wait for them; one that does not is killed."""
    for process in processes.values():
        process.terminate()
    for process in processes.values():
        try:
            process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(stack: LocalStack, url: str) -> None:
    until = time.monotonic() + READY_WITHIN_S
    last = "no answer"
    while time.monotonic() < until:
        stack.require_alive()
        try:
            answer = httpx.get(url, timeout=2.0, trust_env=False)
        except httpx.HTTPError as error:
            last = type(error).__name__
        else:
            if answer.is_success:
                return
            last = answer.text[:200]
        time.sleep(_LOOK_EVERY_S)
    raise StartError(f"{url} does not answer after {READY_WITHIN_S:.0f} s: {last}")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
