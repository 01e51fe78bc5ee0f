"""The command that rebuilds balances: replay."""

from collections.abc import Callable
from typing import Annotated

import typer

from adapters.postgres.comparison import Difference
from adapters.postgres.replay import ReplayRunsError
from worker.cli.differences import (
    SHOWN_MAX,
    JsonArray,
    Lines,
    database_told,
    difference_json,
    difference_line,
    progress,
)
from worker.compose.database import compose_replay
from worker.explain import NAME_MAX_CHARS
from worker.replay import Replayed, UnknownInvoiceIdError
from worker.settings import DatabaseSettings, load

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words, with every difference.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    *,
    invoice: Annotated[
        str | None, typer.Option(metavar="ID", help="One invoice and its payments, instead of everything.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what differs and write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Rebuild every balance from events and changes, while payments go on: 0 all are right, 1 some are not.

    It writes no more than what differs, calls no gateway and notifies nobody. Killed, it may be run again.

    Example: tootsoo replay --dry-run
    """
    if invoice is not None and not (0 < len(invoice) <= NAME_MAX_CHARS and invoice.isprintable()):
        raise typer.BadParameter(f"should be 1 to {NAME_MAX_CHARS} printable characters", param_hint="--invoice")
    array, lines = JsonArray("difference"), Lines()
    with (
        compose_replay(load(DatabaseSettings)) as run,
        database_told(),
        array.closed_on_error(),
        progress("Comparing") as bar,
    ):

        def tell(done: int, total: int) -> None:
            bar.update(bar.task_ids[0], description="Writing", completed=done, total=total)

        def show(difference: Difference) -> None:
            if as_json:
                array.add(difference_json(difference))
            else:
                lines.add(difference_line(difference))

        shown_max = None if as_json else SHOWN_MAX + 1
        replayed = _run(run, invoice_id=invoice, dry_run=dry_run, show=show, shown_max=shown_max, tell=tell)
    if as_json:
        array.end(_as_json(replayed))
    else:
        lines.end()
        typer.echo(_summary(replayed))
    if not replayed.right:
        raise typer.Exit(1)


def _run(run: Callable[..., Replayed], **wanted: object) -> Replayed:
    try:
        return run(**wanted)
    except ReplayRunsError:
        typer.echo("tootsoo: another replay is running: wait until it has ended", err=True)
    except UnknownInvoiceIdError:
        typer.echo("tootsoo: there is no invoice of that id", err=True)
    raise typer.Exit(1)


def _as_json(replayed: Replayed) -> dict[str, object]:
    return {
        "events": replayed.events,
        "invoices": replayed.invoices,
        "changed": replayed.changed,
        "seconds": round(replayed.seconds, 3),
    }


def _summary(replayed: Replayed) -> str:
    read = f"{replayed.events:,} events, {replayed.invoices:,} invoices, {replayed.seconds:.1f} s"
    if replayed.unlike == 0:
        return f"✓ {read}; every balance is what its events come to"
    if replayed.dry_run:
        return f"✗ {read}; {replayed.unlike:,} rows differ. Without --dry-run they are written"
    said = f"{read}; {replayed.unlike:,} rows differed, {replayed.changed:,} were written"
    if replayed.right:
        return f"✓ {said}"
    busy = f"; {replayed.busy:,} were locked by others all the time: run it again" if replayed.busy else ""
    odd = f"; the events of {replayed.unwritable:,} cannot be: tootsoo verify says why" if replayed.unwritable else ""
    return f"✗ {said}{busy}{odd}"
