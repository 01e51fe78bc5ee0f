"""Commands for what the merchant's application is told: list, show, resend."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from adapters.postgres.notifications import DeliveryState, Notification, Notifications
from worker.cli.given import read_invoice_id, read_local_time, shown
from worker.cli.refusals import RefusedError
from worker.cli.tables import print_table
from worker.clock import rfc3339
from worker.compose.notifying import open_notifications
from worker.notification_json import message_id, notification_out
from worker.settings import CommonSettings, DatabaseSettings, NotifySettings, load

PAGE = 1_000

app = typer.Typer(
    name="notifications", help="What your application is told, and what became of it.", no_args_is_help=True
)


def add_to(whole: typer.Typer) -> None:
    """Add the commands."""
    whole.add_typer(app)


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]

UNDELIVERED = (DeliveryState.PENDING, DeliveryState.PARKED, DeliveryState.UNSENT)


@app.command(name="list")
def list_notifications(
    *,
    state: Annotated[
        list[DeliveryState] | None,
        typer.Option(help="Which ones; may be said several times.", show_default="pending, parked and unsent"),
    ] = None,
    invoice: Annotated[str | None, typer.Option(help="Only those about this invoice.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only those with a higher number.")] = 0,
    as_json: Json = False,
) -> None:
    """List notifications in the order in which they were staged; exit 1 when one of them is parked.

    Example: tootsoo notifications list --state parked
    """
    states, invoice_id = state or UNDELIVERED, read_invoice_id(invoice, called="--invoice")
    with _open() as notifications:
        found = notifications.list(states=states, invoice_id=invoice_id, after=after, page=PAGE + 1)
    page, more = found[:PAGE], len(found) > PAGE
    if as_json:
        rows = [_as_json(one) for one in page]
        last = page[-1].staged.id if more else None
        typer.echo(json.dumps({"notifications": rows, "next": last}, ensure_ascii=False))
    elif page:
        _print(page)
        if more:
            typer.echo(f"There are more: say --after {page[-1].staged.id}")
    else:
        typer.echo(f"Nothing is {' or '.join(one.value for one in states)}")
    if any(one.state is DeliveryState.PARKED for one in page):
        raise typer.Exit(1)


@app.command()
def show(
    number: Annotated[int, typer.Argument(min=1, help="Its number, as tootsoo notifications list shows it.")],
    *,
    as_json: Json = False,
) -> None:
    """Show one notification: what became of it, and what is sent.

    Example: tootsoo notifications show 7
    """
    with _open() as notifications:
        one = notifications.read(number)
    if one is None:
        raise _unknown([number])
    sent = notification_out(one.staged).model_dump(mode="json", by_alias=True)
    if as_json:
        typer.echo(json.dumps(_as_json(one) | {"payload": sent}, ensure_ascii=False))
        return
    for name, value in _as_json(one).items():
        if value is not None:
            typer.echo(f"{name:<12} {shown(str(value))}")
    typer.echo(json.dumps(sent, ensure_ascii=False, indent=2))


@app.command()
def resend(
    numbers: Annotated[list[int] | None, typer.Argument(min=1, help="Their numbers.", show_default=False)] = None,
    *,
    parked: Annotated[bool, typer.Option("--parked", help="All that are parked.")] = False,
    unsent: Annotated[bool, typer.Option("--unsent", help="All that nobody was told, for want of NOTIFY_URL.")] = False,
    since: Annotated[
        str | None, typer.Option(help="With --parked or --unsent: staged since, such as 2026-11-22 14:30, by TIMEZONE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Have notifications sent from the start, also delivered ones: a receiver knows them again by their webhook-id.

    Workers send them in seconds, where NOTIFY_URL is set. Until one that is sent again is through, later ones of its
    invoice wait. Exit 1 when nothing was to be sent.

    Example: tootsoo notifications resend --parked
    """
    if bool(numbers) + parked + unsent != 1:
        raise typer.BadParameter("say numbers, --parked, or --unsent: one of them")
    if since is not None and numbers:
        raise typer.BadParameter("--since goes with --parked or --unsent")
    zone = ZoneInfo(load(CommonSettings).timezone)
    staged_since = None if since is None else read_local_time(since, zone=zone, called="--since")
    with _open() as notifications:
        if numbers:
            if missing := [number for number in dict.fromkeys(numbers) if notifications.read(number) is None]:
                raise _unknown(missing)
            resent = notifications.resend(numbers)
        else:
            state = DeliveryState.PARKED if parked else DeliveryState.UNSENT
            resent = notifications.resend_all(state, since=staged_since)
    if as_json:
        typer.echo(json.dumps({"resent": resent}))
    else:
        typer.echo(f"To be sent: {resent}" if resent else "Nothing of that is to be sent")
    if not resent:
        raise typer.Exit(1)


def _open() -> AbstractContextManager[Notifications]:
    return open_notifications(load(DatabaseSettings), notify=load(NotifySettings))


def _unknown(numbers: Sequence[int]) -> RefusedError:
    return RefusedError("NOTIFICATION_NOT_FOUND", f"there is no notification {', '.join(map(str, numbers))}")


def _print(found: Sequence[Notification]) -> None:
    table = Table("number", "staged", "type", "invoice", "no.", "state", "tries", "last answer")
    for one in found:
        staged = one.staged
        cells = (
            str(staged.id),
            f"{staged.staged_at:%Y-%m-%d %H:%M} UTC",
            staged.type.value,
            staged.invoice_id or "",
            str(staged.sequence or ""),
            one.state.value,
            str(one.attempts),
            one.last_error or "",
        )
        table.add_row(*(Text(shown(cell)) for cell in cells))
    print_table(table)


def _as_json(one: Notification) -> dict[str, object]:
    staged = one.staged
    return {
        "number": staged.id,
        "webhookId": message_id(staged),
        "type": staged.type.value,
        "invoice": staged.invoice_id,
        "sequence": staged.sequence,
        "stagedAt": rfc3339(staged.staged_at),
        "state": one.state.value,
        "tries": one.attempts,
        "nextTryAt": rfc3339(one.next_try_at) if one.state is DeliveryState.PENDING else None,
        "firstTriedAt": _time(one.first_tried_at),
        "endedAt": _time(one.ended_at),
        "lastStatus": one.last_status,
        "lastError": one.last_error,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
