"""Commands for statements of banks: import, match, lines, review."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from adapters.postgres.statement_files import ImportRunsError, the_one_import
from adapters.postgres.statement_lines import LinesBusyError
from domain.statement import StatementFileError
from domain.statement_match import State
from worker.cli import statement_review
from worker.cli.differences import progress
from worker.cli.given import Json, Who, read_who, shown
from worker.cli.refusals import RefusedError
from worker.cli.tables import print_table
from worker.import_statement import Imported, figures_of
from worker.match_lines import LOOKED_AT_STATES, Matched, Tell
from worker.settings import DatabaseSettings, load

app = typer.Typer(name="statement", help="Statements of banks: what came to the account.", no_args_is_help=True)
app.add_typer(statement_review.app)


def add_to(whole: typer.Typer) -> None:
    """Add the commands."""
    whole.add_typer(app)


@app.command(name="import")
def import_statement(
    file: Annotated[Path, typer.Argument(help="The statement: .json as the bank's API answers, .csv or .xlsx.")],
    *,
    bank: Annotated[
        str, typer.Option(help="khan, golomt or tdb; generic; or any name, with --mapping.", metavar="NAME")
    ],
    account: Annotated[
        str | None, typer.Option(help="Your own account, where the file does not tell.", metavar="NUMBER")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="Which column holds what, for exports that are not known.", metavar="FILE")
    ] = None,
    file_format: Annotated[
        Literal["json", "csv", "xlsx"] | None, typer.Option("--format", help="Where the file's name does not tell.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would come to and write nothing.")] = False,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Read a bank's statement: record what is certain, link settlements, propose the rest. Twice is once.

    It exits 1 where a line could not be read or what the bank told contradicts itself. That lines wait is usual.

    Example: tootsoo statement import november.xlsx --bank khan --account 5012345678
    """
    # Loaded here: readers of files take longer to load than most commands to run.
    from worker.compose.statements import compose_import, open_file  # noqa: PLC0415

    gc.freeze()  # what is loaded stays, and the collector would look through it for every few thousand lines
    by = read_who(who)
    with _told():
        statement = open_file(file, bank=_bank(bank), file_format=file_format, account=account, mapping_path=mapping)
        with compose_import(load(DatabaseSettings)) as read_in, _progress(as_json=as_json) as tell:
            imported = read_in(statement, who=by, dry_run=dry_run, tell=tell)
    if as_json:
        typer.echo(json.dumps(_as_json(imported, file=statement.name), ensure_ascii=False))
    else:
        _print(imported, file=statement.name)
    if not imported.all_well:
        raise typer.Exit(1)


@app.command()
def match(*, as_json: Json = False) -> None:
    """Look once more at all lines that wait: an invoice or a payment may be known by now that was not.

    Example: tootsoo statement match
    """
    from worker.compose.statements import compose_match  # noqa: PLC0415 - as above

    with (
        _told(),
        compose_match(load(DatabaseSettings)) as (pool, look),
        the_one_import(pool),
        _progress(as_json=as_json) as tell,
    ):
        matched = look(states=LOOKED_AT_STATES, tell=tell)
    if as_json:
        typer.echo(json.dumps(_counts(matched)))
        return
    typer.echo("\n".join(_matched_words(matched)) or "No line waits")


def _bank(text: str) -> str:
    if not text.isascii() or not text.replace("_", "").isalpha() or text != text.lower() or len(text) > 20:  # noqa: PLR2004 - a name's length
        raise RefusedError("INVALID", "--bank should be up to 20 letters a to z, such as khan", exit_code=2)
    return text


@contextmanager
def _told() -> Iterator[None]:
    """Say in one line why a file was not read."""
    try:
        yield
    except StatementFileError as error:
        raise RefusedError("FILE", shown(str(error)), exit_code=2) from None
    except ImportRunsError:
        raise RefusedError("IMPORT_RUNS", "another import is running: try again when it has ended") from None
    except LinesBusyError:
        raise RefusedError("BUSY", "a review of lines does not come to an end: then say the same again") from None


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Tell]:
    """Show on a terminal how far it is; nothing elsewhere."""
    if as_json:
        yield lambda *_: None
        return
    with progress("Reading") as bar:

        def tell(what: str, done: int, total: int) -> None:
            bar.update(bar.task_ids[0], description=what.title(), completed=done, total=total or None)

        yield tell


def _print(imported: Imported, *, file: str) -> None:
    if imported.dry_run:
        typer.echo("A dry run: nothing was written")
    if imported.before:
        typer.echo(f"{shown(file)} was imported before")
    table = Table(show_header=False, box=None, pad_edge=False)
    for words, count in (
        ("lines read", imported.lines),
        ("of them new", imported.new),
        ("seen before", imported.seen),
        ("went out", imported.outgoing),
    ):
        table.add_row(words, f"{count:,}")
    print_table(table)
    for line in _matched_words(imported.matched):
        typer.echo(line)
    for one in imported.unreadable_lines:
        typer.echo(f"Line {one.number} cannot be read: {shown(one.reason)}")
    if imported.unreadable > len(imported.unreadable_lines):
        typer.echo(f"and {imported.unreadable - len(imported.unreadable_lines):,} more that cannot be read")
    if imported.balance_breaks:
        numbers = ", ".join(map(str, imported.balance_break_lines))
        typer.echo(
            f"Balances do not add up in {imported.balance_breaks:,} places, at the lines {numbers}: is it whole?"
        )
    if imported.changed:
        typer.echo(f"{imported.changed:,} lines contradict what the bank told before: tootsoo discrepancies list")


_WORDS = {
    State.RECORDED: "recorded as payments",
    State.LINKED: "settle payments that were recorded already",
    State.PROPOSED: "wait for a person: tootsoo statement review",
    State.UNMATCHED: "match nothing: tootsoo statement review list --state unmatched",
}


def _matched_words(matched: Matched) -> list[str]:
    return [f"{matched.of(state):,} {words}" for state, words in _WORDS.items() if matched.of(state)]


def _counts(matched: Matched) -> dict[str, object]:
    return {
        **{state.value: matched.of(state) for state in _WORDS},
        "why": {
            f"{state}:{why}": count for (state, why), count in sorted(matched.counts.items(), key=lambda one: one[0])
        },
    }


def _as_json(imported: Imported, *, file: str) -> dict[str, object]:
    return {
        "file": file,
        "dryRun": imported.dry_run,
        "before": imported.before,
        **{_camel(name): figure for name, figure in figures_of(imported).items()},
        "why": _counts(imported.matched)["why"],
        "unreadableLines": [{"line": one.number, "reason": one.reason} for one in imported.unreadable_lines],
        "balanceBreakLines": list(imported.balance_break_lines),
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)
