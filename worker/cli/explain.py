"""The command that tells why a balance is what it is: explain."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from domain.dossier import Subject, SubjectKind
from worker.cli.refusals import RefusedError
from worker.clock import utc_now
from worker.compose.database import open_dossiers
from worker.explain import CHECKS_MAX, NAME_MAX_CHARS, DamagedLedgerError, Story, explain
from worker.settings import CommonSettings, DatabaseSettings, HistorySettings, load
from worker.story_json import story_json
from worker.story_text import Line, balance_text, lines
from worker.words import gateway_name, money_text, plain, plural

Name = Annotated[
    str,
    typer.Argument(
        metavar="INVOICE|PAYMENT|QR",
        help="An invoice's id, a payment's (alone or as gateway:id), or a QR's: ours, the gateway's, or its number.",
    ),
]

_INDENT = 10
"""Below the time of day: what wraps, and what a line says more."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="explain")(explain_command)


def explain_command(
    name: Name,
    *,
    checks: Annotated[
        int, typer.Option(min=0, max=100_000, help="How many checks at most, the newest; older ones are counted.")
    ] = CHECKS_MAX,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")] = False,
) -> None:
    """Tell the story of one invoice, one payment or one QR: what happened, why, and the balance after each event.

    Example: tootsoo explain order-1
    """
    if not name or len(name) > NAME_MAX_CHARS or not name.isprintable():
        raise typer.BadParameter(
            f"should be 1 to {NAME_MAX_CHARS} printable characters", param_hint="INVOICE|PAYMENT|QR"
        )
    common, history = load(CommonSettings), load(HistorySettings)
    with open_dossiers(load(DatabaseSettings)) as dossiers:
        try:
            story = explain(dossiers, name, checks_max=checks, clock=utc_now)
        except DamagedLedgerError as error:
            raise RefusedError(
                "DAMAGED_LEDGER",
                f"the story of {name} cannot be told: {error}. `tootsoo verify` names what is wrong, `tootsoo replay` "
                "rebuilds balances from events",
            ) from error
    if story is None:
        typer.echo(f"tootsoo: no invoice, payment or QR is called {name}", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(story_json(story), ensure_ascii=False))
    else:
        _print(story, zone=ZoneInfo(common.timezone), history_days=history.history_days)
    if story.wrong_balances:
        raise typer.Exit(1)


def _print(story: Story, *, zone: ZoneInfo, history_days: int) -> None:
    page = _Page()
    head, *others = _head(story)
    page.line(head, style="bold")
    for text in others:
        page.line(text)
    for day, of_day in groupby(lines(story.items, zone=zone), key=lambda line: line.at.astimezone(zone).date()):
        page.line("")
        page.line(f"{day:%A, %Y-%m-%d} ({zone.key})", style="bold")
        for line in of_day:
            page.story_line(line, at=line.at.astimezone(zone))
    feet = list(_feet(story, oldest=utc_now() - timedelta(days=history_days), history_days=history_days))
    if feet:
        page.line("")
    for text in feet:
        page.line(text, style="yellow")


class _Page:
    """Standard output: wrapped and coloured for a person at a terminal, one line for each thing when piped."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def line(self, text: str, *, style: str = "") -> None:
        self._put(Text(text, style=style), indent=0)

    def story_line(self, line: Line, *, at: datetime) -> None:
        style = "red" if line.is_trouble else "green" if line.is_money else ""
        self._put(Text.assemble((f"{at:%H:%M:%S}  ", "dim"), (line.text, style)), indent=_INDENT)
        for more in line.more:
            self._put(Text(" " * _INDENT + more), indent=_INDENT)

    def _put(self, text: Text, *, indent: int) -> None:
        if not self._console.is_terminal:
            self._console.print(text, soft_wrap=True)
            return
        first, *rest = text.wrap(self._console, max(20, self._console.width)) or [text]
        self._console.print(first)
        if rest:
            left = Text(" ").join(rest)
            self._console.print(Padding(left, (0, 0, 0, indent)))


def _head(story: Story) -> Iterator[str]:
    dossier, subject = story.dossier, story.dossier.subject
    match subject.kind:
        case SubjectKind.INVOICE:
            invoice = dossier.invoices[subject.invoice_id or ""]
            yield f"Invoice {invoice.id}: {plain(invoice.description)}"
            yield f"It is {balance_text(invoice.live)}."
        case SubjectKind.QR:
            qr = next(iter(dossier.qrs.values()))
            gateway = gateway_name(qr.gateway)
            yield f"QR {qr.generation} of invoice {qr.invoice_id} at {gateway}: {money_text(qr.amount)}, {qr.state}"
            theirs = (
                f"{gateway}'s id of it is {plain(qr.external_id)}" if qr.external_id else f"{gateway} has no id of it"
            )
            yield f"Our id of it is {qr.id}, its number {qr.number}; {theirs}."
            yield f"The whole invoice: tootsoo explain {qr.invoice_id}"
        case SubjectKind.PAYMENT:
            gateway, payment_id = subject.payment or ("", "")
            yield f"Payment {plain(payment_id)} at {gateway_name(gateway)}"
            for invoice in dossier.invoices.values():
                yield f"It touched invoice {invoice.id}, which is {balance_text(invoice.live)}."
                yield f"The whole invoice: tootsoo explain {invoice.id}"
            if not dossier.invoices:
                yield "It counts for no invoice: it lies in suspense until a person assigns it (tootsoo assign)."


def _feet(story: Story, *, oldest: datetime, history_days: int) -> Iterator[str]:
    dossier = story.dossier
    for invoice_id in story.wrong_balances:
        should = balance_text(story.rebuilt[invoice_id])
        yield f"✗ The stored balance of {invoice_id} is wrong: its changes and events make it {should}."
    if dossier.checks_left_out:
        yield f"{plural(dossier.checks_left_out, 'older check')} left out: --checks shows more."
    if dossier.discrepancies_left_out:
        yield f"{plural(dossier.discrepancies_left_out, 'older question')} left out."
    if any(invoice.created_at < oldest for invoice in dossier.invoices.values()):
        yield f"Callbacks and checks of more than {history_days} days ago are no longer kept; events always are."
    for other in story.others:
        yield f"The same name has {_named(other)}."


def _named(subject: Subject) -> str:
    match subject.kind:
        case SubjectKind.INVOICE:
            return f"an invoice: tootsoo explain {subject.invoice_id}"
        case SubjectKind.QR:
            return f"a QR of invoice {subject.invoice_id}: tootsoo explain {subject.gateway_invoice_id}"
        case SubjectKind.PAYMENT:
            return f"a payment: tootsoo explain {plain(':'.join(subject.payment or ()))}"
