"""Reconciliations: what is recorded of a day's payments, and what comparing it with the gateway's list came to."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from adapters.postgres.connection import Pool, Row
from adapters.postgres.discrepancies import State, ask_all
from adapters.postgres.queries import load_queries
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.money import from_minor_units, minor_units
from domain.payment_event import OccurredAtSource
from domain.reconciliation import OnRecord
from domain.tally import Figures, Sums, Tally

_queries = load_queries("reconciliations")

IDS_PAGE = 2_000
"""Ids of a day's payments read at once."""

KEEP_DAYS = 400
FORGET_PAGE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that was asked about a payment, and where it stands."""

    id: int
    kind: DiscrepancyKind
    subject: str
    fingerprint: str
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRun:
    """The last comparison of a day that left nothing open."""

    id: int
    state: str


Ask = Callable[[CleanRun | None], Sequence[Discrepancy]]
"""Says what is to be asked about a day, knowing its last clean comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """When a day was last compared."""

    began_at: datetime
    tonight: bool
    """In the night that was asked about."""
    calls_tonight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One comparison of a day. Times are UTC."""

    gateway: str
    day: date
    night: date | None
    began_at: datetime
    ended_at: datetime
    list_calls: int
    listed_rows: int
    tally: Tally


class Reconciliations:
    """What comparisons read and write. Each method is one statement, or one transaction where it says so."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def on_record(self, gateway: str, payment_ids: Collection[str]) -> Mapping[str, OnRecord]:
        """Return those of a gateway's payments that are recorded, by id."""
        with self._pool.connection() as connection:
            rows = _queries.on_record(connection, gateway=gateway, payment_ids=sorted(payment_ids))
            return {row["payment_id"]: _on_record(row) for row in rows}

    def ids_on_day(
        self, gateway: str, *, since: datetime, until: datetime, recorded_before: datetime, after: str
    ) -> list[str]:
        """Return up to `IDS_PAGE` ids behind `after` of payments of [`since`, `until`), in id order."""
        with self._pool.connection() as connection:
            rows = _queries.ids_on_day(
                connection,
                gateway=gateway,
                since=since,
                until=until,
                recorded_before=recorded_before,
                after=after,
                page=IDS_PAGE,
            )
            return [row["payment_id"] for row in rows]

    def learn_days(self, gateway: str, paid_at: Mapping[str, datetime]) -> None:
        """Write when payments were paid, for those whose record has another day."""
        with self._pool.connection() as connection:
            _queries.learn_days(connection, gateway=gateway, payment_ids=list(paid_at), paid_at=list(paid_at.values()))

    def questions_about(
        self, gateway: str, subjects: Collection[str], *, kinds: Collection[DiscrepancyKind]
    ) -> list[Question]:
        """Return the questions of these kinds about these subjects, but those that a later check withdrew."""
        with self._pool.connection() as connection:
            rows = _queries.questions_about(connection, gateway=gateway, kinds=sorted(kinds), subjects=sorted(subjects))
            return [
                Question(
                    id=row["id"],
                    kind=DiscrepancyKind(row["kind"]),
                    subject=row["subject"],
                    fingerprint=row["fingerprint"],
                    state=State(row["state"]),
                )
                for row in rows
            ]

    def gateways_with_payments(self, *, since: datetime, until: datetime) -> set[str]:
        """Return the gateways that have payments of [`since`, `until`), by the times that they were recorded with."""
        with self._pool.connection() as connection:
            rows = _queries.gateways_with_payments(connection, since=since, until=until)
            return {row["gateway"] for row in rows}

    def figures_on_day(self, gateway: str, *, since: datetime, until: datetime) -> Sums:
        """Return what is recorded of a gateway's payments of [`since`, `until`); whatever was given back is in it."""
        with self._pool.connection() as connection:
            rows = _queries.figures_on_day(connection, gateway=gateway, since=since, until=until)
            return {row["currency"]: _figures(row) for row in rows}

    def first_issued_at(self, gateway: str) -> datetime | None:
        """Return when the first QR of a gateway was issued; None when there is none."""
        with self._pool.connection() as connection:
            issued_at: datetime | None = _queries.first_issued_at(connection, gateway=gateway)
        return issued_at

    def last_clean(self, gateway: str, day: date) -> CleanRun | None:
        """Return the last comparison of a day that left nothing open; None when none ever did."""
        with self._pool.connection() as connection:
            return _last_clean(_queries.last_clean(connection, gateway=gateway, day=day))

    def save(self, run: Run, *, ask: Ask) -> int:
        """Write a comparison, ask what `ask` makes of the last clean one before it; return how many questions opened.

        One transaction; two comparisons of one day are written one after the other.
        """
        with self._pool.connection() as connection, connection.transaction():
            list(_queries.lock_day(connection, gateway=run.gateway, day=run.day))
            clean = _last_clean(_queries.last_clean(connection, gateway=run.gateway, day=run.day))
            _queries.save_run(
                connection,
                gateway=run.gateway,
                day=run.day,
                night=run.night,
                began_at=run.began_at,
                ended_at=run.ended_at,
                list_calls=run.list_calls,
                listed_rows=run.listed_rows,
                verdicts=json.dumps({verdict.value: count for verdict, count in run.tally.counts.items()}),
                figures=json.dumps(_figures_json(run.tally)),
                open=run.tally.open,
                state=run.tally.state,
            )
            return ask_all(connection, ask(clean), now=run.ended_at)

    def compared(self, gateway: str, *, first: date, last: date, night: date) -> Mapping[date, Compared]:
        """Return when days were last compared, of those that ever were."""
        with self._pool.connection() as connection:
            rows = _queries.compared(connection, gateway=gateway, first=first, last=last, night=night)
            return {
                row["day"]: Compared(
                    began_at=row["began_at"], tonight=row["tonight"], calls_tonight=int(row["calls_tonight"])
                )
                for row in rows
            }

    def forget(self) -> int:
        """Remove comparisons that were made more than `KEEP_DAYS` ago, page by page, and return how many."""
        forgotten = 0
        while True:
            with self._pool.connection() as connection:
                removed: int = _queries.forget_runs(connection, keep_days=KEEP_DAYS, page=FORGET_PAGE)
            forgotten += removed
            if removed < FORGET_PAGE:
                return forgotten


