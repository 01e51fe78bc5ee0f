"""A statement of 50,000 lines is read in twice, in little memory, and a killed import is finished."""

import multiprocessing
import os
import re
import signal
from collections.abc import Sequence
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import openpyxl
import psycopg
import pytest
from psycopg.rows import TupleRow
from psycopg_pool import PoolTimeout

from adapters.bank.reader import open_statement
from adapters.postgres.connection import open_pool
from adapters.postgres.ledger import Ledger
from adapters.postgres.statement_files import ImportRunsError
from tests import statements as written
from tests.large_statement import lines_of, owe
from tests.statements import ACCOUNT, Said
from tests.waiting import wait_until
from worker.compose.statements import import_on

LINES = 50_000

pytestmark = pytest.mark.slow


def read_in(url: str, path: Path) -> dict[str, int]:
    """Read a file in; returns what it came to."""
    with open_pool(url, size=5) as pool:
        imported = import_on(pool)(
            open_statement(path, bank="khan", account=ACCOUNT), who="Bat", dry_run=False, tell=lambda *_: None
        )
    figures = {state.value: count for (state, _), count in imported.matched.counts.items()}
    return {"new": imported.new, "seen": imported.seen} | figures


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

    first = read_in(database_url, path)
    second = read_in(database_url, path)

    assert first == {"new": LINES, "seen": 0, "recorded": LINES}
    assert second == {"new": 0, "seen": LINES}
    assert recorded(database_url) == LINES
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
