"""Commands that are processes: migrate, web, worker, scheduler, simulate."""

import json
from typing import Annotated

import structlog
import typer

from worker.cli.schedule import jobs_of_settings, show_schedule
from worker.compose import (
    await_servers,
    compose_scheduler,
    compose_web,
    compose_worker,
    migrate_database,
    run_simulator,
)
from worker.consumer import consume
from worker.logs import configure_logs
from worker.scheduler import schedule
from worker.settings import (
    CheckSettings,
    CommonSettings,
    DatabaseSettings,
    HistorySettings,
    QPaySettings,
    RedisSettings,
    SealSettings,
    SimulatorSettings,
    StartSettings,
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
    database = load(DatabaseSettings)
    await_servers(database, within_s=load(StartSettings).start_within_s)
    applied = migrate_database(database)
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
    within_s = load(StartSettings).start_within_s
    _start_logs("web", *groups)
    database, redis, checks, qpay, web_settings = groups
    await_servers(database, redis=redis, within_s=within_s)
    with compose_web(database=database, redis=redis, checks=checks, qpay=qpay, web=web_settings) as parts:
        serve(parts, host=host, port=port)


def worker() -> None:
    """Ask the gateways about what callbacks announced, and do the schedule's jobs. Run as many as you like.

    Example: tootsoo worker
    """
    groups = load(DatabaseSettings), load(RedisSettings), load(CheckSettings), load(QPaySettings), load(SealSettings)
    threads, within_s = load(WorkerSettings).worker_threads, load(StartSettings).start_within_s
    _start_logs("worker", *groups)
    database, redis, checks, qpay, seals = groups
    history = load(HistorySettings)
    await_servers(database, redis=redis, within_s=within_s)
    with compose_worker(database=database, redis=redis, checks=checks, qpay=qpay, seals=seals, history=history) as (
        broker,
        held,
    ):
        consume(broker, threads=threads, held=held)


def scheduler(
    list_jobs: Annotated[bool, typer.Option("--list", help="Show the jobs instead, and run nothing.")] = False,  # noqa: FBT002 - a flag of the command line
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Wake workers for whatever is due, and for the jobs of the schedule. Any number may run at once.

    With --list: the jobs, their last results and their next runs; exit 1 when the last run of one was given up.

    Example: tootsoo scheduler --list
    """
    if list_jobs:
        show_schedule(as_json=as_json)
        return
    if as_json:
        raise typer.BadParameter("--json goes with --list")
    groups = load(DatabaseSettings), load(RedisSettings), load(CheckSettings), load(SealSettings)
    jobs, within_s = jobs_of_settings(), load(StartSettings).start_within_s
    _start_logs("scheduler", *groups)
    database, redis, checks, seals = groups
    await_servers(database, redis=redis, within_s=within_s)
    with compose_scheduler(database=database, redis=redis, checks=checks, jobs=jobs) as ticks:
        if not seals.seal_secret:
            log.warning(
                "seal.off", reason="SEAL_SECRET is not set", consequence="nobody can tell when an event was changed"
            )
        schedule(ticks)


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
