"""Commands for the API's keys: create, list, revoke."""

import json
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from adapters.postgres.api_keys import ALL_SCOPES, Scope
from worker.cli.tables import print_table
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
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do: read, write. Once for each; both when none is given.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Make a key and print it; it cannot be shown again.

    Example: tootsoo keys create dashboard --scope read
    """
    if not 1 <= len(name) <= 100 or not name.isprintable():  # noqa: PLR2004 - the column's own limit
        raise typer.BadParameter("a name has 1 to 100 printable characters")
    scopes = frozenset(scope or ALL_SCOPES)
    with open_keys(load(DatabaseSettings)) as keys:
        key = keys.create(name, now=utc_now(), scopes=scopes)
    typer.echo(json.dumps({"name": name, "scopes": sorted(scopes), "key": key}) if as_json else key)


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
                "scopes": sorted(key.scopes),
                "createdAt": rfc3339(key.created_at),
                "lastUsedAt": rfc3339(key.last_used_at) if key.last_used_at else None,
                "revokedAt": rfc3339(key.revoked_at) if key.revoked_at else None,
            }
            for key in known
        ]
        typer.echo(json.dumps({"keys": rows}, ensure_ascii=False))
        return
    table = Table("id", "name", "scopes", "created", "last used", "revoked")
    for key in known:
        times = (key.created_at, key.last_used_at, key.revoked_at)
        table.add_row(key.id, Text(key.name), " ".join(sorted(key.scopes)), *map(_minute, times))
    print_table(table)


def _minute(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else ""


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as tootsoo keys list shows it.")],
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Refuse a key from now on; web processes that know it do so within two seconds.

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
