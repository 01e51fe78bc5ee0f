"""The run file: how every other command finds the servers that `tootsoo up` has started in this folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

RUN_FILE = Path(".tootsoo") / "run.json"


class Running(BaseModel):
    """Servers that run now."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    env: dict[str, str]
    """The settings by which they are reached; holds secrets of a development set-up."""


@contextmanager
def published(directory: Path, *, env: dict[str, str]) -> Iterator[None]:
    """Let other commands find the servers of this process, for as long as the context lasts and the process lives.

    The file is its user's alone. It is locked while it is true: a lock goes with its process, however that ends.
    """
    path = directory / RUN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(Running(env=env).model_dump_json())
        file.flush()
        fresh.replace(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def read(directory: Path) -> Running | None:
    """Return what runs in this folder; None when there is no run file, or whoever wrote it has ended.

    Raises:
        ValueError: a file that is in use is not a run file.

    """
    path = directory / RUN_FILE
    try:
        with path.open(encoding="utf-8") as file:
            if not _is_locked(file.fileno()):
                return None
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return Running.model_validate_json(text)
    except ValidationError:
        raise ValueError(f"{path} is not a run file: remove it") from None


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
