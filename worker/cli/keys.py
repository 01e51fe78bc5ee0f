"""Commands for the API's keys: create, list, revoke."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.clock import rfc3339, utc_now
from worker.compose.database import open_keys
from worker.settings import DatabaseSettings, load

app = typer.Typer(name="keys", help="Keys of the HTTP API.", no_args_is_help=True)


def add_to(whole: typer.Typer) -> None:
    """Add the commands."""
    whole.add_typer(app)


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, such as shop-backend.")],
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Make a key and print it; it cannot be shown again.

    Example: tootsoo keys create shop-backend
    """
    if not 1 <= len(name) <= 100 or not name.isprintable():  # noqa: PLR2004 - the column's own limit
        raise typer.BadParameter("a name has 1 to 100 printable characters")
    with open_keys(load(DatabaseSettings)) as keys:
        key = keys.create(name, now=utc_now())
    typer.echo(json.dumps({"name": name, "key": key}) if as_json else key)


@app.command(name="list")
def list_keys(
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """List the keys, without their secrets.

    Example: tootsoo keys list
    """
    with open_keys(load(DatabaseSettings)) as keys:
        known = keys.list()
    if as_json:
        rows = [
            {
                "id": key.id,
                "name": key.name,
                "createdAt": rfc3339(key.created_at),
                "revokedAt": rfc3339(key.revoked_at) if key.revoked_at else None,
            }
            for key in known
        ]
        typer.echo(json.dumps({"keys": rows}, ensure_ascii=False))
        return
    table = Table("id", "name", "created", "revoked")
    for key in known:
        revoked = f"{key.revoked_at:%Y-%m-%d %H:%M} UTC" if key.revoked_at else ""
        table.add_row(key.id, Text(key.name), f"{key.created_at:%Y-%m-%d %H:%M} UTC", revoked)
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as tootsoo keys list shows it.")],
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Refuse a key from now on.

    Example: tootsoo keys revoke 5f0c9a1b2c3d
    """
    with open_keys(load(DatabaseSettings)) as keys:
        revoked = keys.revoke(key_id, now=utc_now())
    if as_json:
        typer.echo(json.dumps({"id": key_id, "revoked": revoked}))
    else:
        typer.echo("Revoked" if revoked else f"There is no key {key_id}: see tootsoo keys list", err=not revoked)
    if not revoked:
        raise typer.Exit(1)
