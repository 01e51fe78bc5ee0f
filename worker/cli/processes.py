"""Commands that are processes: migrate, web, worker, scheduler, simulate."""

import json
from typing import Annotated

import structlog
import typer

from worker.compose import (
    compose_scheduler,
    compose_seal,
    compose_web,
    compose_worker,
    migrate_database,
    run_simulator,
)
from worker.consumer import consume
from worker.kill_points import load_accident
from worker.logs import configure_logs
from worker.scheduler import schedule
from worker.settings import (
    CheckSettings,
    CommonSettings,
    DatabaseSettings,
    QPaySettings,
    RedisSettings,
    SealSettings,
    SimulatorSettings,
    WebSettings,
    WorkerSettings,
    load,
    secrets_in,
)
from worker.web.server import serve

log = structlog.get_logger()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (migrate, web, worker, scheduler, simulate):
        app.command()(command)


def migrate(as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Bring the database to this version and make its two roles. Safe to run again, and twice at once.

    Example: tootsoo migrate
    """
    applied = migrate_database(load(DatabaseSettings))
    if as_json:
        typer.echo(json.dumps({"applied": applied}))
    else:
        typer.echo(f"Applied {', '.join(applied)}" if applied else "Nothing to apply: the database is at this version")


def web(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8000,
) -> None:
    """Serve the HTTP API and take the gateways' callbacks.

    Example: tootsoo web --host 0.0.0.0 --port 8000
    """
    groups = (
        load(DatabaseSettings),
        load(RedisSettings),
        load(CheckSettings),
        load(QPaySettings),
        load(WebSettings),
    )
    _start_logs("web", *groups)
    database, redis, checks, qpay, web_settings = groups
    with compose_web(database=database, redis=redis, checks=checks, qpay=qpay, web=web_settings) as parts:
        serve(parts, host=host, port=port)


def worker() -> None:
    """Ask the gateways about what callbacks announced, and record what they answer. Run as many as you like.

    Example: tootsoo worker
    """
    groups = load(DatabaseSettings), load(RedisSettings), load(CheckSettings), load(QPaySettings)
    threads = load(WorkerSettings).worker_threads
    accident = load_accident()
    _start_logs("worker", *groups)
    if accident is not None:
        log.warning("worker.will_have_an_accident", point=accident.point.value, signal=accident.signal.name)
    database, redis, checks, qpay = groups
    with compose_worker(database=database, redis=redis, checks=checks, qpay=qpay, accident=accident) as broker:
        consume(broker, threads=threads)


def scheduler() -> None:
    """Wake workers for whatever is due, and seal events. Run one or more: they do not disturb each other.

    Example: tootsoo scheduler
    """
    groups = load(DatabaseSettings), load(RedisSettings), load(CheckSettings), load(SealSettings)
    _start_logs("scheduler", *groups)
    database, redis, checks, seals = groups
    with (
        compose_scheduler(database=database, redis=redis, checks=checks) as ring,
        compose_seal(database, seals=seals) as seal,
    ):
        schedule(ring, seal=seal, seal_every_s=seals.seal_every_s)


def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8001,
) -> None:
    """Run a QPay on this machine that can be paid: its page and its control API are at the address it prints.

    Example: tootsoo simulate --port 8001
    """
    settings = load(SimulatorSettings)
    _start_logs("simulator", settings)
    run_simulator(settings, host=host, port=port)


def _start_logs(process: str, *groups: object) -> None:
    common = load(CommonSettings)
    configure_logs(
        process=process, log_format=common.log_format, log_level=common.log_level, secrets=secrets_in(*groups)
    )
