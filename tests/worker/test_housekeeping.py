"""The scheduler keeps house as soon as it starts: what is old enough goes, and what explains the present stays."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.waiting import wait_until
from worker.settings import names_of_settings


def test_the_scheduler_removes_history_that_is_older_than_the_setting(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo") as superuser:
        superuser.execute(
            """
            INSERT INTO gateway_check (gateway_invoice_id, started_at, cause, gateway_invoice_state, requests, attempt)
            SELECT gen_random_uuid(), now() - days * interval '1 day', 'callback', 'open', 1, 1
            FROM generate_series(5, 14) AS days
            """
        )
        inherited = {name: value for name, value in os.environ.items() if name not in names_of_settings()}
        settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "HISTORY_DAYS": "10"}
        scheduler = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", "scheduler"],
            cwd=tmp_path,
            env=inherited | settings,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            wait_until(lambda: _checks(superuser) == 5)
        finally:
            scheduler.send_signal(signal.SIGTERM)
            _, logs = scheduler.communicate(timeout=20)

        assert _checks(superuser) == 5

    assert scheduler.returncode == 0
    assert '"event": "history.removed"' in logs


def _checks(superuser: psycopg.Connection) -> int:
    row = superuser.execute("SELECT count(*) FROM gateway_check").fetchone()
    return int(row[0]) if row else 0
