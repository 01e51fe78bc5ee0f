"""Commands end with 0, 1 or 2, say in one line what is wrong, and show an example."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.connection import open_pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from tests import command_line
from tests.adapters.postgres.samples import append, put
from tests.domain.samples import an_event
from worker.settings import environment_without_settings

COMMANDS = [
    "demo",
    "up",
    "migrate",
    "web",
    "worker",
    "scheduler",
    "simulate",
    "keys create",
    "keys list",
    "keys revoke",
    "discover",
    "refresh",
    "replay",
    "parked list",
    "parked show",
    "parked retry",
    "notifications list",
    "notifications show",
    "notifications resend",
    "verify",
    "doctor",
    "explain",
    "reconcile",
]
NEEDS_DATABASE = [
    "migrate",
    "web",
    "worker",
    "scheduler",
    "keys list",
    "keys create shop",
    "keys revoke x",
    "discover",
    "discover --report",
    "refresh",
    "replay",
    "verify",
    "scheduler --list",
    "parked list",
    "parked show x",
    "parked retry --all",
    "notifications list",
    "notifications show 1",
    "notifications resend --parked",
    "verify --head",
    "verify --seals",
    "explain order-1",
]


def run(folder: Path, command: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = environment_without_settings()
    return command_line.run(folder, command.split(), {**inherited, **env, "NO_COLOR": "1", "COLUMNS": "120"})


def test_the_module_is_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "void", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0
    assert "Example: tootsoo void" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, f"{command} --help")

    assert done.returncode == 0
    assert f"Example: tootsoo {command}" in done.stdout


@pytest.mark.parametrize("command", NEEDS_DATABASE)
def test_without_servers_a_command_says_so_in_one_line_and_exits_2(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command)

    assert done.returncode == 2
    assert done.stderr.startswith("tootsoo: DATABASE_URL is missing")
    assert "tootsoo up" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["nonsense", "keys", "web --port 0", "keys create", "migrate --nonsense", "up --notify-url nonsense"]
)
def test_wrong_usage_exits_2(tmp_path: Path, command: str) -> None:
    assert run(tmp_path, command).returncode == 2


@pytest.mark.parametrize("command", ["demo", "up"])
def test_embedded_servers_are_refused_in_production(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, TOOTSOO_ENV="production")

    assert done.returncode == 2
    assert "production" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unreachable_servers_are_named_without_their_password(tmp_path: Path, database_url: str) -> None:
    at_once = {"START_WITHIN_S": "0"}
    postgres = run(tmp_path, "migrate", DATABASE_URL="postgresql://u:s3cret-word@127.0.0.1:1/shop", **at_once)
    redis = run(
        tmp_path, "scheduler", DATABASE_URL=database_url, REDIS_URL="redis://:s3cret-word@127.0.0.1:1/0", **at_once
    )

    assert (postgres.returncode, redis.returncode) == (1, 1)
    assert "PostgreSQL at 127.0.0.1:1/shop (DATABASE_URL) cannot be reached" in postgres.stderr
    assert "Redis at 127.0.0.1:1/0 (REDIS_URL) cannot be reached" in redis.stderr
    for done in (postgres, redis):
        assert "s3cret-word" not in done.stdout + done.stderr
        assert done.stderr.count("\n") == 1


QPAY = {
    "QPAY_BASE_URL": "http://127.0.0.1:1",
    "QPAY_USERNAME": "u",
    "QPAY_PASSWORD": "p",
    "QPAY_INVOICE_CODE": "c",
    "PUBLIC_URL": "http://127.0.0.1:1",
    "WEBHOOK_SECRET": "x" * 32,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:s3cret-word@127.0.0.1:5432/shop?no_such_option=1"),
        ("DATABASE_URL", "postgresql://u:%zzs3cret-word@127.0.0.1/shop"),
        ("DATABASE_URL", "postgresql://u:half@s3cret-word@127.0.0.1:1/shop"),
        ("REDIS_URL", "redis://127.0.0.1:1/0?no_such_option=s3cret-word"),
        ("QPAY_BASE_URL", "https://merchant.qpay.mn/v2"),
        ("QPAY_BASE_URL", "https://u:s3cret-word@merchant.qpay.mn"),
        ("QPAY_BASE_URL", "https://merchant.qpay.mn/?a=s3cret-word"),
        ("PUBLIC_URL", "https://u:s3cret-word@pay.example.mn"),
    ],
)
def test_a_setting_that_only_its_library_understands_is_one_line_too(
    tmp_path: Path, database_url: str, redis_url: str, name: str, value: str
) -> None:
    done = run(tmp_path, "web", **{"DATABASE_URL": database_url, "REDIS_URL": redis_url, **QPAY, name: value})

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"tootsoo: {name} is wrong: ")
    assert done.stderr.count("\n") == 1
    assert "s3cret-word" not in done.stderr


def test_a_taken_port_is_one_line(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(tmp_path, f"web --port {port}", DATABASE_URL=database_url, REDIS_URL=redis_url, **QPAY)

    assert done.returncode == 1
    assert done.stderr.startswith(f"tootsoo: web cannot listen on 127.0.0.1:{port}: ")
    assert done.stderr.count("\n") == 1


def test_a_dotenv_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"DATABASE_URL=\xff\xfe\n")

    done = run(tmp_path, "migrate")

    assert (done.returncode, done.stderr) == (2, "tootsoo: the file .env cannot be read: it should be text in UTF-8\n")


@pytest.mark.parametrize("command", ["web", "worker", "scheduler"])
def test_a_process_refuses_an_unmigrated_database_and_names_the_command(
    tmp_path: Path, blank_database_url: str, redis_url: str, command: str
) -> None:
    done = run(
        tmp_path,
        command,
        DATABASE_URL=blank_database_url,
        REDIS_URL=redis_url,
        **QPAY,
    )

    assert done.returncode == 1
    assert "tootsoo migrate" in done.stderr


def test_a_key_is_made_listed_and_revoked(tmp_path: Path, database_url: str) -> None:
    made = json.loads(run(tmp_path, "keys create shop --json", DATABASE_URL=database_url).stdout)
    listed = json.loads(run(tmp_path, "keys list --json", DATABASE_URL=database_url).stdout)["keys"]
    revoked = run(tmp_path, f"keys revoke {listed[0]['id']}", DATABASE_URL=database_url)
    unknown = run(tmp_path, "keys revoke 000000000000", DATABASE_URL=database_url)

    assert made["name"] == "shop"
    assert made["key"].startswith(f"tootsoo_{listed[0]['id']}_")
    assert (revoked.returncode, unknown.returncode) == (0, 1)


def test_people_correct_what_money_counts_for(tmp_path: Path, database_url: str) -> None:
    with open_pool(database_url, size=2) as pool:
        for invoice_id in ("order-1", "order-2"):
            put(Invoices(pool), invoice_id, amount="100")
        append(Ledger(pool), [an_event("7", amount="100")])

    def tootsoo(command: str) -> tuple[int, dict[str, Any]]:
        done = run(tmp_path, f"{command} --json", DATABASE_URL=database_url)
        return done.returncode, json.loads(done.stdout) if done.stdout else {}

    moved = tootsoo("assign qpay:7 order-2 --amount 40 --key k1 --who Bat --reason wrong-QR")
    again = tootsoo("assign qpay:7 order-2 --amount 40 --key k1 --who Bat --reason wrong-QR")
    back = tootsoo("refund qpay:7 --invoice order-2 --amount 10 --key k2 --who Bat --reason returned")
    too_much = tootsoo("refund qpay:7 --invoice order-2 --amount 31 --key k3 --reason returned")
    unknown = tootsoo("refund qpay:8 --invoice order-2 --reason returned")
    void = tootsoo("void order-1 --reason cancelled")
    questions = tootsoo("discrepancies list")

    assert [(event["kind"], event["invoice"]) for event in moved[1]["events"]] == [
        ("assigned", "order-2"),
        ("unassigned", "order-1"),
    ]
    assert again == (0, {"events": []})
    assert back[1]["events"] == [{"kind": "refunded", "invoice": "order-2", "amount": "10", "key": "k2"}]
    assert [(code, said["error"]["code"]) for code, said in (too_much, unknown)] == [
        (1, "MORE_THAN_RECEIVED"),
        (1, "PAYMENT_NOT_FOUND"),
    ]
    assert void == (0, {"invoice": "order-1", "status": "void"})
    assert (questions[0], [one["kind"] for one in questions[1]["discrepancies"]]) == (1, ["paid_after_void"])
    number = questions[1]["discrepancies"][0]["id"]
    assert tootsoo(f"discrepancies show {number}")[1]["state"] == "open"
    assert tootsoo(f"discrepancies resolve {number} --who Bat --reason refunded")[1]["outcome"] == "resolved"
    assert tootsoo(f"discrepancies resolve {number} --who Bat --reason refunded")[1]["outcome"] == "same"
    assert tootsoo(f"discrepancies resolve {number} --who Bat --reason otherwise")[0] == 1
    assert tootsoo("discrepancies list") == (0, {"discrepancies": [], "next": None})
    with open_pool(database_url, size=2) as pool:
        assert Ledger(pool).balances_unlike_events() == []


def test_migrating_tells_what_was_applied(tmp_path: Path, blank_database_url: str) -> None:
    first = json.loads(run(tmp_path, "migrate --json", DATABASE_URL=blank_database_url).stdout)
    second = run(tmp_path, "migrate", DATABASE_URL=blank_database_url)

    assert first["applied"][0] == "0001_invoices"
    assert (second.returncode, second.stdout) == (0, "Nothing to apply: the database is at this version\n")