def _last_clean(row: Row | None) -> CleanRun | None:
    return CleanRun(**row) if row else None


def _on_record(row: Row) -> OnRecord:
    currency = row["currency"]
    return OnRecord(
        payment_id=row["payment_id"],
        received=from_minor_units(int(row["received_minor"]), currency=currency),
        refunded=from_minor_units(int(row["refunded_minor"]), currency=currency),
        refunded_by_gateway=from_minor_units(int(row["refunded_by_gateway_minor"]), currency=currency),
        in_suspense=from_minor_units(int(row["in_suspense_minor"]), currency=currency),
        fee=None if row["fee_minor"] is None else from_minor_units(row["fee_minor"], currency=currency),
        invoice_id=row["invoice_id"],
        gateway_invoice_id=row["gateway_invoice_id"],
        issued_at=row["issued_at"],
        occurred_at=row["occurred_at"],
        occurred_at_source=OccurredAtSource(row["occurred_at_source"]),
        paid_at=row["paid_at"],
    )


def _figures(row: Row) -> Figures:
    currency = row["currency"]
    return Figures(
        count=row["count"],
        gross=from_minor_units(int(row["gross_minor"]), currency=currency),
        refunded=from_minor_units(int(row["refunded_minor"]), currency=currency),
        fee=from_minor_units(int(row["fee_minor"]), currency=currency),
        fees_unknown=row["fees_unknown"],
    )


def _figures_json(tally: Tally) -> dict[str, object]:
    sides = {"there": tally.there, "here": tally.here}
    return {
        currency: {side: _side_json(sums[currency]) for side, sums in sides.items() if currency in sums}
        for currency in sorted({*tally.there, *tally.here})
    }


def _side_json(figures: Figures) -> dict[str, int]:
    return {
        "count": figures.count,
        "gross_minor": minor_units(figures.gross),
        "refunded_minor": minor_units(figures.refunded),
        "fee_minor": minor_units(figures.fee),
        "fees_unknown": figures.fees_unknown,
    }
