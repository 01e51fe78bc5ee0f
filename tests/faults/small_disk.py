"""A disk that is small enough to be filled, without being root where the system lets anybody have one."""

import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.scenario import ImpossibleHereError

SIZE_MB = 192
"""PostgreSQL's new data are 40 MB, its log of writes 16 MB at a time."""

_CLONE_NEWNS, _CLONE_NEWUSER = 0x0002_0000, 0x1000_0000  # linux/sched.h
_MS_REC, _MS_PRIVATE = 0x4000, 0x4_0000  # linux/mount.h
_MNT_DETACH = 2  # linux/fs.h


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount an empty file system in memory that only this process and its children see; it goes with them.

    In a namespace of our own; who is not root has it as its own user in a namespace of users. Call it while the process
    has one thread.

    Raises:
        ImpossibleHereError: the system allows neither, or is not Linux.

    """
    place = Path(tempfile.mkdtemp(prefix="tootsoo-disk-"))
    try:
        _mount(place)
    except (OSError, AttributeError) as error:
        place.rmdir()
        raise ImpossibleHereError(f"nothing may be mounted here, not even in a namespace: {error}") from None
    home = place / "home"
    home.mkdir()
    try:
        yield home
    finally:
        # At the latest it ends with the namespace, which is this process and its children.
        ctypes.CDLL(None).umount2(bytes(place), _MNT_DETACH)
        place.rmdir()


def fill(home: Path) -> Path:
    """Write until the disk is full; return the file to remove."""
    ballast = home.parent / "ballast"
    with ballast.open("wb", buffering=0) as out:
        for size in (1_000_000, 4_096, 512):
            while True:
                try:
                    written = out.write(b"\0" * size)
                except OSError:
                    break
                if written < size:
                    break
    return ballast


def _mount(place: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    _check(libc.unshare(_CLONE_NEWNS if uid == 0 else _CLONE_NEWNS | _CLONE_NEWUSER))
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    _check(libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, f"size={SIZE_MB}m,mode=711".encode()))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
