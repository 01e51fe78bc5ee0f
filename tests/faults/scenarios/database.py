"""6, 7, 8, 34: PostgreSQL is killed, gone, read-only or full, or answers nobody whether it committed."""

import os
import signal
import threading
import time
from importlib.util import find_spec
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg import sql

from tests.faults.fleet import FaultError, wait_for
from tests.faults.network import Moment
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.scenarios.workers import APPEND
from tests.faults.shop import Crowd, Sale
from tests.faults.small_disk import fill
from tests.faults.stage import Stage

DAWDLE_S = 9
"""Shorter than the limit of a statement: what is killed is still at work."""

_DAWDLE = """
CREATE OR REPLACE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$
"""
_PLACES = {
    "append": "CREATE TRIGGER dawdle AFTER INSERT ON payment_event EXECUTE FUNCTION public.dawdle()",
    "projection": "CREATE TRIGGER dawdle AFTER UPDATE ON invoice_balance EXECUTE FUNCTION public.dawdle()",
}
_SLEEPERS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


def killed_in_the_middle(stage: Stage) -> None:
    """Kill -9 the server, or a session of it, while an append inserts, and while it projects, and under load."""
    stage.start_workers(2)
    for place in stage.rng.sample(list(_PLACES), len(_PLACES)):
        sale = stage.shop.open(f"in-{place}", stage.rng.randint(100, 10**6))
        stage.as_superuser(_DAWDLE.format(seconds=DAWDLE_S))
        stage.as_superuser(_PLACES[place])
        stage.shop.pay(sale)
        wait_for(f"somebody is in the {place}", lambda: bool(_sleepers(stage)), within_s=20)
        stage.look()
        if stage.rng.random() < 0.5:
            stage.kill_postgres()
            time.sleep(stage.rng.uniform(0, 1.5))
            stage.start_postgres()
        else:
            _kill_a_session(stage)
        stage.as_superuser(_DAWDLE.format(seconds=0))
        for pid in _sleepers(stage):
            stage.as_superuser(f"SELECT pg_terminate_backend({pid})")
    if find_spec("worker.cli.replay") is not None:
        _kill_in_replay(stage)
    with Crowd(stage.shop, seed=f"{stage.seed}:crowd", per_s=6):
        for _ in range(2):
            time.sleep(stage.rng.uniform(0.5, 2.0))
            stage.kill_postgres()
            stage.start_postgres()
            stage.look()
    stage.healed()


def _kill_in_replay(stage: Stage) -> None:
    """Make every balance wrong, and kill the server while a replay writes them right."""
    stage.await_recorded(*(payment for sale in stage.shop.sales for payment in sale.payments))
    stage.as_superuser("UPDATE invoice_balance SET received_minor = received_minor + 1")
    stage.as_superuser(_DAWDLE.format(seconds=DAWDLE_S))
    replaying = stage.fleet.start("replay")
    wait_for("somebody is in the replay", lambda: bool(_sleepers(stage)), within_s=30)
    stage.kill_postgres()
    stage.start_postgres()
    stage.as_superuser(_DAWDLE.format(seconds=0))
    wait_for("the replay ends", replaying.has_ended, within_s=60)
    again = stage.fleet.run("replay", "--json")
    if again.returncode != 0:
        raise FaultError(f"the replay after the kill ended with {again.returncode}: {again.stderr[:300]}")


def _sleepers(stage: Stage) -> list[int]:
    with stage.eyes() as eyes:
        return [int(str(row["pid"])) for row in eyes.execute(_SLEEPERS)]


def _kill_a_session(stage: Stage) -> None:
    """Kill -9 one session: the server then ends every other, one of ours among them, and recovers."""
    with stage.eyes() as other:
        os.kill(_sleepers(stage)[0], signal.SIGKILL)
        wait_for("PostgreSQL ends every session", lambda: _is_over(other), within_s=30)
    wait_for("PostgreSQL is back", lambda: _is_up(stage), within_s=30)


def _is_over(session: psycopg.Connection[dict[str, object]]) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def _is_up(stage: Stage) -> bool:
    try:
        with stage.eyes() as eyes:
            return eyes.execute("SELECT 1").fetchone() is not None
    except psycopg.OperationalError:
        return False


