"""The work that we and the peers do: the answers of checks, many of which tell again what was told before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from tests.bench.payments import raw_row

ROWS_PER_ANSWER = 5
PAYMENTS_PER_INVOICE = 9
"""Two answers of five rows; the second tells the first's last payment again: 10 % duplicates."""

DUE_MINOR = 5_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One PAID row of an answer."""

    payment_id: str
    amount_minor: int
    raw: dict[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one check answered about one invoice's QR."""

    invoice_id: str
    rows: tuple[Row, ...]


class Contestant(Protocol):
    """Somebody who does the work. `record` returns when the balances are right."""

    def record(self, answers: Sequence[Answer], /) -> None: ...

    def analyse(self) -> None:
        """Let PostgreSQL learn what the tables hold: plans that were made for empty ones are forgotten."""
        ...

    def balances(self) -> dict[str, int]:
        """Möngö received on each invoice that was paid on."""
        ...


def answers_of(invoice_ids: Sequence[str]) -> list[Answer]:
    """Every invoice's first answer, then every invoice's second."""
    rows = {
        invoice_id: [_row(invoice_id, number) for number in range(PAYMENTS_PER_INVOICE)] for invoice_id in invoice_ids
    }
    first = [Answer(invoice_id, tuple(rows[invoice_id][:ROWS_PER_ANSWER])) for invoice_id in invoice_ids]
    second = [Answer(invoice_id, tuple(rows[invoice_id][ROWS_PER_ANSWER - 1 :])) for invoice_id in invoice_ids]
    return first + second


def expected_balances(answers: Sequence[Answer]) -> dict[str, int]:
    """Each payment once: worked out without any of the contestants."""
    amounts = {(answer.invoice_id, row.payment_id): row.amount_minor for answer in answers for row in answer.rows}
    balances: dict[str, int] = {}
    for (invoice_id, _), amount_minor in amounts.items():
        balances[invoice_id] = balances.get(invoice_id, 0) + amount_minor
    return balances


def in_groups(answers: Sequence[Answer], rows: int) -> Iterator[Sequence[Answer]]:
    """Consecutive answers of about `rows` rows together."""
    size = rows // ROWS_PER_ANSWER
    return (answers[start : start + size] for start in range(0, len(answers), size))


def balances_in(connection: psycopg.Connection[Any], query: str) -> dict[str, int]:
    return dict(connection.execute(query.encode()).fetchall())


def analyse(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")


def _row(invoice_id: str, number: int) -> Row:
    payment_id = f"{invoice_id}-{number}"
    amount_minor = 100 * (1_000 + (7 * number + 13 * sum(invoice_id.encode())) % 9_000)
    return Row(payment_id, amount_minor, raw_row(payment_id, f"{amount_minor / 100:.2f}"))
