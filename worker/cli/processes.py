"""Commands that are processes: migrate, web, worker, scheduler."""

import json
from typing import Annotated

import structlog
import typer

from worker.accounts import load_accounts
from worker.cli.schedule import jobs_of_settings, show_schedule
from worker.compose.database import migrate_database
from worker.compose.notifying import compose_notifier
from worker.compose.processes import await_servers, compose_scheduler, compose_web, compose_worker
from worker.consumer import consume
from worker.kill_points import load_accident
from worker.logs import configure_logs
from worker.metrics.instruments import Metrics
from worker.metrics.server import serving_metrics
from worker.notify_target import notify_target
from worker.scheduler import schedule
from worker.settings import (
    ApiSettings,
    CheckSettings,
    CommonSettings,
    DatabaseSettings,
    DiscoverySettings,
    HistorySettings,
    LookBackSettings,
    MetricsSettings,
    NotifySettings,
    RedisSettings,
    RefreshSettings,
    SealSettings,
    StartSettings,
    WebSettings,
    WorkerSettings,
    load,
    secrets_in,
)
from worker.web.app import create_app
from worker.web.server import serve

log = structlog.get_logger()


MetricsPort = Annotated[
    int | None,
    typer.Option(min=0, max=65_535, help="Serve /metrics on this port; 0 takes a free one. Without it, on none."),
]
MetricsHost = Annotated[str, typer.Option(help="Address for /metrics; others than this machine's need METRICS_TOKEN.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (migrate, web, worker, scheduler):
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
        load_accounts(),
        load(WebSettings),
        load(ApiSettings),
        load(MetricsSettings),
        load(NotifySettings),
    )
    notify = notify_target(groups[-1])
    within_s = load(StartSettings).start_within_s
    start_logs("web", *groups)
    database, redis, checks, accounts, web_settings, api, metrics_settings, _ = groups
    await_servers(database, redis=redis, within_s=within_s)
    with compose_web(
        database=database,
        redis=redis,
        checks=checks,
        accounts=accounts,
        web=web_settings,
        api=api,
        timezone=load(CommonSettings).timezone,
        metrics_settings=metrics_settings,
        notify=notify,
    ) as parts:
        serve(create_app(parts), host=host, port=port, trusted_proxies=api.trusted_proxies)


def worker(metrics_port: MetricsPort = None, metrics_host: MetricsHost = "127.0.0.1") -> None:
    """Ask the gateways about what callbacks announced, and do the schedule's jobs. Run as many as you like.

    It renews QRs by night, so it needs PUBLIC_URL and WEBHOOK_SECRET as web does.

    Example: tootsoo worker --metrics-port 9101
    """
    groups = (
        load(DatabaseSettings),
        load(RedisSettings),
        load(CheckSettings),
        load_accounts(),
        load(WebSettings),
        load(RefreshSettings),
        load(SealSettings),
        load(HistorySettings),
        load(LookBackSettings),
        load(MetricsSettings),
        load(NotifySettings),
    )
    notify = notify_target(groups[-1])
    timezone, discovery = load(CommonSettings).timezone, load(DiscoverySettings)
    threads, within_s = load(WorkerSettings).worker_threads, load(StartSettings).start_within_s
    start_logs("worker", *groups)
    database, redis, checks, accounts, web_settings, refresh, seals, history, look_back, allowed, _ = groups
    accident, metrics = load_accident(), Metrics()
    if accident is not None:
        log.warning("worker.will_have_an_accident", point=accident.point.value, signal=accident.signal.name)
    await_servers(database, redis=redis, within_s=within_s)
    with (
        serving_metrics(metrics.registry, host=metrics_host, port=metrics_port, tokens=allowed.metrics_token),
        compose_worker(
            database=database,
            redis=redis,
            checks=checks,
            accounts=accounts,
            web=web_settings,
            refresh=refresh,
            discovery=discovery,
            seals=seals,
            history=history,
            notify=notify,
            look_back=look_back,
            timezone=timezone,
            metrics=metrics,
            accident=accident,
        ) as (broker, held),
        compose_notifier(notify, database=database, redis=redis, metrics=metrics) as apart,
    ):
        consume(broker, threads=threads, held=held, apart=apart)


def scheduler(
    list_jobs: Annotated[bool, typer.Option("--list", help="Show the jobs instead, and run nothing.")] = False,  # noqa: FBT002 - a flag of the command line
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
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
    groups = (
        load(DatabaseSettings),
        load(RedisSettings),
        load(CheckSettings),
        load(SealSettings),
        load(MetricsSettings),
        load(NotifySettings),
    )
    notify = notify_target(groups[-1])
    jobs, within_s = jobs_of_settings(), load(StartSettings).start_within_s
    start_logs("scheduler", *groups)
    database, redis, checks, seals, allowed, _ = groups
    metrics = Metrics()
    await_servers(database, redis=redis, within_s=within_s)
    with (
        serving_metrics(metrics.registry, host=metrics_host, port=metrics_port, tokens=allowed.metrics_token),
        compose_scheduler(database=database, redis=redis, checks=checks, jobs=jobs, notify=notify) as ticks,
    ):
        if not seals.seal_secret:
            log.warning(
                "seal.off", reason="SEAL_SECRET is not set", consequence="nobody can tell when an event was changed"
            )
        schedule({name: metrics.counting_ticks(name, tick) for name, tick in ticks.items()})


def start_logs(process: str, *groups: object) -> None:
    """Write logs as the settings say, without the secrets in these groups of settings."""
    common = load(CommonSettings)
    configure_logs(
        process=process, log_format=common.log_format, log_level=common.log_level, secrets=secrets_in(*groups)
    )
