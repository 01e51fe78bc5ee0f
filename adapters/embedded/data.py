"""A server's data folder: where it is, whose it is, and that no other server uses it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.embedded.account import Account
from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.lock import leave_lock, take_lock
from adapters.embedded.shelter import shelter_for, shelter_path


@dataclass(slots=True)
class DataFolder:
    """A claimed data folder: `path` may not exist yet, the lock beside it is ours until `release`."""

    path: Path
    account: Account | None
    lock: int | None = field(repr=False)

    @contextmanager
    def creating(self) -> Iterator[Path]:
        """Give an empty folder, the server's alone, that becomes the data folder when the block ends.

        So data that was half made when we were killed is never taken for data.
        """
        unfinished = self.path.with_suffix(".unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(unfinished, self.account.uid, self.account.gid, follow_symlinks=False)
        yield unfinished
        unfinished.rename(self.path)

    def release(self) -> None:
        """Give up the lock; a server that still lives keeps it. May be called again."""
        if self.lock is not None:
            leave_lock(self.lock)
            self.lock = None


def prepare_home(home: Path) -> Path:
    """Create the folder `home` when missing, for all to pass through, and return its resolved path."""
    if not home.is_dir():
        home.mkdir(parents=True)
        home.chmod(0o711)
    return home.resolve()


def claim_data(home: Path, name: str, account: Account | None) -> DataFolder:
    """Claim the data folder `name` of `home` (resolved) for a server that runs as `account`.

    It is `home`/`name`; where `account` cannot reach that, a link there leads to a folder that it can reach. Who
    deletes `home` deletes the data: what a link no longer leads to is removed by the next claim. Raises
    EmbeddedServerError when another server uses it, or when it belongs to another user.
    """
    visible = home / name
    sheltered = account is not None and (visible.is_symlink() or not account.enters(home))
    place = shelter_for(home) / name if sheltered else visible
    folder = DataFolder(path=place, account=account, lock=take_lock(Path(f"{place}.lock"), what=str(visible)))
    try:
        if sheltered:
            _link(visible, place)
        _check_owner(folder, visible)
    except BaseException:
        folder.release()
        raise
    return folder


def remove_data(home: Path, *names: str, account: Account | None) -> None:
    """Remove the folder `home` (resolved) with the data folders `names`, wherever those are.

    Raises EmbeddedServerError when a server uses one.
    """
    for name in names:
        folder = claim_data(home, name, account)
        try:
            if folder.path.exists():
                shutil.rmtree(folder.path)
            Path(f"{folder.path}.lock").unlink()
        finally:
            folder.release()
    shutil.rmtree(home)
    if account is not None and shelter_path(home).is_dir():
        shelter_path(home).rmdir()


def _link(visible: Path, place: Path) -> None:
    if visible.is_symlink():
        if visible.readlink() != place:
            raise EmbeddedServerError(f"{visible} leads elsewhere than to {place} (was it moved?): remove it")
        return
    if visible.exists():
        raise EmbeddedServerError(
            f"{visible} has data that the user nobody, as whom root's servers run, cannot reach: "
            "let others pass through the folders above it (chmod o+x), or remove it to start anew"
        )
    if place.exists():  # left by a home that was deleted since
        shutil.rmtree(place)
    visible.symlink_to(place)


def _check_owner(folder: DataFolder, visible: Path) -> None:
    if not folder.path.exists():
        return
    owner = folder.path.stat().st_uid
    if owner != (os.geteuid() if folder.account is None else folder.account.uid):
        raise EmbeddedServerError(
            f"{visible} was made by another user (uid {owner}): run as that user, use another folder, or remove it"
        )
