"""The state of the installation as numbers: what is due, what waits for a person, what lies in suspense."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.postgres.connection import Connection, Pool
from adapters.postgres.queries import load_queries
from adapters.postgres.schema import require_schema_of
from domain.check_request import RING_AGAIN_S

_queries = load_queries("state")

CHECKOUT_TIMEOUT_S = 1.5
"""Less than a request waits: whoever asks for the state waits for Redis as well."""

STATEMENT_TIMEOUT_MS = 2_000
"""Each of the few statements takes milliseconds."""

COUNTED_MAX = 50_000
"""What is more is not counted: the oldest come first, and nobody needs the rest to the last one. Milliseconds."""

LISTED_MAX = 50
"""Gateways with currencies, and jobs. There are a few of each; a limit keeps a mistake from becoming many metrics."""


class ReadOnlyError(Exception):
    """PostgreSQL answers, and refuses to write: a standby, or an operator's setting."""


COMPARISONS_MAX = 5_000
"""The comparisons of the last weeks: what is older was compared again since, or will not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """How one job of the schedule stands."""

    done_ago_s: float | None
    """Since it was last done; None when it never was."""
    unfinished_s: float
    """Since the oldest run was entered that has not ended; 0 when there is none."""
    failed: bool
    """The last run that ended was given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledState:
    """How the comparison with one gateway's list stands."""

    behind_s: float
    """Since the end of the newest day that was compared, by UTC."""
    open: int
    """Payments that were open when their day was last compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What PostgreSQL holds at one moment, by its own clock. Counts end at `COUNTED_MAX`."""

    check_requests: Mapping[str, int]
    """Asked for and not answered: `due`, `running`, or `waiting` for their time."""
    oldest_due_s: float
    """How long the check waits that has been due the longest; 0 when none is."""
    unrung_s: float
    """How long a worker should have been woken for one of them, and was not; 0 when all were."""
    discrepancies: Mapping[str, int]
    """Open ones, by kind; kinds without any are absent."""
    suspense_minor: Mapping[tuple[str, str], int]
    """By gateway and currency, in minor units."""
    parked: Mapping[str, int] = field(default_factory=dict)
    """What waits for a person: `check`, `close` and `notification`."""
    notifications_pending: int = 0
    """Staged, and neither delivered nor given up."""
    oldest_notification_s: float = 0.0
    """Since the oldest of these was staged; 0 when there is none."""
    jobs: Mapping[str, JobState] = field(default_factory=dict)
    owed_qrs: int = 0
    """Invoices whose QR was closed to be renewed, and that have no other yet."""
    owed_qr_oldest_s: float = 0.0
    """How long the first of them has been without."""
    found: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Payments that became known in the last day, by gateway and by what made us look."""
    reconciled: Mapping[str, ReconciledState] = field(default_factory=dict)
    """By gateway; one whose list was never compared is absent."""


class StateStore:
    """Reads the state. Give it a pool of its own: it must be able to tell while all other connections are busy."""

    def __init__(self, pool: Pool, *, qpay_env: str) -> None:
        self._pool = pool
        self._qpay_env = qpay_env

    def read(self) -> State:
        """Read everything, in one transaction that is bounded in time by the server.

        Raises:
            SchemaError: the database is not one that this version can work on.
            ReadOnlyError: it can be read and not written.
            PoolTimeout, psycopg.Error: it cannot be reached, or did not answer in time.

        """
        with self._pool.connection(timeout=CHECKOUT_TIMEOUT_S) as connection, connection.transaction():
            _queries.bound_statements(connection, timeout_ms=str(STATEMENT_TIMEOUT_MS))
            require_schema_of(connection, qpay_env=self._qpay_env)
            if _queries.is_read_only(connection):
                raise ReadOnlyError("PostgreSQL takes no writes: it is a standby, or was set to be read-only")
            return _read(connection)


def _read(connection: Connection) -> State:
    asked = _queries.check_requests(connection, most=COUNTED_MAX, ring_again_s=RING_AGAIN_S)
    owed = _queries.owed_qrs(connection, most=COUNTED_MAX)
    return State(
        check_requests={state: asked[state] for state in ("due", "running", "waiting")},
        oldest_due_s=asked["oldest_due_s"],
        unrung_s=asked["unrung_s"] or 0.0,
        discrepancies={row["kind"]: row["open"] for row in _queries.open_discrepancies(connection, most=COUNTED_MAX)},
        suspense_minor={
            (row["gateway"], row["currency"]): row["net_minor"]
            for row in _queries.suspense(connection, most=LISTED_MAX)
        },
        parked=_read_parked(connection),
        jobs=_read_jobs(connection),
        owed_qrs=owed["count"],
        owed_qr_oldest_s=owed["oldest_s"],
        reconciled={
            row["gateway"]: ReconciledState(behind_s=row["behind_s"], open=row["open"])
            for row in _queries.reconciled(connection, most=COMPARISONS_MAX)
        },
        found={(row["gateway"], row["source"]): row["payments"] for row in _queries.found(connection, most=LISTED_MAX)},
        **_read_notifications(connection),
    )


def _read_notifications(connection: Connection) -> dict[str, Any]:
    row = _queries.notifications(connection, most=COUNTED_MAX)
    return {"notifications_pending": row["pending"], "oldest_notification_s": row["oldest_s"]}


def _read_parked(connection: Connection) -> Mapping[str, int]:
    row = _queries.parked(connection, most=COUNTED_MAX)
    return {"check": row["checks"], "close": row["closings"], "notification": row["notifications"]}


def _read_jobs(connection: Connection) -> Mapping[str, JobState]:
    return {
        row["job"]: JobState(
            done_ago_s=row["done_ago_s"], unfinished_s=row["unfinished_s"] or 0.0, failed=row["failed"]
        )
        for row in _queries.schedule(connection, most=LISTED_MAX)
    }
