"""Commands for questions that a person has to answer: list, show, resolve."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, assert_never

import typer
from rich.table import Table
from rich.text import Text

from adapters.postgres.discrepancies import Resolve, State, StoredDiscrepancy
from worker.cli.given import read_reason, read_who, shown
from worker.cli.refusals import RefusedError
from worker.cli.tables import print_table
from worker.clock import rfc3339, utc_now
from worker.compose.database import open_discrepancies
from worker.settings import DatabaseSettings, load

PAGE = 1_000

app = typer.Typer(name="discrepancies", help="Questions that a person has to answer.", no_args_is_help=True)


def add_to(whole: typer.Typer) -> None:
    """Add the commands."""
    whole.add_typer(app)


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
        found = discrepancies.list(state=state, after=after, page=PAGE + 1)
    page, more = found[:PAGE], len(found) > PAGE
    if as_json:
        rows = [_as_json(one) for one in page]
        typer.echo(json.dumps({"discrepancies": rows, "next": page[-1].id if more else None}, ensure_ascii=False))
    elif page:
        _print(page)
        if more:
            typer.echo(f"There are more: tootsoo discrepancies list --state {state.value} --after {page[-1].id}")
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
        raise _unknown(number)
    if as_json:
        typer.echo(json.dumps(_as_json(one), ensure_ascii=False))
        return
    for name, value in _as_json(one).items():
        if value is not None:
            typer.echo(f"{name:<12} {shown(str(value))}")


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
    resolution, by = read_reason(reason), read_who(who)
    with open_discrepancies(load(DatabaseSettings)) as discrepancies:
        outcome = discrepancies.resolve(number, resolution=resolution, who=by, now=utc_now())
    match outcome:
        case Resolve.RESOLVED | Resolve.SAME:
            typer.echo(
                json.dumps({"number": number, "outcome": outcome}) if as_json else f"Discrepancy {number} is resolved"
            )
        case Resolve.OTHER:
            raise RefusedError("ANSWERED_OTHERWISE", f"discrepancy {number} was answered otherwise before")
        case Resolve.WITHDRAWN:
            message = f"discrepancy {number} was withdrawn: a later check showed that there is no question"
            raise RefusedError("WITHDRAWN", message)
        case Resolve.UNKNOWN:
            raise _unknown(number)
        case _:
            assert_never(outcome)


def _unknown(number: int) -> RefusedError:
    return RefusedError("DISCREPANCY_NOT_FOUND", f"there is no discrepancy {number}")


def _print(found: Sequence[StoredDiscrepancy]) -> None:
    table = Table("number", "since", "kind", "invoice", "payment", "question")
    for one in found:
        since = f"{one.first_seen_at:%Y-%m-%d %H:%M} UTC"
        cells = str(one.id), since, one.kind, one.invoice_id or "", one.payment_id or "", one.detail
        table.add_row(*(Text(shown(cell)) for cell in cells))
    print_table(table)


def _as_json(one: StoredDiscrepancy) -> dict[str, object]:
    return {
        _camel(name): rfc3339(value) if isinstance(value, datetime) else value for name, value in asdict(one).items()
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)
