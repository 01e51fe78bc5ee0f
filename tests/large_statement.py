"""A large statement: a line for each of as many invoices, over a month."""

from dataclasses import replace

import psycopg

from tests.statements import Said, running


def owe(url: str, count: int) -> None:
    """Invoices of 1,000 to 1,006 that nothing was paid on."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=tootsoo") as superuser:
        superuser.execute(
            "INSERT INTO invoice (id, description, receiver_code, created_at)"
            " SELECT 'order-' || n, 'An order', 'terminal', now() FROM generate_series(0, %(last)s - 1) n",
            {"last": count},
        )
        superuser.execute(
            "INSERT INTO invoice_change (invoice_id, kind, amount_minor, currency, changed_at)"
            " SELECT 'order-' || n, 'amount', 100 * (1000 + n %% 7), 'MNT', now()"
            " FROM generate_series(0, %(last)s - 1) n",
            {"last": count},
        )
        superuser.execute(
            "INSERT INTO invoice_balance (invoice_id, currency, due_minor)"
            " SELECT 'order-' || n, 'MNT', 100 * (1000 + n %% 7) FROM generate_series(0, %(last)s - 1) n",
            {"last": count},
        )
        superuser.execute("VACUUM (ANALYZE)")


def lines_of(count: int) -> list[Said]:
    """The line that pays each of them, over a month."""
    said = running(*[(1_000 + number % 7, f"Төлбөр order-{number} Бат") for number in range(count)], minutes=0)
    return [replace(one, at=one.at.replace(day=1 + number * 28 // count)) for number, one in enumerate(said)]
