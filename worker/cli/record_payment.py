"""The command by which a person enters a payment that no gateway tells of: record-payment."""

import json
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from domain.manual import ManualPayment, Method, NotRecordableError
from domain.money import MNT, from_minor_units
from worker.cli.given import (
    Currency,
    Json,
    Key,
    Who,
    read_invoice_id,
    read_key,
    read_line,
    read_local_time,
    read_positive,
    read_who,
    shown,
)
from worker.cli.refusals import RefusedError, told
from worker.clock import rfc3339
from worker.compose.database import compose_record
from worker.record import RecordedPayment
from worker.settings import CommonSettings, DatabaseSettings, load
from worker.words import money_text

_OPTION_OF = {"amount.amount": "AMOUNT", "amount.currency": "--currency", "paidAt": "--paid-at"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="record-payment")(record_payment)


def record_payment(
    invoice: Annotated[str, typer.Argument(help="The invoice that was paid.")],
    amount: Annotated[str, typer.Argument(help="How much, such as 50000.")],
    *,
    method: Annotated[Method, typer.Option(help="How it was paid.")],
    paid_at: Annotated[
        str | None,
        typer.Option(help='When: "2026-11-22 14:30", by TIMEZONE, or with an offset behind it.', show_default="now"),
    ] = None,
    reference: Annotated[str | None, typer.Option(help="What the slip or the bank calls it.")] = None,
    note: Annotated[str | None, typer.Option(help="Anything else, for whoever reads it later.")] = None,
    currency: Currency = MNT,
    key: Key = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Record a payment that no gateway tells of: cash, a transfer, a card at the till.

    Example: tootsoo record-payment order-1 50000 --method cash --reference "slip 17"
    """
    zone = ZoneInfo(load(CommonSettings).timezone)
    payment = ManualPayment(
        key=read_key(key),
        who=read_who(who),
        invoice_id=read_invoice_id(invoice, called="INVOICE") or "",
        amount=read_positive(amount, currency=currency, called="AMOUNT"),
        method=method,
        paid_at=None if paid_at is None else read_local_time(paid_at, zone=zone, called="--paid-at"),
        reference=None if reference is None else read_line(reference, called="--reference", longest=100),
        note=None if note is None else read_line(note, called="--note", longest=800),
    )
    with compose_record(load(DatabaseSettings)) as record, told():
        try:
            recorded = record(payment)
        except NotRecordableError as error:
            raise RefusedError("INVALID", f"{_OPTION_OF[error.field]} {error}", exit_code=2) from None
    _report(recorded, as_json=as_json)


def _report(recorded: RecordedPayment, *, as_json: bool) -> None:
    event = recorded.event
    payment = f"{event.gateway}:{event.payment_id}"
    amount = from_minor_units(event.amount_minor, currency=event.currency)
    if as_json:
        warnings = [{"code": one.code, "message": one.message} for one in recorded.warnings]
        told = {
            "payment": payment,
            "invoice": event.invoice_id,
            "amount": str(amount.amount),
            "currency": event.currency,
            "paidAt": rfc3339(event.occurred_at),
            "again": recorded.again,
            "warnings": warnings,
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    if recorded.again:
        typer.echo("Nothing to do: that key was done before")
    typer.echo(f"received {money_text(amount)} on {event.invoice_id}: {payment}")
    for one in recorded.warnings:
        typer.echo(f"Look at this: {shown(one.message)}", err=True)
