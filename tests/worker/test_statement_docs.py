"""docs/statements.md tells the truth: its files are read by its commands, and print what it says."""
# ruff: noqa: RUF001 - Mongolian is written in Cyrillic

import re
import shlex
from pathlib import Path

import pytest

from adapters.postgres.connection import open_pool
from adapters.postgres.invoices import Invoices
from tests.adapters.postgres.samples import put
from tests.worker.test_cli_corrections import tootsoo

DOCS = (Path(__file__).parents[2] / "docs" / "statements.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


@pytest.mark.slow
def test_every_command_that_is_shown_works_on_the_files_that_are_shown(tmp_path: Path, database_url: str) -> None:
    with open_pool(database_url, size=1) as pool:
        for invoice_id, amount in (("order-1001", "50000"), ("order-1002", "30000"), ("order-1003", "30000")):
            put(Invoices(pool), invoice_id, amount=amount)
    (tmp_path / "november.csv").write_text(blocks("csv")[0], encoding="utf-8")
    (tmp_path / "xac.toml").write_text(blocks("toml")[0], encoding="utf-8")
    (tmp_path / "xac.csv").write_text(
        "Огноо;Утга;Орлого;Зарлага;Үлдэгдэл\n23.11.2026 09:00;order-1003;1.000,50;;1.000,50\nНийт;;1.000,50\n",
        encoding="utf-8",
    )
    printed: dict[str, str] = {}

    for line in "".join(blocks("sh")).splitlines():
        words = shlex.split(line, comments=True)[1:]
        done = tootsoo(tmp_path, database_url, *words)
        waits = words[1:2] == ["review"] and (words[2:] == [] or words[2] == "list")
        assert done.returncode == waits, (line, done.stderr)
        printed.setdefault(" ".join(words), done.stdout)

    (told,) = blocks("")
    assert printed["statement import november.csv --bank generic"].split() == told.split()
