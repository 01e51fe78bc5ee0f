"""What a newcomer runs on one machine: the demo and `tootsoo up`, as real processes."""

import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest
import redis

from tests.waiting import wait_until
from worker.clock import utc_now
from worker.compose.database import open_keys
from worker.demo import STORIES, play_demo
from worker.local import StackSecrets, free_port, running_stack
from worker.settings import DatabaseSettings, environment_without_settings
from worker.webhook_token import WebhookTokens

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that servers may use which run as another user: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="tootsoo-journey-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    inherited = environment_without_settings()
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *arguments],
        cwd=folder,
        env={**inherited, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_ends_as_it_must_and_leaks_no_secret(folder: Path) -> None:
    kept = StackSecrets.make()
    with running_stack(
        folder / "demo",
        web_port=free_port(),
        simulator_port=free_port(),
        stack_secrets=kept,
        tell=lambda _: None,
    ) as stack:
        with open_keys(DatabaseSettings(database_url=stack.env["DATABASE_URL"])) as keys:
            api_key = keys.create("demo", now=utc_now())
        outcomes = play_demo(stack, api_key=api_key, tell=lambda _: None)
        secrets = [kept.webhook_secret, kept.qpay_password, kept.socialpay_secret, api_key, api_key.split("_", 2)[2]]
        secrets += _webhook_tokens(stack.env["DATABASE_URL"], kept) + _gateway_tokens(stack.env["REDIS_URL"])
        logs = {path.stem: path.read_text(encoding="utf-8") for path in stack.logs.glob("*.log")}

    assert [outcome.wrong for outcome in outcomes] == [()] * len(STORIES)
    assert {name: process.returncode for name, process in stack.processes.items()} == dict.fromkeys(stack.processes, 0)
    assert {"web", "worker", "scheduler", "simulator", "migrate"} <= set(logs)
    assert len(secrets) > 5 + len(STORIES)
    assert [name for name, text in logs.items() for secret in secrets if secret in text] == []
    _assert_one_payments_way_carries_the_same_ids(logs)


def _webhook_tokens(database_url: str, kept: StackSecrets) -> list[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT id FROM tootsoo.gateway_invoice").fetchall()
    tokens = WebhookTokens([kept.webhook_secret])
    return [tokens.make(UUID(str(row[0]))) for row in rows]


def _gateway_tokens(redis_url: str) -> list[str]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        stored = " ".join(str(client.get(key)) for key in client.keys("tootsoo:qpay:token:*"))
    return re.findall(r"[A-Za-z0-9_.-]{20,}", stored)


def _assert_one_payments_way_carries_the_same_ids(logs: dict[str, str]) -> None:
    lines = [json.loads(line) for name in ("web", "worker") for line in logs[name].splitlines()]
    way = [line for line in lines if line.get("invoice") == "order-1001" and line["event"] != "invoice.put"]

    told = {line["event"] for line in way}
    assert {
        "gateway.call",
        "pay_link.issued",
        "callback.taken",
        "check.started",
        "payment.recorded",
        "check.finished",
    } <= told
    assert len({line.get("gateway_invoice") for line in way}) == 1
    assert {line.get("gateway") for line in way} == {"qpay"}


@pytest.mark.slow
def test_the_demo_command_reports_in_json_and_leaves_nothing_behind(folder: Path) -> None:
    demo = start(folder, "demo", "--json")
    output, _ = demo.communicate(timeout=120)

    report = json.loads(output)
    assert demo.returncode == 0
    assert report["balancesUnlikeEvents"] == []
    assert {row["invoice"]: row["status"] for row in report["invoices"]} == {
        "order-1001": "paid",
        "order-1002": "paid",
        "order-1003": "paid",
        "order-1004": "unpaid",
        "order-1005": "paid",
        "order-1006": "paid",
        "order-1007": "paid",
    }
    assert not (folder / ".tootsoo" / "demo").exists()
    assert not (folder / ".tootsoo" / "run.json").exists()


@linux_only
@pytest.mark.parametrize("when_it_says", ["Starting PostgreSQL", "Migrating", "Starting simulator", "Waiting"])
@pytest.mark.slow
def test_a_killed_demo_leaves_no_process_behind_and_the_next_one_works(folder: Path, when_it_says: str) -> None:
    demo = start(folder, "demo")
    assert demo.stderr is not None
    assert demo.stdout is not None
    for line in demo.stderr:
        if when_it_says in line:
            break
    wait_until(lambda: len(descendants(demo.pid)) > 0)
    children = descendants(demo.pid)

    demo.kill()
    demo.wait()
    demo.stderr.close()
    demo.stdout.close()

    wait_until(lambda: not alive(children) and not processes_in(folder))


@pytest.mark.slow
@linux_only
def test_up_serves_what_it_prints_and_stops_cleanly(folder: Path) -> None:
    up = start(folder, "up", "--web-port", str(free_port()), "--simulator-port", str(free_port()))
    assert up.stdout is not None
    assert up.stderr is not None
    try:
        printed = ""
        while "Ctrl-C" not in printed:
            line = up.stdout.readline()
            assert line, up.stderr.read()
            printed += line
        put, ask, pay, look = commands_in(printed)

        assert run_curl(put).status_code == 201
        assert run_curl(ask).json()["gateway"] == "qpay"
        assert run_curl(pay).status_code == 201
        wait_until(lambda: run_curl(look).json()["balance"]["status"] == "paid")
        keys = start(folder, "keys", "list", "--json")
        listed, _ = keys.communicate(timeout=30)
        assert json.loads(listed)["keys"][0]["name"] == "tootsoo up"
        children = descendants(up.pid)
    finally:
        up.send_signal(signal.SIGINT)
        rest, errors = up.communicate(timeout=40)

    assert (up.returncode, errors) == (0, "")
    assert "Stopping" in rest
    assert not alive(children)
    lost = start(folder, "keys", "list")
    _, complaint = lost.communicate(timeout=30)
    assert lost.returncode == 2
    assert "DATABASE_URL is missing" in complaint


def commands_in(printed: str) -> list[list[str]]:
    joined = printed.replace("\\\n", " ")
    return [shlex.split(line[line.index("curl ") :]) for line in joined.splitlines() if "curl " in line]


def run_curl(command: list[str]) -> httpx.Response:
    """Do what curl would, on a machine that may not have it."""
    method, headers, data, url = "GET", {}, None, ""
    words = iter(command[1:])
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, value = next(words).split(": ", 1)
                headers[name] = value
            case "-d":
                data = next(words)
                headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            case _:
                url = word
    return httpx.request(method, url, headers=headers, content=data, timeout=20, trust_env=False)


def descendants(pid: int) -> set[int]:
    """All processes below this one, now."""
    parents = {int(path.name): parent for path in Path("/proc").glob("[0-9]*") if (parent := _parent(path)) is not None}
    found: set[int] = set()
    while new := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= new
    return found


def processes_in(folder: Path) -> set[int]:
    """All processes that were started on something in this folder."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended while we looked
            if str(folder).encode() in (path / "cmdline").read_bytes():
                found.add(int(path.name))
    return found


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if _parent(Path("/proc") / str(pid)) is not None}


def _parent(path: Path) -> int | None:
    with suppress(OSError):  # it ended while we looked
        state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
        return None if state == "Z" else int(parent)
    return None
