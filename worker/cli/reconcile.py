"""The command that compares gateways' lists with what is recorded: reconcile."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn
from zoneinfo import ZoneInfo

import typer

from domain.gateway import GatewayBusyError, GatewayError, GatewayUnauthorisedError
from domain.payment_event import Source
from worker.accounts import load_accounts
from worker.cli.differences import JsonArray, Lines, database_told, progress
from worker.cli.reconciled import (
    CSV_HEADER,
    csv_row,
    day_json,
    difference_json,
    difference_line,
    print_tables,
    summary,
)
from worker.cli.refusals import RefusedError
from worker.clock import utc_now
from worker.compose.reconciling import compose_reconcile
from worker.csv_file import FileThereError, Rows, writing_csv
from worker.follow_up import Difference
from worker.reconcile import DayReport, Reconcile
from worker.settings import CheckSettings, CommonSettings, DatabaseSettings, DiscoverySettings, RedisSettings, load

DAYS_MAX = 366

FromDay = Annotated[str, typer.Option("--from", metavar="DAY", help="The first day: 2026-11-23, yesterday or today.")]
ToDay = Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day.", show_default="the first")]
Gateway = Annotated[str | None, typer.Option(help="One gateway, such as qpay.", show_default="all")]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write each difference to a new CSV file.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Let --csv replace a file that is there.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reconcile)


def reconcile(
    *,
    from_day: FromDay = "yesterday",
    to_day: ToDay = None,
    gateway: Gateway = None,
    csv: Csv = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Compare what gateways list with what is recorded, both ways: 0 it agrees, 1 with each difference.

    Days are days in TIMEZONE. What only the gateway has, or has otherwise, is queued for a check, which records it or
    raises a question; the report says what is done about each. No event is written here.

    Example: tootsoo reconcile --from yesterday --csv yesterday.csv
    """
    timezone = load(CommonSettings).timezone
    first, last = _days(from_day, to_day, today=utc_now().astimezone(ZoneInfo(timezone)).date())
    if overwrite and csv is None:
        raise typer.BadParameter("--overwrite goes with --csv")
    composed = compose_reconcile(
        database=load(DatabaseSettings),
        redis=load(RedisSettings),
        checks=load(CheckSettings),
        accounts=load_accounts(),
        discovery=load(DiscoverySettings),
        timezone=timezone,
    )
    with _csv_told(csv, overwrite=overwrite) as rows, composed as compare, database_told():
        names = _gateways(compare, gateway, first=first, last=last)
        reports = _report(compare, names, first=first, last=last, rows=rows, as_json=as_json)
    if csv is not None and not as_json:
        typer.echo(f"· Each difference is in {csv}")
    if any(report.open for report in reports):
        raise typer.Exit(1)


def _report(
    compare: Reconcile, gateways: list[str], *, first: date, last: date, rows: Rows | None, as_json: bool
) -> list[DayReport]:
    """Compare day by day, and print: differences as they come, the days in the end."""
    array, lines = JsonArray("differences"), Lines()
    reports: list[DayReport] = []

    def show(difference: Difference) -> None:
        if rows is not None:
            rows.writerow(csv_row(difference))
        if as_json:
            array.add(difference_json(difference))
        else:
            lines.add(difference_line(difference))

    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    with array.closed_on_error() if as_json else nullcontext(), progress("Comparing") as bar:
        task = bar.task_ids[0]
        for day in days:
            for name in gateways:
                bar.update(task, description=f"{name}, {day}")
                with _gateway_told(name, day):
                    reports.append(
                        compare(
                            name, day, source=Source.COMMAND, show=show, after_page=lambda rows: bar.advance(task, rows)
                        )
                    )
    if as_json:
        array.end({"days": [day_json(report) for report in reports], "open": sum(one.open for one in reports)})
    else:
        lines.end()
        print_tables(reports)
        typer.echo(summary(reports))
    return reports


def _days(from_day: str, to_day: str | None, *, today: date) -> tuple[date, date]:
    first = _day(from_day, called="--from", today=today)
    last = first if to_day is None else _day(to_day, called="--to", today=today)
    if last < first:
        raise RefusedError("INVALID", "--to is before --from", exit_code=2)
    if (last - first).days >= DAYS_MAX:
        raise RefusedError("INVALID", f"--from and --to are more than {DAYS_MAX} days apart", exit_code=2)
    return first, last


def _day(text: str, *, called: str, today: date) -> date:
    words = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        day = words.get(text.strip().lower()) or datetime.strptime(text.strip(), "%Y-%m-%d").date()  # noqa: DTZ007 - a date
    except ValueError:
        raise RefusedError(
            "INVALID", f"{called} should be a day such as 2026-11-23, yesterday or today", exit_code=2
        ) from None
    if day > today:
        raise RefusedError("INVALID", f"{called} is a day that has not begun: today is {today}", exit_code=2)
    return day


def _gateways(compare: Reconcile, wanted: str | None, *, first: date, last: date) -> list[str]:
    there = compare.gateways(first=first, last=last)
    if wanted is None:
        return there
    if wanted not in there:
        raise RefusedError("UNKNOWN_GATEWAY", f"--gateway should be one of {', '.join(there)}", exit_code=2)
    return [wanted]


@contextmanager
def _csv_told(path: Path | None, *, overwrite: bool) -> Iterator[Rows | None]:
    """Open the file before anybody is asked anything, and say in one line why it cannot be written."""
    if path is None:
        yield None
        return
    try:
        with writing_csv(path, header=CSV_HEADER, overwrite=overwrite) as rows:
            yield rows
    except FileThereError:
        raise RefusedError(
            "FILE_THERE", f"{path} is there already: say --overwrite, or take another name", exit_code=2
        ) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise RefusedError("NOT_WRITTEN", f"{path} cannot be written: {error.strerror}", exit_code=2) from None


@contextmanager
def _gateway_told(gateway: str, day: date) -> Iterator[None]:
    """Say in one line that the gateway did not tell its list, and what to do."""
    try:
        yield
    except GatewayUnauthorisedError:
        _refuse(gateway, day, "it does not take our credentials: mend them in the settings")
    except GatewayBusyError as error:
        wait = f" in {error.retry_after_s:.0f} s" if error.retry_after_s else " later"
        _refuse(gateway, day, f"{error.message}. Try again{wait}")
    except GatewayError as error:
        _refuse(gateway, day, f"{error.message}. Try again later")


def _refuse(gateway: str, day: date, why: str) -> NoReturn:
    raise RefusedError("NOT_COMPARED", f"{gateway} did not tell its list of {day}: {why}")
