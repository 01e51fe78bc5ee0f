"""Commands by which a person decides about lines of statements: review, list, show, accept, assign, link, ignore."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from adapters.postgres.statement_lines import ShownLine
from domain.statement_match import State
from worker.cli.given import (
    REASON_MAX,
    Json,
    PaymentArgument,
    Who,
    read_invoice_id,
    read_line,
    read_payment,
    read_reason,
    read_who,
    shown,
)
from worker.cli.refusals import RefusedError, told
from worker.cli.tables import print_table
from worker.clock import rfc3339
from worker.review_lines import WAITING, NotDoneError, Reviewed, ReviewLines
from worker.settings import CommonSettings, DatabaseSettings, load
from worker.words import money_text

PAGE = 1_000

app = typer.Typer(
    name="review", help="Lines of statements that wait for a person; alone it asks about one after the other."
)

Line = Annotated[int, typer.Argument(min=1, help="Its number, as tootsoo statement review list shows it.")]
Note = Annotated[str | None, typer.Option("--reason", help="Why, for whoever reads it later.")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Also where it may be the same money, or the amount differs.")]


class Which(StrEnum):
    """Lines to list."""

    WAITING = "waiting"
    PROPOSED = "proposed"
    UNMATCHED = "unmatched"
    RECORDED = "recorded"
    LINKED = "linked"
    IGNORED = "ignored"
    OUTGOING = "outgoing"


@app.callback(invoke_without_command=True)
def review(context: typer.Context, *, who: Who = "") -> None:
    """Ask about the lines that wait, one after the other; without a terminal, list them.

    Example: tootsoo statement review
    """
    if context.invoked_subcommand is not None:
        return
    if not sys.stdin.isatty():
        list_lines()
        return
    by = read_who(who)
    with _reviewing() as lines:
        _ask_about_all(lines, by=by)


@app.command(name="list")
def list_lines(
    *,
    state: Annotated[Which, typer.Option(help="Which ones.")] = Which.WAITING,
    after: Annotated[int, typer.Option(min=0, help="Only those with a higher number.")] = 0,
    as_json: Json = False,
) -> None:
    """List lines; exit 1 when any waits.

    Example: tootsoo statement review list
    """
    states = WAITING if state is Which.WAITING else (State(state.value),)
    with _reviewing() as lines:
        found = lines.waiting(states=states, after=after, page=PAGE + 1)
    page, more = found[:PAGE], len(found) > PAGE
    if as_json:
        told_ = {"lines": [_as_json(line) for line in page], "next": page[-1].id if more else None}
        typer.echo(json.dumps(told_, ensure_ascii=False))
    elif page:
        _print(page)
        if more:
            typer.echo(f"There are more: tootsoo statement review list --state {state.value} --after {page[-1].id}")
    else:
        typer.echo(f"No line is {state.value}")
    if any(line.state in WAITING for line in page):
        raise typer.Exit(1)


@app.command()
def show(line: Line, *, as_json: Json = False) -> None:
    """Show one line with all that is known of it.

    Example: tootsoo statement review show 17
    """
    with _reviewing() as lines:
        found = lines.line(line)
    if as_json:
        typer.echo(json.dumps(_as_json(found), ensure_ascii=False))
        return
    for name, value in _as_json(found).items():
        if value not in (None, "", []):
            words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            typer.echo(f"{name:<20} {shown(words)}")


@app.command()
def accept(line: Line, *, reason: Note = None, anyway: Anyway = False, who: Who = "", as_json: Json = False) -> None:
    """Do what is proposed of a line, where that is one thing.

    Example: tootsoo statement review accept 17
    """
    by, why = read_who(who), _reason(reason)
    with _reviewing() as lines:
        _report(lines.accept(line, who=by, reason=why, anyway=anyway), as_json=as_json)


@app.command()
def assign(
    line: Line,
    invoice: Annotated[str, typer.Argument(help="The invoice that it pays.")],
    *,
    reason: Note = None,
    anyway: Anyway = False,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Record a line on an invoice, whatever that lacks.

    Example: tootsoo statement review assign 17 order-2 --reason "The payer called"
    """
    by, why = read_who(who), _reason(reason)
    to = read_invoice_id(invoice, called="INVOICE") or ""
    with _reviewing() as lines:
        _report(lines.assign(line, to, who=by, reason=why, anyway=anyway), as_json=as_json)


