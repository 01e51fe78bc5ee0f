"""The version before the last migration, taken from the repository's own history, to run beside the present one."""

import io
import subprocess
import sysconfig
import tarfile
from pathlib import Path

from tests.faults.scenario import ImpossibleHereError

ROOT = Path(__file__).parents[2]

_BOOT = "import sys; sys.path[:0] = {older!r}; sys.path += {libraries!r}; from worker.cli.main import main; main()"


def older_version(folder: Path) -> list[str]:
    """Unpack it into `folder`, and return what Python must be told to be its `tootsoo`.

    Raises:
        ImpossibleHereError: there is no history here, as in an archive or a shallow clone.

    """
    try:
        newest = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", "migrations/*.sql").decode().strip()
        packed = _git("archive", "--format=tar", f"{newest}^")
    except (OSError, subprocess.CalledProcessError):
        raise ImpossibleHereError("there is no history to take an older version from") from None
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    libraries = sorted({sysconfig.get_path(name) for name in ("purelib", "platlib")})
    # Without site: its .pth file would put the present version's folders on the path as well.
    return ["-P", "-S", "-c", _BOOT.format(older=[str(folder)], libraries=libraries)]


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=60).stdout  # noqa: S607
