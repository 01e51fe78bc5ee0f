"""Where root's servers keep what `nobody` could not reach elsewhere."""

import hashlib
import os
import stat
from pathlib import Path

from adapters.embedded.errors import EmbeddedServerError

# Not /var/tmp: cleaners take files there that were not read for 30 days, one by one, out of a database too. And only
# root comes here, so nobody else can have put a folder of ours in place first.
SHELTER = Path("/var/lib/tootsoo-embedded")


def shelter_for(home: Path) -> Path:
    """Return the folder that stands in for `home` (resolved), the same one each time; create it when missing."""
    private_folder(SHELTER)
    return private_folder(shelter_path(home))


def shelter_path(home: Path) -> Path:
    """Return what `shelter_for` would, without creating it."""
    return SHELTER / hashlib.sha256(os.fsencode(home)).hexdigest()[:12]


def private_folder(path: Path) -> Path:
    """Create the folder `path`, which all may pass through and only we may change, or check that it is one.

    Raises EmbeddedServerError for a symbolic link, and for a folder that others own or may write to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o711)
        path.chmod(0o711)  # whatever the umask left of it
    except FileExistsError:
        found = path.lstat()
        ours = found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not (stat.S_ISDIR(found.st_mode) and ours):
            raise EmbeddedServerError(
                f"{path} is not a folder that only this user can change: see who made it, then remove it"
            ) from None
    return path
