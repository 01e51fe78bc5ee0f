"""The command that says whether what is recorded can be believed: verify."""

import json
from typing import Annotated

import typer

from adapters.postgres.seals import Head
from worker.clock import utc_now
from worker.compose import open_seals
from worker.seal import late_after, seal_keys
from worker.settings import MISSING, DatabaseSettings, SealSettings, SettingsError, load
from worker.verify import PublishedHead, SealReport, WrongSealSecretError, verify_seals

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    seals: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--seals", help="Find events that were changed, removed or inserted after they were sealed.")
    ] = False,
    expect_head: Annotated[
        str | None,
        typer.Option(metavar="POSITION:SEAL", help="With --seals: a head that was published, to find a cut tail."),
    ] = None,
    head: Annotated[  # noqa: FBT002 - a flag of the command line
        bool, typer.Option("--head", help="Print the newest seal, to be published where the database's people cannot.")
    ] = False,
    as_json: Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Say whether what is recorded is what was recorded: 0 yes, 1 no.

    Example: tootsoo verify --seals
    """
    if seals == head:
        raise typer.BadParameter("say either --seals or --head")
    if head:
        if expect_head is not None:
            raise typer.BadParameter("--expect-head goes with --seals")
        _print_head(as_json=as_json)
    else:
        _verify_seals(_published(expect_head), as_json=as_json)


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
    database, settings = load(DatabaseSettings), load(SealSettings)
    keys, late = seal_keys(settings), late_after(settings)
    if not keys:
        raise SettingsError(f"SEAL_SECRET is missing: {MISSING['SEAL_SECRET']}")
    with open_seals(database) as store:
        try:
            report = verify_seals(store, keys=keys, published=published, now=utc_now(), late_after=late, tell=_tell)
        except WrongSealSecretError as error:
            raise SettingsError(f"SEAL_SECRET is wrong: {error}") from None
    if as_json:
        typer.echo(json.dumps(_report_json(report), ensure_ascii=False))
    else:
        _report(report)
    if not report.ok:
        raise typer.Exit(1)


def _tell(read: int, total: int) -> None:
    typer.echo(f"· {read:,} of {total:,} seals", err=True)


def _report(report: SealReport) -> None:
    for problem in report.problems:
        of = f" ({problem.payment})" if problem.payment else ""
        typer.echo(f"✗ position {problem.position}{of}: {problem.kind}: {problem.detail}")
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
