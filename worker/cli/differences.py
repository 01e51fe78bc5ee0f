"""Shows what differs, as it is read: a line each for people, up to a limit; all of it for machines, kept nowhere."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

import psycopg
import typer
from babel.numbers import format_currency
from moneyed import Money
from psycopg_pool import PoolTimeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from adapters.postgres.comparison import Difference, Value
from worker.clock import rfc3339
from worker.words import plain

SHOWN_MAX = 1_000
"""Lines for people. --json has all."""


class JsonArray:
    """One JSON object on standard output whose one long array is written as it comes."""

    def __init__(self, name: str) -> None:
        self._separator = f'{{"{name}": ['

    def add(self, element: dict[str, object]) -> None:
        """Write one element."""
        sys.stdout.write(self._separator + "\n" + json.dumps(element, ensure_ascii=False))
        self._separator = ","

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the array and the object when what would fill it fails: half an answer can still be read."""
        try:
            yield
        except BaseException:
            if self._separator == ",":
                self.end({"complete": False})
            raise

    def end(self, rest: dict[str, object]) -> None:
        """Close the array and write the other members."""
        if self._separator != ",":
            sys.stdout.write(self._separator)
        sys.stdout.write("], " + json.dumps(rest, ensure_ascii=False)[1:] + "\n")


class Lines:
    """Lines for people, up to `SHOWN_MAX`."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, line: str) -> None:
        """Print a line, unless there are too many already."""
        self._count += 1
        if self._count <= SHOWN_MAX:
            typer.echo(line)

    def end(self) -> None:
        """Tell whether some were not printed."""
        if self._count > SHOWN_MAX:
            typer.echo("✗ and more; --json has all of them")


def difference_json(difference: Difference) -> dict[str, object]:
    """Write a difference as `{"invoice","column","live","rebuilt"}`."""
    column = difference.column if difference.of is None else f"{difference.column} of {difference.of}"
    return {
        "invoice": difference.invoice,
        "column": column,
        "live": value_json(difference.live),
        "rebuilt": value_json(difference.rebuilt),
    }


def difference_line(difference: Difference) -> str:
    """Write a difference in words."""
    of = f" of {plain(difference.of)}" if difference.of else ""
    live, rebuilt = value_text(difference.live), value_text(difference.rebuilt)
    invoice = plain(difference.invoice) if difference.invoice else "suspense"
    return f"✗ {invoice}: {difference.column}{of} is {live}, its events come to {rebuilt}"


def value_json(value: Value) -> object:
    """Write money as the API does, times with a Z, and all else as it is."""
    if isinstance(value, Money):
        decimals = len(str(value.currency.sub_unit)) - 1
        return {"amount": f"{value.amount:.{decimals}f}", "currency": value.currency.code}
    return _time(value) if isinstance(value, str) else value


def value_text(value: Value) -> str:
    """Write money as people do."""
    if isinstance(value, Money):
        exact = Decimal(value.amount)
        return str(format_currency(exact, value.currency.code, "#,##0.## ¤", locale="mn", currency_digits=False))
    return "nothing" if value is None else str(value_json(value))


def _time(text: str) -> str:
    """Give a time of PostgreSQL's JSON its Z; anything else, infinity included, is left alone."""
    try:
        return rfc3339(datetime.fromisoformat(text))
    except ValueError:
        return text


@contextmanager
def progress(work: str) -> Iterator[Progress]:
    """Show a bar on standard error while something takes long; nothing where that is no terminal."""
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # Only where both are the terminal: standard output in a file is no business of a bar.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        bar.add_task(work, total=None)
        yield bar


@contextmanager
def database_told() -> Iterator[None]:
    """Say in one line what PostgreSQL did not do, and end with 1."""
    try:
        yield
    except PoolTimeout:
        _refuse("PostgreSQL gives no connection: try again later")
    except psycopg.errors.InsufficientPrivilege as error:
        _refuse(f"{error.diag.message_primary}: as its owner, GRANT TEMPORARY ON DATABASE … TO tootsoo_app")
    except psycopg.OperationalError as error:
        _refuse(f"PostgreSQL ended it: {str(error).strip().splitlines()[0]}. It is safe to run again")


def _refuse(message: str) -> None:
    typer.echo(f"tootsoo: {message}", err=True)
    raise typer.Exit(1)
