"""Commands for questions that a person has to answer: list, show, resolve."""

import getpass
import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from adapters.postgres.discrepancies import Resolve, State, StoredDiscrepancy
from worker.clock import rfc3339, utc_now
from worker.compose import open_discrepancies
from worker.settings import DatabaseSettings, load

PAGE = 1_000

app = typer.Typer(name="discrepancies", help="Questions that a person has to answer.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
Number = Annotated[int, typer.Argument(min=1, help="Its number, as tootsoo discrepancies list shows it.")]


@app.command(name="list")
def list_discrepancies(
    *,
    state: Annotated[State, typer.Option(help="Which ones.")] = State.OPEN,
    after: Annotated[int, typer.Option(min=0, help="Only those with a higher number.")] = 0,
    as_json: Json = False,
) -> None:
    """List questions, oldest first; exit 1 when there is an open one.

    Example: tootsoo discrepancies list
    """
    with open_discrepancies(load(DatabaseSettings)) as discrepancies:
        found = discrepancies.list(state=state, after=after, page=PAGE)
    if as_json:
        typer.echo(json.dumps({"discrepancies": [_as_json(one) for one in found]}, ensure_ascii=False))
    elif found:
        table = Table("number", "since", "kind", "invoice", "payment", "question")
        for one in found:
            since = f"{one.first_seen_at:%Y-%m-%d %H:%M} UTC"
            table.add_row(str(one.id), since, one.kind, one.invoice_id or "", one.payment_id or "", one.detail)
        Console().print(table)
    else:
        typer.echo(f"No question is {state.value}")
    if found and state is State.OPEN:
        raise typer.Exit(1)


@app.command()
def show(number: Number, *, as_json: Json = False) -> None:
    """Show one question with all that is known of it.

    Example: tootsoo discrepancies show 7
    """
    with open_discrepancies(load(DatabaseSettings)) as discrepancies:
        one = discrepancies.read(number)
    if one is None:
        typer.echo(f"tootsoo: there is no discrepancy {number}", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(_as_json(one), ensure_ascii=False))
        return
    for name, value in _as_json(one).items():
        if value is not None:
            typer.echo(f"{name:<12} {value}")


@app.command()
def resolve(
    number: Number,
    *,
    reason: Annotated[str, typer.Option(help="What was done about it, and why.")],
    who: Annotated[str, typer.Option(help="Who says so.", show_default="the user of this machine")] = "",
    as_json: Json = False,
) -> None:
    """Answer a question. It moves no money: refund, assign or void first where that is the answer.

    Example: tootsoo discrepancies resolve 7 --reason "Refunded the second payment"
    """
    with open_discrepancies(load(DatabaseSettings)) as discrepancies:
        outcome = discrepancies.resolve(number, resolution=reason, who=who or getpass.getuser(), now=utc_now())
    if as_json:
        typer.echo(json.dumps({"number": number, "outcome": outcome}))
    match outcome:
        case Resolve.RESOLVED | Resolve.SAME:
            if not as_json:
                typer.echo(f"Discrepancy {number} is resolved")
        case Resolve.OTHER:
            typer.echo(f"tootsoo: discrepancy {number} was answered otherwise before", err=True)
            raise typer.Exit(1)
        case Resolve.UNKNOWN:
            typer.echo(f"tootsoo: there is no discrepancy {number}", err=True)
            raise typer.Exit(1)


def _as_json(one: StoredDiscrepancy) -> dict[str, object]:
    return {
        _camel(name): rfc3339(value) if isinstance(value, datetime) else value for name, value in asdict(one).items()
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)
