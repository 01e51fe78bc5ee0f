"""What people type is checked before anything happens, and what they are told is true, in one line or in JSON."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.money import money
from tests import command_line
from tests.adapters.postgres.samples import NOON, append, put
from tests.domain.samples import an_event
from tests.worker.test_cli import QPAY
from worker.settings import environment_without_settings


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    """Invoice order-1 with 100 of qpay:7; order-2 with nothing; 100 USD of qpay:8 in suspense."""
    with open_pool(database_url, size=2) as pool:
        for invoice_id in ("order-1", "order-2"):
            put(Invoices(pool), invoice_id, amount="100")
        dollars = replace(an_event("8", invoice_id=None), amount=money("100", currency="USD"))
        append(Ledger(pool), [an_event("7", amount="100"), dollars])
        yield pool


def tootsoo(
    folder: Path, database_url: str, *words: str | bytes, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    inherited = environment_without_settings()
    environment = {**inherited, "DATABASE_URL": database_url, "NO_COLOR": "1", "COLUMNS": "200", **(env or {})}
    return command_line.run(folder, [os.fsdecode(word) for word in words], environment)


def question(number: int, *, detail: str = "?") -> Discrepancy:
    return Discrepancy(
        kind=DiscrepancyKind.UNKNOWN_STATUS,
        gateway="qpay",
        subject=str(number),
        fingerprint="",
        detail=detail,
        invoice_id=None,
        payment_id=None,
    )


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(
    "words",
    [
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", ""],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", b"\xff"],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x" * 1_001],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--who", "x" * 101],
        ["refund", "qpay:7", "--invoice", b"\xff", "--reason", "x"],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--key", "x" * 26_000],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--amount", "1e2"],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--amount", "1_0"],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--amount", "\uff11"],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--amount", "0"],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--amount=-5"],
        ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--amount", "5", "--currency", "ZZZ"],
        ["refund", "qpay: 7", "--invoice", "order-1", "--reason", "x"],
        ["assign", "qpay:7", "order-2", "--reason", "x", "--from", "order-1", "--from-suspense"],
        ["void", "order-1", "--reason", " "],
        ["void", "order-1", "--reason", "x", "--who", "x" * 101],
        ["discrepancies", "resolve", "1", "--reason", ""],
    ],
)
def test_what_cannot_be_meant_is_one_line_and_2(tmp_path: Path, database_url: str, words: list[str | bytes]) -> None:
    done = tootsoo(tmp_path, database_url, *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tootsoo: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("pool")
def test_what_is_refused_says_where_the_money_is(tmp_path: Path, database_url: str) -> None:
    elsewhere = tootsoo(tmp_path, database_url, "refund", "qpay:7", "--invoice", "order-2", "--reason", "x")
    unknown = tootsoo(tmp_path, database_url, "refund", "qpay:9", "--invoice", "order-1", "--reason", "x")
    there = tootsoo(tmp_path, database_url, "assign", "qpay:7", "order-1", "--reason", "x", "--json")

    assert (elsewhere.returncode, unknown.returncode, there.returncode) == (1, 1, 1)
    assert elsewhere.stderr == "tootsoo: no such payment there: nothing of it is there; order-1 had it\n"
    assert unknown.stderr == "tootsoo: no such payment there: it is not recorded\n"
    assert json.loads(there.stdout)["error"] == {
        "code": "ALREADY_THERE",
        "message": "it is on that invoice already",
    }


@pytest.mark.usefixtures("pool")
def test_a_part_of_dollars_in_suspense_is_refunded(tmp_path: Path, database_url: str) -> None:
    asked = ["refund", "qpay:8", "--reason", "x", "--amount", "40"]
    tugrug = tootsoo(tmp_path, database_url, *asked)
    dollars = tootsoo(tmp_path, database_url, *asked, "--currency", "USD", "--json")

    assert (tugrug.returncode, tugrug.stderr) == (1, "tootsoo: the payment is in USD: say --currency\n")
    assert json.loads(dollars.stdout)["events"][0]["amount"] == "40"


@pytest.mark.usefixtures("pool")
def test_an_unknown_gateway_is_asked_for_nothing(tmp_path: Path, database_url: str, redis_url: str) -> None:
    done = tootsoo(
        tmp_path, database_url, "refund", "foo:1", "--at-gateway", "--reason", "x", env={"REDIS_URL": redis_url, **QPAY}
    )

    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "tootsoo: there is no gateway foo here")
    assert "Traceback" not in done.stderr


def test_a_lock_that_is_held_too_long_is_one_line(tmp_path: Path, database_url: str, pool: Pool) -> None:
    words = ["refund", "qpay:7", "--invoice", "order-1", "--reason", "x", "--json"]
    with pool.connection() as connection, connection.transaction():
        connection.execute("SELECT FROM invoice_balance FOR UPDATE")

        done = tootsoo(tmp_path, database_url, *words)

    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["error"]["code"] == "DATABASE_BUSY"


def test_a_gateways_word_hides_no_question_and_moves_no_cursor(tmp_path: Path, database_url: str, pool: Pool) -> None:
    Discrepancies(pool).ask(question(1, detail="the gateway calls it [/red]x \x1b[2J"), now=NOON)

    listed = tootsoo(tmp_path, database_url, "discrepancies", "list")
    shown = tootsoo(tmp_path, database_url, "discrepancies", "show", "1")

    assert (listed.returncode, shown.returncode) == (1, 0)
    for done in (listed, shown):
        assert "[/red]x" in done.stdout
        assert "\x1b" not in done.stdout


@pytest.mark.slow
def test_more_questions_than_a_page_are_announced(tmp_path: Path, database_url: str, pool: Pool) -> None:
    with pool.connection() as connection, connection.transaction():
        connection.execute(
            "INSERT INTO discrepancy (kind, gateway, subject, fingerprint, detail, state, first_seen_at, last_seen_at)"
            " SELECT 'unknown_status', 'qpay', n::text, '', '?', 'open', now(), now() FROM generate_series(1, 1001) n"
        )

    listed = tootsoo(tmp_path, database_url, "discrepancies", "list")
    first = json.loads(tootsoo(tmp_path, database_url, "discrepancies", "list", "--json").stdout)
    after = ["discrepancies", "list", "--after", str(first["next"]), "--json"]
    rest = json.loads(tootsoo(tmp_path, database_url, *after).stdout)

    assert f"--after {first['next']}" in listed.stdout.splitlines()[-1]
    assert (len(first["discrepancies"]), len(rest["discrepancies"]), rest["next"]) == (1_000, 1, None)


def test_a_question_that_was_withdrawn_is_told_so(tmp_path: Path, database_url: str, pool: Pool) -> None:
    Discrepancies(pool).ask(question(1), now=NOON)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("UPDATE tootsoo.discrepancy SET state = 'withdrawn'")

    done = tootsoo(tmp_path, database_url, "discrepancies", "resolve", "1", "--reason", "x")

    assert done.returncode == 1
    assert "was withdrawn" in done.stderr
