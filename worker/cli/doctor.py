"""The go-live check-list as a command: doctor."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from worker.cli.schedule import jobs_of_settings
from worker.compose.doctor import compose_doctor
from worker.doctor.examine import examine
from worker.doctor.finding import Finding, Verdict, is_well
from worker.doctor.loaded import load_all
from worker.logs import configure_logs
from worker.settings import SettingsError
from worker.words import plural

_MARKS = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.FAILURE: "✗", Verdict.UNTESTED: "?"}
_COLOURS = {
    Verdict.OK: typer.colors.GREEN,
    Verdict.WARNING: typer.colors.YELLOW,
    Verdict.FAILURE: typer.colors.RED,
    Verdict.UNTESTED: typer.colors.CYAN,
}
_INDENT = 18


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False
) -> None:
    """Go through the go-live check-list: what is set, who answers, who works; exit 1 when something must be mended.

    Each line is ok (✓), a warning (!), a failure (✗) or could not be tested (?), with what to do; docs/go-live.md
    explains them. Warnings and what could not be tested leave the exit code 0. Where real money is more is a failure:
    with QPAY_ENV=production or TOOTSOO_ENV=production. No money moves, and nothing is sent to your application.

    Example: tootsoo doctor
    """
    # What goes wrong on the way is what the findings tell.
    configure_logs(process="doctor", log_format="console", log_level="critical")
    loaded = load_all()
    try:
        jobs = jobs_of_settings()
    except SettingsError:
        jobs = ()
    with compose_doctor(loaded, jobs=jobs) as checks:
        findings = examine(checks)
    if as_json:
        typer.echo(json.dumps(_as_json(findings), ensure_ascii=False))
    else:
        for finding in findings:
            _print(finding)
        _summarise(findings)
    if not is_well(findings):
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    mark = typer.style(_MARKS[finding.verdict], fg=_COLOURS[finding.verdict])
    typer.echo(f"{mark} {finding.check:<{_INDENT - 2}}{finding.says}")
    if finding.action:
        typer.echo(f"{'':<{_INDENT}}→ {finding.action}")


def _summarise(findings: Sequence[Finding]) -> None:
    counts = _counts(findings)
    mark = "✓" if is_well(findings) else "✗"
    told = ", ".join(plural(counts[verdict], word) for verdict, word in _COUNTED.items())
    typer.echo(f"\n{mark} {counts[Verdict.OK]} ok, {told}, {counts[Verdict.UNTESTED]} not tested")


_COUNTED = {Verdict.FAILURE: "failure", Verdict.WARNING: "warning"}


def _counts(findings: Sequence[Finding]) -> dict[Verdict, int]:
    return {verdict: sum(one.verdict is verdict for one in findings) for verdict in Verdict}


def _as_json(findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "ok": is_well(findings),
        "counts": {verdict.value: count for verdict, count in _counts(findings).items()},
        "findings": [
            {"check": one.check, "verdict": one.verdict.value, "says": one.says, "action": one.action or None}
            for one in findings
        ],
    }
