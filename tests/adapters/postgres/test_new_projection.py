"""Rehearses CONTRIBUTING's "New projection, old events": a column is added to balances, and old events fill it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import aiosql
import pytest

from adapters.postgres import comparison
from adapters.postgres import replay as writing
from adapters.postgres.connection import Pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger, StoredEvent
from adapters.postgres.queries import SQL
from domain.payment_event import Kind
from tests.adapters.postgres.samples import put
from tests.adapters.postgres.test_replay import a_history, run
from tests.filled import superuser

CONTRIBUTING = Path(__file__).parents[3] / "CONTRIBUTING.md"

MIGRATION = """
SET ROLE tootsoo_owner;
ALTER TABLE invoice_balance ADD COLUMN assigned_minor bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN invoice_balance.assigned_minor IS 'Moved to the invoice from elsewhere.';
RESET ROLE;
"""

SUM = "sum(CASE kind WHEN 'assigned' THEN amount_minor ELSE 0 END)"

COMPARISON = {
    "        count(*) AS events,\n": f"        count(*) AS events,\n        {SUM} AS assigned_minor,\n",
    "SELECT invoice_id, currency, due_minor,": "SELECT invoice_id, currency, assigned_minor, due_minor,",
    "coalesce(s.events, 0) AS events,": """coalesce(s.events, 0) AS events,
        coalesce(s.assigned_minor, 0) AS assigned_minor,""",
    "SELECT invoice_id, b.currency AS live_currency,": """SELECT invoice_id, b.assigned_minor AS live_assigned_minor,
        coalesce(r.assigned_minor, 0) AS assigned_minor, b.currency AS live_currency,""",
    "    invoice_id, live_currency, live_due_minor,": """    invoice_id, live_assigned_minor, assigned_minor,
        live_currency, live_due_minor,""",
    "    AND (live_currency,": "    AND (live_assigned_minor, live_currency,",
    "    (currency, due_minor, received_minor,": "    (assigned_minor, currency, due_minor, received_minor,",
    "    (2, 'due',": """    (0, 'assigned', to_jsonb(u.live_assigned_minor), to_jsonb(u.assigned_minor)),
    (2, 'due',""",
}
"""What changes in comparison.sql; ledger.sql gets the same sum where it adds to balances."""

REPLAY = {
    "    currency = r.currency,\n    due_minor": """    assigned_minor = r.assigned_minor,
    currency = r.currency,
    due_minor""",
    "    SELECT u.invoice_id,\n        CASE": """    SELECT u.invoice_id,
        CASE WHEN same.events THEN u.assigned_minor ELSE s.assigned_minor END AS assigned_minor,
        CASE""",
    "        SELECT coalesce(sum(CASE kind WHEN 'received'": f"""        SELECT coalesce({SUM}, 0) AS assigned_minor,
            coalesce(sum(CASE kind WHEN 'received'""",
    "    AND (b.currency, b.due_minor,": "    AND (b.assigned_minor, b.currency, b.due_minor,",
    "    (r.currency, r.due_minor,": "    (r.assigned_minor, r.currency, r.due_minor,",
}
"""What changes in replay.sql; insert_balances, for rows that are missing, would get the same."""


def changed(subject: str, changes: Mapping[str, str]) -> str:
    text = (SQL / f"{subject}.sql").read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{subject}.sql has changed: {old}"
        text = text.replace(old, new)
    return text


def fold_assigned(events: Iterable[StoredEvent]) -> int:
    """What the fold says of the new column."""
    assigned = 0
    for event in events:
        match Kind(event.kind):
            case Kind.ASSIGNED:
                assigned += event.amount_minor
            case Kind.RECEIVED | Kind.UNASSIGNED | Kind.REFUNDED:
                pass
    return assigned


def test_a_column_added_to_balances_is_filled_from_old_events(
    database_url: str, pool: Pool, invoices: Invoices, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_history(invoices, ledger)
    put(invoices, "order-4")
    with superuser(database_url) as connection:
        connection.execute(MIGRATION)
    monkeypatch.setattr(comparison, "_queries", aiosql.from_str(changed("comparison", COMPARISON), "psycopg"))
    monkeypatch.setattr(writing, "_queries", aiosql.from_str(changed("replay", REPLAY), "psycopg"))

    looked, shown = run(pool, dry_run=True)
    replayed, _ = run(pool)

    with pool.connection() as connection:
        rows = connection.execute("SELECT invoice_id, assigned_minor FROM invoice_balance").fetchall()
    recorded = ledger.payments(after=0, page=100)
    expected = {
        row["invoice_id"]: fold_assigned(event for event in recorded if event.invoice_id == row["invoice_id"])
        for row in rows
    }
    assert [(one.invoice, one.column, one.live, one.rebuilt) for one in shown] == [("order-3", "assigned", 0, 2_000)]
    assert {row["invoice_id"]: row["assigned_minor"] for row in rows} == expected
    assert (looked.unlike, replayed.changed, run(pool)[0].unlike) == (1, 1, 0)


def test_the_worked_example_is_the_one_that_is_rehearsed() -> None:
    page = CONTRIBUTING.read_text(encoding="utf-8")

    assert SUM in page
    assert "ALTER TABLE invoice_balance ADD COLUMN assigned_minor" in page
    assert Path(__file__).name in page
