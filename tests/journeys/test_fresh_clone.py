"""A clone on a machine with Python and make alone: the commands of the README, in their order."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="a clone needs git"),
]


@pytest.fixture
def clone() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tootsoo clone ") as folder:
        Path(folder).chmod(0o711)
        path = Path(folder) / "tootsoo"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(path)], check=True)  # noqa: S607 - whichever git there is
        yield path


def make(folder: Path, target: str, *, within_s: float) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "MAKE", "MFLAGS"))
    }
    return subprocess.run(
        ["make", target],  # noqa: S607 - whichever make there is
        cwd=folder,
        env=environment | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )


def test_make_demo_settles_payments_in_a_fresh_clone_and_again(clone: Path) -> None:
    first = make(clone, "demo", within_s=600)
    again = make(clone, "demo", within_s=120)

    for done in (first, again):
        assert done.returncode == 0, done.stdout + done.stderr
        assert "balances equal the sum of their events" in done.stdout
    status = subprocess.run(
        ["git", "status", "--porcelain"],  # noqa: S607 - whichever git there is
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    )
    assert status.stdout == ""
