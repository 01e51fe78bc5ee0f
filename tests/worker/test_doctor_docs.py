"""docs/go-live.md and docs/troubleshooting.md: every line of the doctor is explained, and what is to be typed is."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.worker.conftest import Stack
from tests.worker.doctoring import OFTEN, a_loaded, env_of
from tests.worker.test_cli import run
from worker.accounts import Accounts
from worker.cli.main import _MODULE_OF
from worker.compose.doctor import compose_doctor
from worker.settings import SocialPaySettings

DOCS = Path(__file__).parents[2] / "docs"
GO_LIVE = (DOCS / "go-live.md").read_text(encoding="utf-8")
TROUBLE = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown() -> list[str]:
    """Every command of ours that stands in a block, once."""
    lines = "".join(BLOCK.findall(GO_LIVE + TROUBLE)).splitlines()
    commands = [shlex.join(shlex.split(line, comments=True)) for line in lines]
    return list(dict.fromkeys(command for command in commands if command.startswith("tootsoo ")))


def test_every_check_has_its_heading_in_the_order_in_which_they_are_told() -> None:
    socialpay = SocialPaySettings(
        socialpay_base_url="https://instore.golomtbank.com",
        socialpay_terminal="95000059",
        socialpay_secret=SecretStr("x"),
    )
    loaded = a_loaded()
    with compose_doctor(
        replace(loaded, accounts=Accounts(qpay=loaded.accounts.qpay, socialpay=socialpay)), jobs=[OFTEN]
    ) as checks:
        names = [check.name for check in checks]

    assert re.findall(r"^### (.+)$", GO_LIVE, re.MULTILINE) == names


@pytest.mark.parametrize("page", [GO_LIVE, TROUBLE], ids=["go-live", "troubleshooting"])
def test_every_command_that_is_named_is_one_and_every_link_leads_somewhere(page: str) -> None:
    named = set(re.findall(r"\btootsoo ([a-z][a-z-]+)", page))
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    headings = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles]
    links = re.findall(r"\]\(([^)]+)\)", page)

    assert named <= set(_MODULE_OF)
    assert [one for one in links if one.startswith("#") and one[1:] not in headings] == []
    assert [one for one in links if not one.startswith("#") and not (DOCS / one).exists()] == []


@pytest.mark.slow
def test_every_command_that_is_shown_runs(tmp_path: Path, stack: Stack) -> None:
    stack.put()
    stack.pay_link()
    ended = {command: run(tmp_path, command.removeprefix("tootsoo "), **env_of(stack)) for command in shown()}

    assert len(ended) > 12
    wrong = {command: done.stderr for command, done in ended.items() if done.returncode not in {0, 1}}
    assert wrong == {}
    assert not any("Traceback" in done.stderr for done in ended.values())
