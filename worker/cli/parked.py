"""Commands for what failed too often and waits for a person: list, show, retry."""

import json
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer
from rich.table import Table

from adapters.postgres.parked import Parked, ParkedQrs
from worker.cli.tables import print_table
from worker.clock import rfc3339
from worker.compose.database import open_parked
from worker.settings import DatabaseSettings, load

PAGE = 1_000

app = typer.Typer(name="parked", help="QRs whose check or closing failed too often.", no_args_is_help=True)


def add_to(whole: typer.Typer) -> None:
    """Add the commands."""
    whole.add_typer(app)


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
Which = Annotated[str, typer.Argument(help="A gateway invoice: its id, or its number at the gateway.", metavar="QR")]


@app.command(name="list")
def list_parked(*, as_json: Json = False) -> None:
    """List what is parked, longest first; exit 1 when anything is.

    Example: tootsoo parked list
    """
    with open_parked(load(DatabaseSettings)) as parked:
        found = parked.list(page=PAGE)
    if as_json:
        typer.echo(json.dumps({"parked": [_as_json(one) for one in found]}, ensure_ascii=False))
    elif found:
        table = Table("QR", "gateway", "what", "since", "tries", "code", "reason")
        for one in found:
            since = f"{one.parked_at:%Y-%m-%d %H:%M} UTC"
            table.add_row(one.number, one.gateway, one.kind, since, str(one.failures), one.code or "", one.reason or "")
        print_table(table)
    else:
        typer.echo("Nothing is parked")
    if found:
        raise typer.Exit(1)


@app.command()
def show(qr: Which, *, as_json: Json = False) -> None:
    """Show what is parked of one QR, and why; exit 1 when nothing is.

    Example: tootsoo parked show order-1
    """
    with open_parked(load(DatabaseSettings)) as parked:
        found = parked.list(page=PAGE, gateway_invoice_id=_find(parked, qr))
    if as_json:
        typer.echo(json.dumps({"parked": [_as_json(one) for one in found]}, ensure_ascii=False))
    for one in () if as_json else found:
        for name, value in _as_json(one).items():
            if value is not None:
                typer.echo(f"{name:<16} {value}")
    if not found:
        typer.echo(f"tootsoo: nothing of {qr} is parked", err=True)
        raise typer.Exit(1)


@app.command()
def retry(
    qr: Annotated[str | None, typer.Argument(help="A gateway invoice: its id, or its number at the gateway.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that is parked.")] = False,
    code: Annotated[str | None, typer.Option(help="With --all: what the gateway refused with this code.")] = None,
    as_json: Json = False,
) -> None:
    """Try what is parked again, from the start: a worker does so in seconds. Said twice it is tried once.

    Example: tootsoo parked retry order-1
    """
    if (qr is None) != everything:
        raise typer.BadParameter("name one QR, or say --all")
    if code is not None and not everything:
        raise typer.BadParameter("--code goes with --all")
    with open_parked(load(DatabaseSettings)) as parked:
        retried = parked.retry_all(code=code) if qr is None else parked.retry(_find(parked, qr))
    if as_json:
        typer.echo(json.dumps({"retried": retried}))
    else:
        typer.echo(f"To be tried again: {retried}" if retried else "Nothing of that is parked")


def _find(parked: ParkedQrs, qr: str) -> UUID:
    found = parked.find(qr)
    if found is None:
        typer.echo(f"tootsoo: there is no QR {qr}", err=True)
        raise typer.Exit(1)
    return found


def _as_json(one: Parked) -> dict[str, object]:
    known = asdict(one) | {"id": str(one.id), "parked_at": rfc3339(one.parked_at)}
    return {_camel(name): value for name, value in known.items()}


def _camel(name: str) -> str:
    first, *others = name.replace("invoice_id", "invoice").split("_")
    return first + "".join(other.title() for other in others)
