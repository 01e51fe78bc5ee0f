"""The account that servers run as: never root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from adapters.embedded.errors import EmbeddedServerError


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user, without supplementary groups."""

    name: str
    uid: int
    gid: int

    def reads(self, path: Path) -> bool:
        """Say whether this user may read `path`, and run or enter it where anybody may. Its parents are not looked at.

        Access control lists are not looked at either: who grants more by them only gets a needless copy.
        """
        runs = stat.S_IXOTH if path.stat().st_mode & 0o111 else 0
        return self._may(path, stat.S_IROTH | runs)

    def enters(self, folder: Path) -> bool:
        """Say whether this user can pass through `folder` and everything above it."""
        real = folder.resolve()
        return all(self._may(step, stat.S_IXOTH) for step in (real, *real.parents))

    def _may(self, path: Path, needed: int) -> bool:
        found = path.stat()
        if found.st_uid == self.uid:
            granted = found.st_mode >> 6
        elif found.st_gid == self.gid:
            granted = found.st_mode >> 3
        else:
            granted = found.st_mode
        return granted & needed == needed


def server_account() -> Account | None:
    """Return the account to run servers as, or None for "as who we are", which is right for everyone but root.

    PostgreSQL refuses to run as root; nothing that answers without a password should. Raises EmbeddedServerError when
    we are root and there is no user `nobody`.
    """
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedServerError(
            "as root the embedded servers run as the user nobody, who is missing in /etc/passwd: "
            "add one, or run as an ordinary user"
        ) from None
    return Account(name=found.pw_name, uid=found.pw_uid, gid=found.pw_gid)
