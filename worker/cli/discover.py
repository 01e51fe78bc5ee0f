"""The command that finds payments that nobody announced: discover, and what callbacks missed."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from adapters.postgres.discoveries import FoundOfDay
from domain.payment_event import Source
from worker.accounts import load_accounts
from worker.cli.differences import database_told, progress
from worker.cli.tables import print_table
from worker.clock import utc_now
from worker.compose.discovering import compose_discover, open_discoveries
from worker.discover import Discovered, in_words
from worker.settings import CheckSettings, CommonSettings, DatabaseSettings, DiscoverySettings, RedisSettings, load
from worker.stopping import stop_event

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]

DAYS, DAYS_MAX = 7, 400


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(discover)


def discover(
    *,
    report: Annotated[
        bool, typer.Option("--report", help="Show how payments became known, and what callbacks missed; ask nothing.")
    ] = False,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=DAYS_MAX, help="With --report: so many days, today included.", show_default="7"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find payments that nobody announced, as workers do every DISCOVER_EVERY_S: 0 done, 1 not to its end.

    Reads what is due of each gateway's list of payments, and has the QRs checked that an unknown one is on. It may be
    stopped, killed and run again, also beside the workers' own.

    Example: tootsoo discover --report --days 30
    """
    if report:
        _report(days=days or DAYS, as_json=as_json)
        return
    if days is not None:
        raise typer.BadParameter("--days goes with --report")
    composed = compose_discover(
        database=load(DatabaseSettings),
        redis=load(RedisSettings),
        checks=load(CheckSettings),
        accounts=load_accounts(),
        settings=load(DiscoverySettings),
        told_to_stop=stop_event(),
    )
    with composed as discover_now, database_told(), progress("Discovering") as bar:
        discovered = discover_now(lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total))
    if as_json:
        typer.echo(json.dumps({"gateways": [_as_json(one) for one in discovered]}, ensure_ascii=False))
    else:
        typer.echo(in_words(discovered))
    if any(one.failed for one in discovered):
        raise typer.Exit(1)


def _as_json(one: Discovered) -> dict[str, object]:
    swept, steps = one.swept, one.steps
    return {
        "gateway": swept.gateway,
        "questions": swept.questions,
        "unchanged": swept.unchanged,
        "pages": swept.pages,
        "found": swept.new,
        "checksRequested": steps.rung,
        "lookedUp": steps.looked_up,
        "filed": steps.filed,
        "ignored": steps.ignored,
        "waiting": steps.waiting,
        "notTold": steps.not_told,
        "unreadable": swept.unreadable,
        "unread": swept.unread,
        "left": swept.left,
        "failed": one.failed,
    }


def _report(*, days: int, as_json: bool) -> None:
    zone_name = load(CommonSettings).timezone
    until = utc_now()
    midnight = datetime.combine(until.astimezone(ZoneInfo(zone_name)).date(), datetime.min.time())
    since = (midnight - timedelta(days=days - 1)).replace(tzinfo=ZoneInfo(zone_name))
    with open_discoveries(load(DatabaseSettings)) as discoveries, database_told():
        lines = _lines(discoveries.found_by_day(since=since, until=until, zone=zone_name))
    if as_json:
        typer.echo(json.dumps({"timezone": zone_name, "days": lines}, ensure_ascii=False))
        return
    table = Table("day", "gateway", *(source.value for source in SOURCES), "missed by callbacks")
    for line in lines:
        share = f"{line['missedShare']:.1%}"
        table.add_row(str(line["day"]), str(line["gateway"]), *(str(line[source]) for source in SOURCES), share)
    if lines:
        print_table(table)
    else:
        typer.echo(f"No payment became known in {days} days")


SOURCES = (Source.CALLBACK, Source.SWEEP, Source.REFRESH, Source.COMMAND)
"""What made us look, of payments that a gateway proves."""


def _lines(found: Sequence[FoundOfDay]) -> list[dict[str, object]]:
    """Put the sources of each day and gateway side by side; missed is what no callback made us look at."""
    counts: dict[tuple[str, str], dict[Source, int]] = defaultdict(dict)
    for one in found:
        counts[one.day.isoformat(), one.gateway][one.source] = one.payments
    lines: list[dict[str, object]] = []
    for (day, gateway), by_source in sorted(counts.items()):
        total = sum(by_source.values())
        missed = total - by_source.get(Source.CALLBACK, 0)
        each = {source.value: by_source.get(source, 0) for source in SOURCES}
        lines.append({"day": day, "gateway": gateway, **each, "missed": missed, "missedShare": missed / total})
    return lines
