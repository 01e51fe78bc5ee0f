"""The commands replay and verify: what they print, for people and machines, and how they end."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.comparison import Difference
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.findings import Finding
from adapters.postgres.horizon import Horizons
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.replay import the_one_replay
from adapters.postgres.seals import Seals
from domain.payment_event import Kind
from domain.seal import SealKey
from tests.adapters.postgres.samples import append, put
from tests.domain.samples import an_event
from tests.filled import superuser
from tests.worker.test_cli import run
from worker.cli.differences import SHOWN_MAX
from worker.seal import Seal
from worker.verify_ledger import verify_ledger

SECRET = "a seal secret that only tests know"

Tootsoo = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=4) as pool:
        yield pool


@pytest.fixture
def paid(pool: Pool) -> Ledger:
    """Two invoices; one is paid and a part of it refunded; something is in suspense."""
    invoices, ledger = Invoices(pool), Ledger(pool)
    put(invoices, "order-1", amount="100")
    put(invoices, "order-2", amount="100")
    append(ledger, [an_event("1", amount="100"), an_event("2", amount="7", invoice_id=None)])
    append(ledger, [an_event("1", amount="10", kind=Kind.REFUNDED, ref="key")])
    return ledger


@pytest.fixture
def tootsoo(tmp_path: Path, database_url: str) -> Tootsoo:
    def call(command: str, **env: str) -> tuple[int, str, str]:
        done = run(tmp_path, command, DATABASE_URL=database_url, **env)
        return done.returncode, done.stdout, done.stderr

    return call


def damage(database_url: str, *statements: str) -> None:
    with superuser(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("ALTER TABLE payment_event DISABLE TRIGGER append_only")
        for statement in statements:
            connection.execute(statement)


# --- replay -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("paid")
def test_the_difference_is_there_for_machines(database_url: str, tootsoo: Tootsoo) -> None:
    damage(
        database_url,
        "UPDATE invoice_balance SET received_minor = 0, first_paid_at = NULL WHERE invoice_id = 'order-1'",
        "UPDATE payment SET refunded_minor = 0",
        "UPDATE suspense_balance SET received_minor = 800",
    )

    code, out, err = tootsoo("replay --json")

    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told.pop("seconds") > 0
    assert told == {
        "events": 3,
        "invoices": 2,
        "changed": 3,
        "difference": [
            {"invoice": "order-1", "column": "received", "live": mnt("0.00"), "rebuilt": mnt("100.00")},
            {"invoice": "order-1", "column": "firstPaidAt", "live": None, "rebuilt": "2026-11-22T04:00:00Z"},
            {
                "invoice": "order-1",
                "column": "refunded of payment qpay:1",
                "live": mnt("0.00"),
                "rebuilt": mnt("10.00"),
            },
            {"invoice": None, "column": "received of suspense at qpay", "live": mnt("8.00"), "rebuilt": mnt("7.00")},
        ],
    }
    assert json.loads(tootsoo("replay --json")[1])["difference"] == []


def mnt(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "MNT"}


@pytest.mark.usefixtures("paid")
def test_the_difference_is_money_for_people(database_url: str, tootsoo: Tootsoo) -> None:
    damage(database_url, "UPDATE invoice_balance SET received_minor = 150000000 WHERE invoice_id = 'order-1'")

    looked, repaired, again = tootsoo("replay --dry-run"), tootsoo("replay --invoice order-1"), tootsoo("replay")

    line = "✗ order-1: received is 1,500,000 ₮, its events come to 100 ₮"
    assert (looked[0], repaired[0], again[0]) == (1, 0, 0)
    assert looked[1].splitlines()[0] == repaired[1].splitlines()[0] == line
    assert "1 rows differ" in looked[1]
    assert "1 were written" in repaired[1]
    assert "every balance is what its events come to" in again[1]
    assert looked[2] + repaired[2] + again[2] == ""


def test_a_second_replay_at_once_and_an_unknown_invoice_are_refused_in_a_line(pool: Pool, tootsoo: Tootsoo) -> None:
    with the_one_replay(pool):
        second = tootsoo("replay")
        looking = tootsoo("replay --dry-run")
    unknown = tootsoo("replay --invoice order-9 --json")

    assert second == (1, "", "tootsoo: another replay is running: wait until it has ended\n")
    assert looking[0] == 0
    assert unknown == (1, "", "tootsoo: there is no invoice of that id\n")


def test_more_differences_than_anybody_reads_are_left_to_machines(
    database_url: str, pool: Pool, tootsoo: Tootsoo
) -> None:
    put(Invoices(pool))
    damage(
        database_url,
        "INSERT INTO payment (gateway, payment_id, currency)"
        " SELECT 'qpay', 'x' || n, 'MNT' FROM generate_series(1, 400) AS n",
    )

    code, out, _ = tootsoo("replay --dry-run")
    told = json.loads(tootsoo("replay --json")[1])

    assert code == 1
    assert (len(told["difference"]), told["changed"]) == (3 * 400, 400)
    assert out.count("✗ suspense: ") == SHOWN_MAX < 3 * 400
    assert "✗ and more; --json has all of them" in out


# --- verify -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("paid")
def test_what_is_right_verifies_with_its_sums_and_says_that_nothing_is_sealed(tootsoo: Tootsoo) -> None:
    words, machines = tootsoo("verify"), tootsoo("verify --json")

    assert (words[0], machines[0]) == (0, 0)
    assert words[2] == "· The seals are not verified: SEAL_SECRET is not set\n"
    assert words[1].splitlines() == [
        "· qpay: 3 events, received 107 ₮, refunded 10 ₮, in suspense 7 ₮",
        "✓ 3 events, 2 invoices; every balance is what its events come to; seals not verified",
    ]
    assert json.loads(machines[1]) == {
        "details": [],
        "events": 3,
        "invoices": 2,
        "differences": 0,
        "sealsOk": False,
    }


DAMAGES = {
    "UPDATE invoice_balance SET received_minor = 5 WHERE invoice_id = 'order-1'": ("balance", "received"),
    "UPDATE invoice_balance SET last_paid_at = now() WHERE invoice_id = 'order-1'": ("balance", "lastPaidAt"),
    "UPDATE invoice_balance SET voided_at = now() WHERE invoice_id = 'order-2'": ("balance", "voidedAt"),
    "UPDATE invoice_balance SET due_minor = 5 WHERE invoice_id = 'order-2'": ("balance", "due"),
    "UPDATE payment SET received_minor = 99999 WHERE payment_id = '1'": ("sum", "received"),
    "DELETE FROM suspense_balance": ("balance", "received of suspense at qpay"),
    "ALTER TABLE invoice_balance ALTER status DROP EXPRESSION; UPDATE invoice_balance SET status = 'void'": (
        "derived", "status",
    ),
    "ALTER TABLE invoice_balance ALTER net_minor DROP EXPRESSION; UPDATE invoice_balance SET net_minor = 4": (
        "derived", "net",
    ),
    "UPDATE payment_event SET invoice_id = 'nowhere' WHERE payment_id = '2'": ("reference", None),
    "UPDATE payment_event SET gateway_invoice_id = gen_random_uuid() WHERE payment_id = '2'": ("reference", None),
    "UPDATE payment_event SET currency = 'USD' WHERE payment_id = '1' AND kind = 'refunded'": ("reference", None),
    "UPDATE payment_event SET payment_id = '3' WHERE kind = 'refunded'": ("reference", None),
    "UPDATE payment_event SET amount_minor = 10001 WHERE kind = 'refunded'": ("refunded", "refunded"),
    "UPDATE payment_event SET kind = 'unassigned' WHERE kind = 'refunded'": ("moved", None),
    "DELETE FROM invoice_change WHERE invoice_id = 'order-2'": ("reference", None),
    "UPDATE invoice_change SET invoice_id = 'nowhere' WHERE invoice_id = 'order-2'": ("reference", None),
}  # fmt: skip


def named(what: Difference | Finding) -> tuple[str, str | None]:
    if isinstance(what, Finding):
        return what.problem, what.column
    return "balance", what.column if what.of is None else f"{what.column} of {what.of}"


@pytest.mark.usefixtures("paid")
@pytest.mark.parametrize(("statement", "expected"), DAMAGES.items())
def test_whatever_was_damaged_is_found_and_nothing_is_written(
    database_url: str, pool: Pool, statement: str, expected: tuple[str, str | None]
) -> None:
    damage(database_url, "ALTER TABLE invoice_change DISABLE TRIGGER append_only", statement)

    first, again = list[Any](), list[Any]()

    report = verify_ledger(pool, show=first.append, tell=lambda _: None)
    verify_ledger(pool, show=again.append, tell=lambda _: None)

    assert expected in [named(one) for one in first]
    assert (first, report.differences) == (again, len(first))


@pytest.mark.slow
@pytest.mark.usefixtures("paid")
def test_what_verify_finds_is_there_for_people_and_machines(database_url: str, tootsoo: Tootsoo) -> None:
    damage(database_url, "UPDATE payment_event SET amount_minor = 10001 WHERE kind = 'refunded'")

    words, machines = tootsoo("verify"), tootsoo("verify --json")

    told = json.loads(machines[1])
    assert (words[0], machines[0]) == (1, 1)
    assert "✗ qpay:1: more was refunded than received: refunded is 100.01 ₮, should be 100 ₮" in words[1]
    assert told["differences"] == len(told["details"])
    assert told["details"][-2] == {
        "problem": "sum",
        "invoice": None,
        "column": "refunded",
        "live": mnt("10.00"),
        "rebuilt": mnt("100.01"),
        "payment": "qpay",
        "detail": "all payments at the gateway together are not what the events come to",
    }


def test_the_seals_are_verified_where_there_is_a_secret(
    database_url: str, pool: Pool, paid: Ledger, tootsoo: Tootsoo
) -> None:
    assert len(paid.payments(after=0, page=10)) == 3
    key = SealKey.of(SECRET)
    Seal(seals=Seals(pool), horizons=Horizons(pool), key=key, clock=lambda: datetime(2026, 11, 22, 4, tzinfo=UTC))()
    head = tootsoo("verify --head")[1].strip()

    intact = details(tootsoo(f"verify --json --expect-head {head}", SEAL_SECRET=SECRET))
    damage(database_url, "UPDATE payment_event SET who = 'nobody' WHERE payment_id = '2'")
    changed = details(tootsoo("verify --json", SEAL_SECRET=SECRET))
    unable = tootsoo(f"verify --expect-head {head}")

    assert (intact["sealsOk"], intact["details"]) == (True, [])
    assert (changed["sealsOk"], changed["differences"]) == (False, 1)
    assert [(one["problem"], one["payment"]) for one in changed["details"]] == [("seal", "qpay:2")]
    assert (unable[0], unable[2][:31]) == (2, "tootsoo: SEAL_SECRET is missing")


def details(told: tuple[int, str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(told[1])
    return parsed