def gone_or_read_only(stage: Stage) -> None:
    """While nothing can be written no callback is answered with SUCCESS, and /readyz says so."""
    stage.start_workers(2)
    sales = stage.shop.open_many(12, stage.rng)
    for sale in sales:
        stage.shop.pay(sale, callback="drop")
    stage.kill_postgres()
    stage.await_unready()
    _refuse_callbacks(stage, sales[:4])
    stage.start_postgres()
    stage.await_ready()
    _take(stage, sales[4:6])

    _set_for_database(stage, "default_transaction_read_only", "on")
    stage.await_unready()
    _refuse_callbacks(stage, sales[6:10])
    _set_for_database(stage, "default_transaction_read_only", "off")
    stage.healed()
    stage.await_ready()
    _take(stage, sales[10:])


def _refuse_callbacks(stage: Stage, sales: list[Sale]) -> None:
    for sale in sales:
        status = stage.shop.call_back(sale, sale.payments[0])
        if status != httpx.codes.SERVICE_UNAVAILABLE:
            raise FaultError(f"a callback that nobody could store was answered with {status}, not with 503")


def _take(stage: Stage, sales: list[Sale]) -> None:
    for sale in sales:
        wait_for(
            "a callback is taken again",
            lambda sale=sale: stage.shop.call_back(sale, sale.payments[0]) == httpx.codes.OK,  # type: ignore[misc]
            within_s=20,
        )


def cut_during_commit(stage: Stage) -> None:
    """The connection ends before, while and after PostgreSQL commits, and nobody learns which."""
    stage.start_workers(2)
    moments = list(Moment) * 2
    stage.rng.shuffle(moments)
    for sale, moment in zip(stage.shop.open_many(len(moments), stage.rng), moments, strict=True):
        cut = stage.postgres.trapped
        stage.postgres.trap(APPEND, moment)
        stage.shop.pay(sale)
        wait_for(f"a connection is cut {moment}", lambda cut=cut: stage.postgres.trapped > cut, within_s=30)  # type: ignore[misc]
        stage.look()
    stage.healed()


def disk_full(stage: Stage) -> None:
    """On a full disk writes are refused and not half done; when there is room again everything goes on."""
    stage.start_workers(2)
    paid = stage.shop.open_many(10, stage.rng)
    for sale in paid:
        stage.shop.pay(sale, callback="drop")
    stage.look()
    ballast = fill(stage.servers.postgres.data.path.parent)
    refused = threading.Event()
    until = time.monotonic() + 60
    number = 0
    while not refused.is_set() and time.monotonic() < until:
        number += 1
        answer = stage.shop.put(f"full-{number}", stage.rng.randint(100, 10**6))
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            refused.set()
        elif answer.status_code != httpx.codes.CREATED:
            raise FaultError(f"on a full disk an invoice was answered with {answer.status_code}: {answer.text[:200]}")
    if not refused.is_set():
        raise FaultError("the disk was never full enough for anybody to notice")
    stage.notes.append(f"refused after {number} invoices")
    for sale in paid:
        status = stage.shop.call_back(sale, sale.payments[0])
        if status not in {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}:
            raise FaultError(f"on a full disk a callback was answered with {status}")
    ballast.unlink()
    if stage.servers.postgres.process is not None and stage.servers.postgres.process.poll() is not None:
        stage.notes.append("PostgreSQL gave up and was started again")
        stage.start_postgres()
    stage.await_ready()
    stage.healed()


def _set_for_database(stage: Stage, setting: str, value: str) -> None:
    """Change a setting for all new sessions of the database, and end those of our processes."""
    name = urlsplit(stage.eyes_url).path.removeprefix("/")
    with stage.eyes() as eyes:
        eyes.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(name), sql.Identifier(setting), sql.Literal(value)
            )
        )
        eyes.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


SCENARIOS = (
    Scenario(
        number=6,
        title="PostgreSQL killed in append, in projection, and under load",
        play=killed_in_the_middle,
        within_s=30,
        budget=Budget(checks_per_qr=8, logins=1),
    ),
    Scenario(
        number=7,
        title="PostgreSQL gone, PostgreSQL read-only",
        play=gone_or_read_only,
        within_s=20,
        budget=Budget(checks_per_qr=4, logins=1),
        quick=True,
    ),
    Scenario(
        number=8,
        title="connections cut during COMMIT",
        play=cut_during_commit,
        within_s=20,
        budget=Budget(checks_per_qr=3, logins=1),
        quick=True,
    ),
    Scenario(
        number=34,
        title="disk full at PostgreSQL",
        play=disk_full,
        within_s=30,
        budget=Budget(checks_per_qr=8, logins=1),
        small_disk=True,
    ),
)
