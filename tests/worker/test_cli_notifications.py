"""What was told and what not is listed, shown and sent again by commands."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.notifications import DeliveryState, Notifications
from domain.delivery import Lane, Reply
from tests.adapters.postgres.samples import append, put
from tests.domain.samples import an_event
from tests.worker.test_cli import run

GONE = Reply(status=410, reason="answered 410: [/red] \x1b[2J")
OK = Reply(status=204, reason="answered 204")


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=4) as pool:
        yield pool


@pytest.fixture
def notifications(pool: Pool) -> Notifications:
    """Of order-1 one delivered, one parked, one pending; one of no invoice."""
    put(Invoices(pool))
    for part in range(3):
        append(Ledger(pool), [an_event(str(part), amount="10")])
    append(Ledger(pool), [an_event("lost", invoice_id=None)])
    found = Notifications(pool, timeout_s=10)
    first = found.claim(Lane(invoice_id="order-1"), lease_token=uuid4())
    assert first is not None
    assert found.delivered(first, OK)
    second = found.claim(Lane(invoice_id="order-1"), lease_token=uuid4())
    assert second is not None
    assert found.park(second, GONE)
    return found


def answer(folder: Path, command: str, database_url: str, *, exits: int = 0) -> Any:
    done = run(folder, f"notifications {command} --json", DATABASE_URL=database_url)
    assert done.returncode == exits, done.stderr
    return json.loads(done.stdout)


def states(notifications: Notifications) -> list[str]:
    return [one.state.value for one in notifications.list(states=list(DeliveryState), after=0, page=9)]


def test_what_waits_or_is_parked_is_listed_and_exits_1(
    notifications: Notifications, database_url: str, tmp_path: Path
) -> None:
    listed = answer(tmp_path, "list", database_url, exits=1)
    delivered = answer(tmp_path, "list --state delivered --invoice order-1", database_url)
    words = run(tmp_path, "notifications list", DATABASE_URL=database_url)

    assert [(one["number"], one["state"], one["sequence"]) for one in listed["notifications"]] == [
        (2, "parked", 2),
        (3, "pending", 3),
        (4, "pending", None),
    ]
    assert [(one["number"], one["tries"], one["lastStatus"]) for one in delivered["notifications"]] == [(1, 1, 204)]
    assert (words.returncode, "answered 410: [/red]" in words.stdout, "\x1b[2J" in words.stdout) == (1, True, False)
    assert states(notifications) == ["delivered", "parked", "pending", "pending"]


def test_one_is_shown_with_what_is_sent(notifications: Notifications, database_url: str, tmp_path: Path) -> None:
    shown = answer(tmp_path, "show 3", database_url)
    words = run(tmp_path, "notifications show 2", DATABASE_URL=database_url)

    assert shown["webhookId"].startswith("msg_")
    assert shown["payload"]["type"] == "invoice.partially_paid"
    assert shown["payload"]["data"]["invoice"]["balance"]["received"] == {"amount": "30.00", "currency": "MNT"}
    assert shown["payload"]["data"]["payments"][0]["id"] == "qpay:2"
    assert "answered 410" in words.stdout
    assert notifications.read(3) is not None


def test_what_is_sent_again_is_pending_whatever_it_was(
    notifications: Notifications, database_url: str, tmp_path: Path
) -> None:
    assert answer(tmp_path, "resend --parked", database_url) == {"resent": 1}
    assert answer(tmp_path, "resend 1 4", database_url) == {"resent": 2}
    assert answer(tmp_path, "resend --unsent --since 2026-11-22", database_url, exits=1) == {"resent": 0}

    assert states(notifications) == ["pending"] * 4


@pytest.mark.parametrize(
    ("command", "exits", "says"),
    [
        ("show 99", 1, "there is no notification 99"),
        ("resend 1 98 99", 1, "there is no notification 98, 99"),
        ("resend", 2, "one of them"),
        ("resend 1 --parked", 2, "one of them"),
        ("resend --parked --since yesterday", 2, "--since should be a time such as"),
        ("resend 1 --since 2026-11-22", 2, "--since goes with"),
        ("list --invoice not/an/id", 2, "--invoice"),
        ("list --state lost", 2, "--state"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(
    notifications: Notifications, database_url: str, tmp_path: Path, command: str, exits: int, says: str
) -> None:
    done = run(tmp_path, f"notifications {command}", DATABASE_URL=database_url)

    assert (done.returncode, says in done.stderr) == (exits, True), done.stderr
    assert states(notifications) == ["delivered", "parked", "pending", "pending"]
