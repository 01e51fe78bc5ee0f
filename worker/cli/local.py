"""Commands that run everything on this machine: demo, up."""

import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from babel.numbers import format_currency
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from worker import runfile
from worker.clock import utc_now
from worker.compose.database import open_keys, open_ledger
from worker.demo import DemoError, Outcome, play_demo
from worker.local import (
    LocalStack,
    StackSecrets,
    free_port,
    refuse_in_production,
    running_stack,
)
from worker.notify_rules import callable_url, new_secret, signing_secrets
from worker.settings import DatabaseSettings
from worker.stopping import stop_event

DEMO_HOME = Path(".tootsoo") / "demo"
UP_HOME = Path(".tootsoo") / "up"
UP_WEB_PORT = 8000
UP_SIMULATOR_PORT = 8001

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words and a table.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (demo, up):
        app.command()(command)


def demo(as_json: Json = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Settle real payments at the simulator, with real servers and real processes, in a few seconds.

    Example: tootsoo demo
    """
    refuse_in_production("tootsoo demo")
    progress = Console(stderr=True, highlight=False)

    def tell(step: str) -> None:
        progress.print(f"[dim]·[/] {step}")

    try:
        with running_stack(
            DEMO_HOME.absolute(),
            web_port=free_port(),
            simulator_port=free_port(),
            stack_secrets=StackSecrets.make(),
            tell=tell,
        ) as stack:
            database = _database(stack)
            with open_keys(database) as keys:
                api_key = keys.create("demo", now=utc_now())
            outcomes = play_demo(stack, api_key=api_key, tell=tell)
            with open_ledger(database) as ledger:
                unlike = ledger.balances_unlike_events()
    except DemoError as error:
        typer.echo(f"tootsoo: {error}", err=True)
        raise typer.Exit(1) from None
    _report(outcomes, unlike, as_json=as_json)
    if unlike or any(outcome.wrong for outcome in outcomes):
        raise typer.Exit(1)


def up(
    web_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the API, if it is free.")] = UP_WEB_PORT,
    simulator_port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Port of the simulator, if it is free.")
    ] = UP_SIMULATOR_PORT,
    notify_url: Annotated[
        str | None,
        typer.Option(envvar="NOTIFY_URL", help="Where your application takes notifications, such as on port 3000."),
    ] = None,
    notify_secret: Annotated[
        str | None, typer.Option(envvar="NOTIFY_SECRET", help="What it verifies them with.", show_default="new")
    ] = None,
) -> None:
    """Run servers, simulator, web, worker and scheduler for a developer, until Ctrl-C. Each time begins afresh.

    Example: tootsoo up --notify-url http://127.0.0.1:3000/tootsoo/notifications
    """
    refuse_in_production("tootsoo up")
    notify_env = _notify_env(notify_url, secret=notify_secret)
    console = Console(highlight=False)
    told_to_stop = stop_event()
    with running_stack(
        UP_HOME.absolute(),
        web_port=free_port(web_port),
        simulator_port=free_port(simulator_port),
        stack_secrets=StackSecrets.make(),
        tell=lambda step: console.print(f"[dim]·[/] {step}"),
        notify_env=notify_env,
    ) as stack:
        with open_keys(_database(stack)) as keys:
            api_key = keys.create("tootsoo up", now=utc_now())
        with runfile.published(Path.cwd(), env=stack.env):
            typer.echo(_welcome(stack, api_key))
            while not told_to_stop.wait(timeout=1.0):
                stack.require_alive()
        console.print("[dim]·[/] Stopping")


def _notify_env(url: str | None, *, secret: str | None) -> dict[str, str]:
    """Return the settings of notifications to an application on this machine or near it.

    Read from the command and the environment alone: an address in `.env` may be the shop's own.
    """
    if url is None:
        return {}
    named = "--notify-url"
    try:
        callable_url(url)
        named = "--notify-secret"
        signing_secrets(secret)
    except ValueError as error:
        raise typer.BadParameter(f"{named} {error}") from None
    return {"NOTIFY_URL": url, "NOTIFY_SECRET": secret or new_secret(), "NOTIFY_ALLOW_PRIVATE": "true"}


def _database(stack: LocalStack) -> DatabaseSettings:
    # Constructed, not loaded: what stands in the environment or in .env is for other databases.
    return DatabaseSettings.model_construct(
        database_url=stack.env["DATABASE_URL"], database_pool_size=2, qpay_env="sandbox"
    )


def _welcome(stack: LocalStack, api_key: str) -> str:
    """Say where everything is, and the three commands that take a first payment; they can be pasted as they are."""
    invoice = f"order-{utc_now():%Y%m%d-%H%M%S}"
    return f"""
  API        {stack.web_url}
  Simulator  {stack.simulator_url}
  API key    {api_key}
  PostgreSQL {stack.env["DATABASE_URL"]}
  Redis      {stack.env["REDIS_URL"]}
  Logs       {stack.logs}
{_who_is_told(stack)}

Make an invoice, take a pay-link, and pay it at the simulator:

curl -X PUT {stack.web_url}/v2/invoices/{invoice} \\
  -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \\
  -d '{{"amount":{{"amount":1500000,"currency":"MNT"}},"description":"A first order"}}'

curl -X POST {stack.web_url}/v2/invoices/{invoice}/pay-link \\
  -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' -d '{{"gateway":"qpay"}}'

curl -X POST {stack.simulator_url}/simulator/pay -d '{{"number":"{invoice}"}}'

With "socialpay" for "qpay" in the second, the customer pays by what its QR says: '{{"qrText":"…"}}'.
Then look at it: curl -H 'Authorization: Bearer {api_key}' {stack.web_url}/v2/invoices/{invoice}
Ctrl-C stops everything and forgets it: each `tootsoo up` begins afresh.
"""


def _who_is_told(stack: LocalStack) -> str:
    if "NOTIFY_URL" not in stack.env:
        return "\nYour application is told of payments with: tootsoo up --notify-url http://127.0.0.1:3000/tootsoo"
    return f"  Tells      {stack.env['NOTIFY_URL']}\n  with       {stack.env['NOTIFY_SECRET']}"


def _report(outcomes: list[Outcome], unlike: list[str], *, as_json: bool) -> None:
    if as_json:
        rows = [asdict(outcome) for outcome in outcomes]
        typer.echo(json.dumps({"invoices": rows, "balancesUnlikeEvents": unlike}, ensure_ascii=False))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("invoice", no_wrap=True)
    for heading in ("due", "received", "outstanding"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for heading in ("events", "checks"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            outcome.invoice,
            *(_tugrug(amount) for amount in (outcome.due, outcome.received, outcome.outstanding)),
            f"[red]{outcome.status}[/]" if outcome.wrong else outcome.status,
            str(outcome.events),
            str(outcome.checks),
        )
    console = Console(highlight=False)
    console.print(table)
    for outcome in outcomes:
        for wrong in outcome.wrong:
            console.print(f"[red]✗ {outcome.invoice}: {wrong}[/]")
    if unlike:
        console.print(f"[red]✗ The balances of {', '.join(unlike)} are not what their events say[/]")
    else:
        console.print(f"[green]✓[/] All {len(outcomes)} balances equal the sum of their events, to the möngö.")


def _tugrug(amount: str) -> str:
    return str(format_currency(Decimal(amount), "MNT", "#,##0.## ¤", locale="mn", currency_digits=False))