@app.command()
def link(
    line: Line,
    payment: PaymentArgument,
    *,
    reason: Note = None,
    anyway: Anyway = False,
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Say that a line is the settlement of a payment that is recorded: it counts no second time.

    Example: tootsoo statement review link 17 qpay:100000000000001
    """
    by, why, known = read_who(who), _reason(reason), read_payment(payment)
    with _reviewing() as lines:
        _report(lines.link(line, known, who=by, reason=why, anyway=anyway), as_json=as_json)


@app.command()
def ignore(
    line: Line,
    *,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")],
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Say that a line is none of our business, such as the owner's own money.

    Example: tootsoo statement review ignore 17 --reason "Interest"
    """
    by, why = read_who(who), read_reason(reason)
    with _reviewing() as lines:
        _report(lines.ignore(line, who=by, reason=why), as_json=as_json)


@contextmanager
def _reviewing() -> Iterator[ReviewLines]:
    # Loaded here: what reads files takes longer to load than most commands to run.
    from worker.compose.statements import compose_review  # noqa: PLC0415

    with compose_review(load(DatabaseSettings)) as lines, told(), _not_done():
        yield lines


@contextmanager
def _not_done() -> Iterator[None]:
    try:
        yield
    except NotDoneError as error:
        raise RefusedError(error.code, str(error)) from None


def _reason(text: str | None) -> str | None:
    return None if text is None else read_line(text, called="--reason", longest=REASON_MAX)


def _report(reviewed: Reviewed, *, as_json: bool) -> None:
    line = reviewed.line
    if as_json:
        typer.echo(json.dumps({"again": reviewed.again, "line": _as_json(line)}, ensure_ascii=False))
        return
    typer.echo(("Nothing to do: " if reviewed.again else "") + f"line {line.id} is {_state(line)}")


def _state(line: ShownLine) -> str:
    match line.state:
        case State.RECORDED:
            return f"recorded on {line.invoice_id}, as bank:{line.key}"
        case State.LINKED if line.payment:
            return f"the settlement of {':'.join(line.payment)}"
        case State.IGNORED:
            return f"ignored: {line.reason}"
        case _:
            return line.state.value


def _print(found: list[ShownLine]) -> None:
    table = Table("line", "day", "amount", "payer", "description", "why", "perhaps")
    for line in found:
        amount = ("-" if line.direction == "debit" else "") + money_text(line.amount)
        cells = (
            str(line.id),
            line.posted_on.isoformat(),
            amount,
            line.counterparty_name or line.counterparty_account or "",
            line.description,
            (line.why or line.state.value).replace("_", " "),
            ", ".join(line.candidates),
        )
        table.add_row(*(Text(shown(cell)) for cell in cells))
    print_table(table)


def _as_json(line: ShownLine) -> dict[str, object]:
    return {
        "line": line.id,
        "state": line.state.value,
        "why": line.why,
        "postedOn": line.posted_on.isoformat(),
        "postedAt": rfc3339(line.posted_at) if line.timed else None,
        "direction": line.direction,
        "amount": str(line.amount.amount),
        "currency": line.amount.currency.code,
        "balance": None if line.balance is None else str(line.balance.amount),
        "description": line.description,
        "counterpartyAccount": line.counterparty_account,
        "counterpartyName": line.counterparty_name,
        "reference": line.reference,
        "bank": line.bank,
        "account": line.account,
        "file": line.file_name,
        "fileLine": line.number,
        "invoice": line.invoice_id,
        "payment": f"bank:{line.key}" if line.state is State.RECORDED else ":".join(line.payment or ()) or None,
        "candidates": list(line.candidates),
        "who": line.who,
        "reason": line.reason,
        "decidedAt": None if line.decided_at is None else rfc3339(line.decided_at),
    }


# --- One after the other -------------------------------------------------------------------------------------------


_KEYS = "[a]ccept  [i]nvoice …  [l]ink with a payment …  i[g]nore …  [s]kip  [q]uit"


def _ask_about_all(lines: ReviewLines, *, by: str) -> None:
    zone, after = ZoneInfo(load(CommonSettings).timezone), 0
    while found := lines.waiting(after=after, page=1):
        (line,) = found
        after = line.id
        _print([line])
        if line.timed:
            typer.echo(f"at {line.posted_at.astimezone(zone):%H:%M:%S}, line {line.number} of {shown(line.file_name)}")
        if not _ask_about(lines, line, by=by):
            return
    typer.echo("No other line waits")


def _ask_about(lines: ReviewLines, line: ShownLine, *, by: str) -> bool:
    """Ask until something was done about a line, or it was skipped; False to end."""
    while True:
        answer = typer.prompt(_KEYS, default="s").strip().lower()[:1]
        if answer == "q":
            return False
        if answer == "s":
            return True
        act = _action(lines, line, answer, by=by)
        if act is None:
            continue
        try:
            with told(), _not_done():
                _report(act(False), as_json=False)  # noqa: FBT003 - not anyway
        except RefusedError as refused:
            typer.echo(f"Not done: {refused}")
            if refused.code in {"SAME_MONEY", "OTHER_AMOUNT"} and typer.confirm("Do it anyway?", default=False):
                try:
                    with told(), _not_done():
                        _report(act(True), as_json=False)  # noqa: FBT003 - anyway
                except RefusedError as again:
                    typer.echo(f"Not done: {again}")
                    continue
                return True
            continue
        return True


def _action(lines: ReviewLines, line: ShownLine, answer: str, *, by: str) -> Callable[[bool], Reviewed] | None:
    """Return what a letter means, with what more it needs to be told."""
    try:
        match answer:
            case "a":
                return lambda anyway: lines.accept(line.id, who=by, anyway=anyway)
            case "i":
                invoice = read_invoice_id(typer.prompt("Invoice").strip(), called="INVOICE") or ""
                return lambda anyway: lines.assign(line.id, invoice, who=by, anyway=anyway)
            case "l":
                payment = read_payment(typer.prompt("Payment").strip())
                return lambda anyway: lines.link(line.id, payment, who=by, anyway=anyway)
            case "g":
                reason = read_reason(typer.prompt("Why").strip())
                return lambda _: lines.ignore(line.id, who=by, reason=reason)
            case _:
                return None
    except RefusedError as wrong:
        typer.echo(str(wrong))
        return None
