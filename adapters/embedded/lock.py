"""A lock on a server's data, held as long as any process of that server lives."""

import fcntl
import os
import time
from pathlib import Path

from adapters.embedded.errors import EmbeddedServerError

# A server whose parent was killed is told so at once and then shuts down; this is how long a next start waits for it.
ORPHAN_LIMIT_S = 10.0


def take_lock(path: Path, *, what: str) -> int:
    """Take the flock on `path` and return its descriptor, to be passed on to the server and closed after it.

    flock(2) belongs to the open file, so a child that inherited it keeps it when the parent is gone. `what` is named
    in the message. Raises EmbeddedServerError when somebody else has it: at once when the process that took it still
    lives, else after ORPHAN_LIMIT_S.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _wait_for(descriptor, path, what)
        _sign(descriptor, str(os.getpid()))
        _check_still_there(descriptor, path, what)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def leave_lock(descriptor: int) -> None:
    """Close the descriptor of a lock. Processes of the server that still live keep the lock until they end."""
    _sign(descriptor, "")
    os.close(descriptor)


def _wait_for(descriptor: int, path: Path, what: str) -> None:
    deadline = time.monotonic() + ORPHAN_LIMIT_S
    while not _try_lock(descriptor):
        holder = _read_holder(descriptor)
        if holder is not None and _is_alive(holder):
            raise EmbeddedServerError(
                f"{what} is in use by process {holder} (another tootsoo?): stop that one, or use another folder"
            )
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"{what} is in use by a server that was left behind: "
                f"stop it (`lsof {path}` names it), or use another folder"
            )
        time.sleep(0.02)  # between two tries: flock has no time-out of its own


def _check_still_there(descriptor: int, path: Path, what: str) -> None:
    if not (path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())):
        raise EmbeddedServerError(f"{what} was removed by another process while it was locked: try again")


def _sign(descriptor: int, name: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, name.encode(), 0)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(descriptor: int) -> int | None:
    """Return who took the lock; None when it is not yet signed, or left to processes that are about to end."""
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
