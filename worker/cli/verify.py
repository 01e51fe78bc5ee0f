"""The command that says whether what is recorded can be believed: verify."""

import json
from typing import Annotated, assert_never

import typer

from adapters.postgres.comparison import Difference
from adapters.postgres.findings import Finding
from adapters.postgres.seals import Head
from domain.seal_audit import SealProblem
from worker.cli.differences import (
    JsonArray,
    Lines,
    database_told,
    difference_json,
    difference_line,
    progress,
    value_json,
    value_text,
)
from worker.clock import utc_now
from worker.compose.database import compose_verify, open_seals
from worker.seal import late_after, seal_keys
from worker.settings import MISSING, DatabaseSettings, SealSettings, SettingsError, load
from worker.verify import PublishedHead, SealReport, WrongSealSecretError, verify_seals
from worker.verify_ledger import LedgerReport

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    seals: Annotated[  # noqa: FBT002 - a flag of the command line
        bool,
        typer.Option("--seals", help="Only find events that were changed, removed or inserted after they were sealed."),
    ] = False,
    expect_head: Annotated[
        str | None,
        typer.Option(metavar="POSITION:SEAL", help="A head that was published, to find a cut tail."),
    ] = None,
    head: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--head", help="Print the newest seal, to be published where the database's people cannot.")
    ] = False,
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Say whether what is recorded is what was recorded, and every balance what its events come to: 0 yes, 1 no.

    Without --seals and --head everything is verified: balances, payments and suspense, references, sums, refunds, and
    the seals where SEAL_SECRET is set. Nothing is written.

    Example: tootsoo verify
    """
    if seals and head:
        raise typer.BadParameter("say either --seals or --head")
    if head:
        if expect_head is not None:
            raise typer.BadParameter("--expect-head does not go with --head")
        _print_head(as_json=as_json)
    elif seals:
        _verify_seals(_published(expect_head), as_json=as_json)
    else:
        _verify_all(_published(expect_head), as_json=as_json)


def _published(text: str | None) -> PublishedHead | None:
    try:
        return None if text is None else PublishedHead.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"--expect-head {error}") from None


def _print_head(*, as_json: bool) -> None:
    with open_seals(load(DatabaseSettings)) as store:
        head = store.head()
    if as_json:
        typer.echo(json.dumps({"head": _head_json(head)}))
    else:
        typer.echo(f"{head.position}:{head.seal.hex()}" if head else "Nothing is sealed yet", err=head is None)


def _verify_seals(published: PublishedHead | None, *, as_json: bool) -> None:
    database = load(DatabaseSettings)
    if not seal_keys(load(SealSettings)):
        raise SettingsError(f"SEAL_SECRET is missing: {MISSING['SEAL_SECRET']}")
    report = _seal_report(database, published)
    if as_json:
        typer.echo(json.dumps(_report_json(report), ensure_ascii=False))
    else:
        _report(report)
    if not report.ok:
        raise typer.Exit(1)


def _seal_report(database: DatabaseSettings, published: PublishedHead | None) -> SealReport:
    settings = load(SealSettings)
    with open_seals(database) as store:
        try:
            return verify_seals(
                store,
                keys=seal_keys(settings),
                published=published,
                now=utc_now(),
                late_after=late_after(settings),
                tell=_tell,
            )
        except WrongSealSecretError as error:
            raise SettingsError(f"SEAL_SECRET is wrong: {error}") from None


def _verify_all(published: PublishedHead | None, *, as_json: bool) -> None:
    sealed = bool(seal_keys(load(SealSettings)))
    if published and not sealed:
        raise SettingsError(f"SEAL_SECRET is missing: {MISSING['SEAL_SECRET']}")
    database = load(DatabaseSettings)
    with database_told():
        seals = _seal_report(database, published) if sealed else None
    if seals is None:
        typer.echo("· The seals are not verified: SEAL_SECRET is not set", err=True)
    array, lines = JsonArray("details"), Lines()

    def show(what: Difference | Finding | SealProblem) -> None:
        if as_json:
            array.add(_detail_json(what))
        else:
            lines.add(_detail_line(what))

    for problem in seals.problems if seals else ():
        show(problem)
    with compose_verify(database) as run, database_told(), array.closed_on_error(), progress("Comparing") as bar:
        report: LedgerReport = run(show=show, tell=lambda step: bar.update(bar.task_ids[0], description=step))
    found = report.differences + (seals.problems_found if seals else 0)
    if as_json:
        rest = {"events": report.events, "invoices": report.invoices, "differences": found}
        array.end({**rest, "sealsOk": seals is not None and seals.ok})
    else:
        lines.end()
        _summary(report, seals, found)
    if found:
        raise typer.Exit(1)


def _summary(report: LedgerReport, seals: SealReport | None, found: int) -> None:
    for sums in report.sums:
        typer.echo(
            f"· {sums.gateway}: {sums.events:,} events, received {value_text(sums.received)}, "
            f"refunded {value_text(sums.refunded)}, in suspense {value_text(sums.suspense)}"
        )
    if seals is None:
        sealed = "seals not verified"
    elif seals.ok:
        sealed = f"{seals.sealed:,} seals, all as they were sealed"
    else:
        sealed = f"{seals.problems_found:,} problems with the seals"
    said = f"differences: {found:,}" if found else "every balance is what its events come to"
    typer.echo(f"{'✗' if found else '✓'} {report.events:,} events, {report.invoices:,} invoices; {said}; {sealed}")


def _detail_json(what: Difference | Finding | SealProblem) -> dict[str, object]:
    match what:
        case Difference():
            return {"problem": "balance", **difference_json(what), "payment": None, "detail": None}
        case Finding():
            return {
                "problem": what.problem,
                "invoice": what.invoice,
                "column": what.column,
                "live": value_json(what.live),
                "rebuilt": value_json(what.rebuilt),
                "payment": what.payment,
                "detail": what.detail,
            }
        case SealProblem():
            return {
                "problem": "seal",
                "invoice": None,
                "column": None,
                "live": None,
                "rebuilt": None,
                "payment": what.payment,
                "detail": f"position {what.position}: {what.kind}: {what.detail}",
            }
        case _:
            assert_never(what)


def _detail_line(what: Difference | Finding | SealProblem) -> str:
    match what:
        case Difference():
            return difference_line(what)
        case Finding():
            who = " ".join(part for part in (what.invoice, what.payment) if part) or "all"
            amounts = (
                f": {what.column} is {value_text(what.live)}, should be {value_text(what.rebuilt)}"
                if what.column and what.live is not None
                else ""
            )
            return f"✗ {who}: {what.detail}{amounts}"
        case SealProblem():
            of = f" ({what.payment})" if what.payment else ""
            return f"✗ position {what.position}{of}: {what.kind}: {what.detail}"
        case _:
            assert_never(what)


def _tell(read: int, total: int) -> None:
    typer.echo(f"· {read:,} of {total:,} seals", err=True)


def _report(report: SealReport) -> None:
    for problem in report.problems:
        typer.echo(_detail_line(problem))
    if report.problems_found > len(report.problems):
        typer.echo(f"✗ and {report.problems_found - len(report.problems):,} more")
    mark = "✓" if report.ok else "✗"
    said = "all as they were sealed" if report.ok else f"problems: {report.problems_found:,}"
    typer.echo(f"{mark} {report.events:,} events, {report.sealed:,} seals, {report.unsealed:,} not sealed yet; {said}")


def _report_json(report: SealReport) -> dict[str, object]:
    return {
        "events": report.events,
        "sealed": report.sealed,
        "unsealed": report.unsealed,
        "ok": report.ok,
        "problems": [
            {
                "position": problem.position,
                "problem": problem.kind.value,
                "payment": problem.payment,
                "detail": problem.detail,
            }
            for problem in report.problems
        ],
        "problemsFound": report.problems_found,
        "head": _head_json(report.head),
    }


def _head_json(head: Head | None) -> dict[str, object] | None:
    return {"position": head.position, "count": head.count, "seal": head.seal.hex()} if head else None
