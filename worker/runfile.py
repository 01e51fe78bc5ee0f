"""The run file: how every other command finds the servers that `tootsoo up` has started in this folder."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

RUN_FILE = Path(".tootsoo") / "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Servers that run now."""

    pid: int
    """The process that stops them when it ends."""
    env: dict[str, str]
    """The settings by which they are reached; holds secrets of a development set-up."""


def read(directory: Path) -> Running | None:
    """Return what runs in this folder; None when there is no run file, or whoever wrote it is dead.

    Raises:
        ValueError: the file is there and is not a run file.

    """
    try:
        text = (directory / RUN_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        running = Running(**json.loads(text))
    except (ValueError, TypeError):
        raise ValueError(f"{directory / RUN_FILE} is not a run file: remove it") from None
    return running if _is_alive(running.pid) else None


def write(directory: Path, *, env: dict[str, str]) -> None:
    """Let other commands find the servers that this process has started; only its user may read the file."""
    path = directory / RUN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(Running(pid=os.getpid(), env=env)), file)
    fresh.replace(path)


def remove(directory: Path) -> None:
    """Forget the servers of this process."""
    (directory / RUN_FILE).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
