"""A statement of 50,000 lines is read in twice, quickly and in little memory, and a killed import is finished."""

import multiprocessing
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import openpyxl
import psycopg
import pytest
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from adapters.bank.reader import open_statement
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.ledger import Ledger
from adapters.postgres.statement_files import ImportRunsError
from tests import statements as written
from tests.statements import ACCOUNT, Said, running
from tests.waiting import wait_until
from worker.compose.statements import import_on

LINES = 50_000

pytestmark = pytest.mark.slow


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
    """A line for each invoice, over a month."""
    return [
        said.__class__(
            amount=said.amount,
            description=said.description,
            at=said.at.replace(day=1 + number * 28 // count),
            balance=said.balance,
            record=said.record,
        )
        for number, said in enumerate(
            running(*[(1_000 + number % 7, f"Төлбөр order-{number} Бат") for number in range(count)], minutes=0)
        )
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """CPU seconds of this process and of its server's sessions."""

    ours_s: float
    servers_s: float


def read_in(url: str, path: Path) -> tuple[dict[str, int], Used]:
    """Read a file in; returns what it came to, and what it took of processors."""
    with open_pool(url, size=4) as pool:
        began_s = time.process_time()
        imported = import_on(pool)(
            open_statement(path, bank="khan", account=ACCOUNT), who="Bat", dry_run=False, tell=lambda *_: None
        )
        figures = {state.value: count for (state, _), count in imported.matched.counts.items()}
        used = Used(ours_s=time.process_time() - began_s, servers_s=_sessions_s(pool))
        return {"new": imported.new, "seen": imported.seen} | figures, used


def _sessions_s(pool: Pool) -> float:
    """CPU seconds of the sessions of a pool, where the server is on this machine; one side waits for the other."""
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tootsoo'"
        ).fetchall()
    spent = [Path(f"/proc/{row['pid']}/stat") for row in rows]
    fields = [one.read_text(encoding="utf-8").rpartition(")")[2].split() for one in spent if one.exists()]
    return sum(int(user) + int(system) for _, *rest in fields for user, system in [rest[10:12]]) / os.sysconf(
        "SC_CLK_TCK"
    )


def shared_xlsx(path: Path, lines: Sequence[Said]) -> Path:
    """As spreadsheets save it: every text once, in a part of its own, which is read whole."""
    book = openpyxl.Workbook()
    for row in written.table_rows(lines):
        book.worksheets[0].append(row)
    book.save(path)
    return path


def peak_of(url: str, path: Path, results: "multiprocessing.Queue[int]") -> None:
    read_in(url, path)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak_kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)  # not ru_maxrss, which begins with the parent's
    results.put(int(peak_kib))


def recorded(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as watcher:
        return _events(watcher)


def _events(watcher: psycopg.Connection[TupleRow]) -> int:
    row = watcher.execute("SELECT count(*) FROM tootsoo.payment_event").fetchone()
    return int(row[0]) if row else 0


def test_50_000_lines_twice_record_each_match_once(tmp_path: Path, database_url: str) -> None:
    owe(database_url, LINES)
    path = written.khan_json(tmp_path / "a.json", lines_of(LINES))

    begun_s = time.monotonic()
    first, of_first = read_in(database_url, path)
    second, of_second = read_in(database_url, path)
    took_s = time.monotonic() - begun_s
    ours_s, servers_s = of_first.ours_s + of_second.ours_s, of_first.servers_s + of_second.servers_s
    print(f"{LINES} lines twice: {took_s:.1f} s, of processors {ours_s:.1f} + {servers_s:.1f} s")  # noqa: T201 - what was measured

    assert first == {"new": LINES, "seen": 0, "recorded": LINES}
    assert second == {"new": 0, "seen": LINES}
    assert recorded(database_url) == LINES
    assert ours_s < 20, "of one core, whatever else the machine does"
    assert ours_s + servers_s < 30, "one side waits for the other, so alone on a machine it is the wall time"
    with open_pool(database_url, size=1) as pool:
        assert Ledger(pool).balances_unlike_events() == []


@pytest.mark.parametrize(
    ("write", "suffix"),
    [
        (written.khan_json, ".json"),
        (written.export_csv, ".csv"),
        (written.export_xlsx, ".xlsx"),
        (shared_xlsx, ".xlsx"),
    ],
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, database_url: str, write: object, suffix: str) -> None:
    assert callable(write)
    peaks = []
    for count in (1_000, 20_000):
        path = write(tmp_path / f"{count}{suffix}", lines_of(count))
        context = multiprocessing.get_context("spawn")
        results: multiprocessing.Queue[int] = context.Queue()
        process = context.Process(target=peak_of, args=(database_url, path, results))
        process.start()
        process.join(timeout=240)
        assert process.exitcode == 0, "what broke it stands in the test's output"
        peak_kib = results.get(timeout=10)
        peaks.append(peak_kib)

    assert peaks[1] - peaks[0] < 24 * 1024, peaks


def test_an_import_killed_half_way_and_run_again_comes_to_the_same(tmp_path: Path, database_url: str) -> None:
    count = 5_000
    owe(database_url, count)
    path = written.khan_json(tmp_path / "a.json", lines_of(count))
    with psycopg.connect(database_url, autocommit=True) as watcher:
        for share in (0.0, 0.1, 0.5):
            process = multiprocessing.get_context("spawn").Process(target=read_in, args=(database_url, path))
            process.start()
            wait_until(partial(_has_come_to, process, watcher, share * count), within_s=120)
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
            process.join()

    wait_until(lambda: _is_free(database_url, path), within_s=60)

    assert recorded(database_url) == count
    with open_pool(database_url, size=2) as pool, pool.connection() as connection:
        outcomes = connection.execute("SELECT state, count(*) AS n FROM statement_outcome GROUP BY state").fetchall()
        assert [(row["state"], row["n"]) for row in outcomes] == [("recorded", count)]
        assert Ledger(pool).balances_unlike_events() == []


def _has_come_to(process: BaseProcess, watcher: psycopg.Connection[TupleRow], events: float) -> bool:
    return _events(watcher) > events or not process.is_alive()


def _is_free(url: str, path: Path) -> bool:
    """Read the file in, once the server has noticed that the killed one is gone."""
    try:
        read_in(url, path)
    except (ImportRunsError, PoolTimeout):
        return False
    return True
