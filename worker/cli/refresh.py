"""The command that renews QRs before they expire: refresh."""

from typing import Annotated

import typer

from domain.refresh import End, ExpiringQr
from worker.accounts import load_accounts
from worker.cli.differences import JsonArray, Lines, database_told, progress, value_json, value_text
from worker.cli.given import shown
from worker.clock import rfc3339
from worker.compose.issuing import compose_refresh
from worker.refresh import Done, Outcome
from worker.refresh_all import RefreshAll, Refreshed, in_words
from worker.settings import (
    CheckSettings,
    DatabaseSettings,
    RedisSettings,
    RefreshSettings,
    WebSettings,
    load,
)
from worker.stopping import stop_event

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(refresh)


def refresh(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; ask and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Renew the QRs that expire within REFRESH_HORIZON, as workers do every night: 0 done, 1 something is left.

    Each is cancelled, looked at once more, and replaced by one for what is outstanding. It may be stopped, killed and
    run again, also beside the nightly run.

    Example: tootsoo refresh --dry-run
    """
    composed = compose_refresh(
        database=load(DatabaseSettings),
        redis=load(RedisSettings),
        checks=load(CheckSettings),
        accounts=load_accounts(),
        web=load(WebSettings),
        settings=load(RefreshSettings),
        told_to_stop=(told_to_stop := stop_event()),
    )
    with composed as refresh_all, database_told():
        if dry_run:
            _tell_plan(refresh_all, as_json=as_json)
            return
        refreshed = _run(refresh_all, as_json=as_json)
    if told_to_stop.is_set() and not as_json:
        typer.echo("tootsoo: stopped; what was begun is done, and the next refresh goes on", err=True)
    if not refreshed.finished or refreshed.counts.get(Outcome.FAILED):
        raise typer.Exit(1)


def _run(refresh_all: RefreshAll, *, as_json: bool) -> Refreshed:
    array, lines = JsonArray("failed"), Lines()

    def show(done: Done) -> None:
        if as_json:
            array.add({"invoice": done.invoice_id, "gateway": done.gateway, "reason": done.reason})
        else:
            lines.add(f"✗ {done.invoice_id} at {done.gateway}: {shown(done.reason or '')}")

    with array.closed_on_error(), progress("Refreshing") as bar:
        refreshed = refresh_all(
            show=show, tell=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)
        )
    if as_json:
        counts = {outcome.value: refreshed.counts.get(outcome, 0) for outcome in Outcome if outcome is not Outcome.LEFT}
        # "failed" is the array of them.
        counts["failures"] = counts.pop("failed")
        array.end({**counts, "reasons": dict(refreshed.reasons), "owed": refreshed.owed, "stopped": refreshed.stopped})
    else:
        lines.end()
        typer.echo(f"{'✓' if refreshed.finished else '✗'} {in_words(refreshed)}")
        if refreshed.owed and refreshed.stopped is None:
            typer.echo("Those are tried again every night, and by the next refresh a minute from now")
    return refreshed


def _tell_plan(refresh_all: RefreshAll, *, as_json: bool) -> None:
    array, lines = JsonArray("expiring"), Lines()
    replaced = closed = 0
    with array.closed_on_error():
        for qr, end in refresh_all.expiring():
            replaced, closed = replaced + end.replaced, closed + (not end.replaced)
            if as_json:
                array.add(_as_json(qr, end))
            else:
                lines.add(_as_line(qr, end))
        owed = refresh_all.owed()
    if as_json:
        array.end({"toReplace": replaced, "toClose": closed, "owed": owed})
        return
    lines.end()
    typer.echo(
        f"{replaced:,} to be replaced, {closed:,} to be closed alone, {owed:,} owed from before. Nothing was done"
    )


def _as_json(qr: ExpiringQr, end: End) -> dict[str, object]:
    return {
        "invoice": qr.invoice_id,
        "gateway": qr.gateway,
        "gatewayInvoiceId": str(qr.id),
        "expiresAt": rfc3339(qr.expires_at),
        "outstanding": value_json(qr.outstanding),
        "replaced": end.replaced,
    }


def _as_line(qr: ExpiringQr, end: End) -> str:
    what = f"replaced by one for {value_text(qr.outstanding)}" if end.replaced else "closed"
    return f"{qr.invoice_id} at {qr.gateway}, until {qr.expires_at:%Y-%m-%d %H:%M} UTC: {what}"
