"""The command line as a process of its own, forked from one that has loaded it: starting Python anew takes a second."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([__name__, *_LOADED, "worker.compose.statements"])
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


def _be_tootsoo(folder: Path, words: list[str], env: dict[str, str], told: Path, complained: Path) -> None:
    from worker.cli.main import main  # noqa: PLC0415 - in the child, which has loaded it

    for descriptor, path, flags in (
        (0, Path(os.devnull), os.O_RDONLY),
        (1, told, os.O_WRONLY | os.O_CREAT),
        (2, complained, os.O_WRONLY | os.O_CREAT),
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
