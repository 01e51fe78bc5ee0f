"""What a large statement of a bank costs, read in twice, against the bare statements that write its rows once."""

import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic_core import to_json

from tests import statements as written
from tests.bench.database import database, load_bench_queries, running_server, superuser
from tests.bench.figures import Figure
from tests.bench.rounds import interleave, say, seconds
from tests.bench.sizes import Sizes
from tests.large_statement import lines_of, owe
from tests.statements import ACCOUNT, Said
from worker.batches import batches_of

REACH = 3.4
"""50,000 lines twice in 20 s, where the limit takes a little less than 6."""

BATCH = 500
IMPORT_MAX_S = 300

LIMIT = (
    "INSERT 500 lines, outcomes, events, payments and notifications, UPDATE their balances: prepared, one transaction "
    "a batch, each line once"
)

_bare = load_bench_queries("statements")


def measure_statements(sizes: Sizes) -> Iterator[Figure]:
    """Import a file of Khan Bank's, each line of which pays an invoice, and import it again; fsync off, for both."""
    lines = lines_of(sizes.statement_lines)
    with tempfile.TemporaryDirectory(prefix="tootsoo-bench-") as folder, running_server(fsync=False) as admin_url:
        path = written.khan_json(Path(folder) / "month.json", lines)
        batches = [to_json(batch).decode() for batch in batches_of(BATCH, map(_row, lines))]
        say(f"statements of {len(lines):,} lines ", end="")
        rounds = interleave(
            {
                "ours": lambda number: _ours_s(admin_url, f"ours_{number}", path, lines),
                "limit": lambda number: _limit_s(admin_url, f"bare_{number}", batches, lines),
            },
            rounds=sizes.statement_rounds,
        )
    yield Figure(
        id="statements",
        work=f"a statement of {len(lines):,} lines, imported twice",
        ours=rounds.median("ours") * 1_000,
        limit=rounds.median("limit") * 1_000,
        unit="ms",
        limit_is=LIMIT,
        ratio=rounds.ratio("ours", "limit"),
        ratios=tuple(rounds.ratios("ours", "limit")),
        reach=REACH,
        at="most",
        note="ours are two runs of tootsoo statement import, with the start of both",
    )


def _ours_s(admin_url: str, name: str, path: Path, lines: Sequence[Said]) -> float:
    with database(admin_url, name) as url:
        owe(url, len(lines))
        took_s = seconds(partial(_import_twice, url, path))
        _require_paid(url, len(lines))
    return took_s


def _import_twice(url: str, path: Path) -> None:
    tootsoo = Path(sysconfig.get_path("scripts")) / "tootsoo"
    said = f"statement import {path.name} --bank khan --account {ACCOUNT} --who bench --json"
    for _ in range(2):
        subprocess.run(
            [str(tootsoo), *said.split()],
            env={"PATH": os.environ["PATH"], "DATABASE_URL": url},
            cwd=path.parent,
            check=True,
            capture_output=True,
            timeout=IMPORT_MAX_S,
        )


def _limit_s(admin_url: str, name: str, batches: Sequence[str], lines: Sequence[Said]) -> float:
    with database(admin_url, name) as url:
        owe(url, len(lines))
        took_s = seconds(partial(_write, url, batches))
        _require_paid(url, len(lines))
    return took_s


def _write(url: str, batches: Sequence[str]) -> None:
    statements = (
        _bare.insert_lines.sql,
        _bare.insert_events.sql,
        _bare.insert_payments.sql,
        _bare.update_balances.sql,
        _bare.insert_notifications.sql,
        _bare.insert_outcomes.sql,
    )
    with superuser(url) as connection, connection.cursor() as cursor:
        _bare.begin_import(connection)
        for rows in batches:
            with connection.transaction():
                for statement in statements:
                    cursor.execute(statement, {"rows": rows}, prepare=True)


def _require_paid(url: str, count: int) -> None:
    with superuser(url) as connection:
        row = connection.execute("SELECT count(*) FROM invoice_balance WHERE status = 'paid'").fetchone()
    assert row == (count,), row


def _row(said: Said) -> Mapping[str, object]:
    """Return the columns of a line: as long as those that an import writes."""
    return {
        "key": f"{ACCOUNT}-{said.at:%Y%m%d}-{said.record:016x}",
        "number": said.record,
        "account": ACCOUNT,
        "posted_on": f"{said.at:%Y-%m-%d}",
        "posted_at": f"{said.at:%Y-%m-%dT%H:%M:%S}+08",
        "amount_minor": 100 * said.amount,
        "balance_minor": 100 * said.balance,
        "description": said.description,
        "counterparty_account": said.payer,
        "reference": str(said.record),
        "invoice_id": f"order-{said.record - 1}",
        "raw": {name: str(value) for name, value in written.khan_row(said).items()},
    }
