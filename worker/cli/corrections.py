"""Commands by which a person corrects what money counts for: refund, assign, void."""

import getpass
import json
from typing import Annotated
from uuid import uuid4

import typer
from moneyed import Money

from adapters.postgres.ledger import Appended
from domain.command import Command, require_key
from domain.money import money
from domain.recorded import PaymentKey
from worker.cli.refund_at_gateway import refund_at_gateway
from worker.cli.refusals import told
from worker.compose import compose_correct
from worker.settings import DatabaseSettings, load

PaymentArgument = Annotated[str, typer.Argument(help="The payment, such as qpay:100000000000001.")]
Amount = Annotated[str | None, typer.Option(help="How much, in tögrög; without it all that is left there.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads it later.")]
Key = Annotated[
    str, typer.Option(help="Your key of this command: the same key again is done once.", show_default="new")
]
Who = Annotated[str, typer.Option(help="Who says so.", show_default="the user of this machine")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (refund, assign, void):
        app.command()(command)


def refund(
    payment: PaymentArgument,
    *,
    reason: Reason,
    invoice: Annotated[
        str | None, typer.Option(help="The invoice it is taken from; without it, from suspense.")
    ] = None,
    amount: Amount = None,
    at_gateway: Annotated[
        bool, typer.Option("--at-gateway", help="Ask the gateway to pay it back: whole card payments only.")
    ] = False,
    key: Key = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Record that money was given back to a customer.

    Example: tootsoo refund qpay:100000000000001 --invoice order-1 --amount 50000 --reason "Returned one of two"
    """
    if at_gateway and amount is not None:
        raise typer.BadParameter("the gateway refunds whole payments: leave --amount out", param_hint="--at-gateway")
    target, wanted, command = _payment(payment), _amount(amount), _command(key, who=who, reason=reason)
    if at_gateway:
        refund_at_gateway(target, command, invoice_id=invoice, as_json=as_json)
        return
    with compose_correct(load(DatabaseSettings)) as correct, told():
        appended = correct.refund(
            command,
            target,
            invoice_id=invoice,
            amount=wanted,
        )
    _report(appended, as_json=as_json)


def assign(
    payment: PaymentArgument,
    to: Annotated[str, typer.Argument(help="The invoice it belongs to.")],
    *,
    reason: Reason,
    from_invoice: Annotated[
        str | None,
        typer.Option("--from", help="The invoice it is moved from; without it, from whoever alone holds it."),
    ] = None,
    amount: Amount = None,
    key: Key = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Move a payment, or a part of it, to the invoice it belongs to, from suspense or another invoice.

    Example: tootsoo assign qpay:100000000000001 order-2 --reason "Paid with the QR of order-1 by mistake"
    """
    target, wanted, command = _payment(payment), _amount(amount), _command(key, who=who, reason=reason)
    with compose_correct(load(DatabaseSettings)) as correct, told():
        appended = correct.assign(command, target, from_invoice=from_invoice, to_invoice=to, amount=wanted)
    _report(appended, as_json=as_json)


def void(
    invoice: Annotated[str, typer.Argument(help="The invoice.")],
    *,
    reason: Reason,
    key: Key = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Let nothing be due on an invoice any more; its open QRs are cancelled.

    Example: tootsoo void order-1 --reason "The customer cancelled the order"
    """
    command = _command(key, who=who, reason=reason)
    with compose_correct(load(DatabaseSettings)) as correct, told():
        correct.void(invoice, who=command.who, reason=command.reason, key=command.key)
    typer.echo(json.dumps({"invoice": invoice, "status": "void"}) if as_json else f"{invoice} is void")


def _payment(text: str) -> PaymentKey:
    gateway, separator, payment_id = text.partition(":")
    if not (gateway and separator and payment_id):
        raise typer.BadParameter("a payment is written gateway:id, such as qpay:100000000000001")
    return gateway, payment_id


def _amount(text: str | None) -> Money | None:
    if text is None:
        return None
    try:
        return money(text, currency="MNT")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--amount") from None


def _command(key: str, *, who: str, reason: str) -> Command:
    try:
        known = require_key(key) if key else f"cli-{uuid4().hex}"
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--key") from None
    return Command(key=known, who=who or getpass.getuser(), reason=reason)


def _report(appended: Appended, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"kind": event.kind, "invoice": event.invoice_id, "amount": str(event.amount.amount), "key": event.ref}
            for event in appended.events
        ]
        typer.echo(json.dumps({"events": rows}, ensure_ascii=False))
        return
    for event in appended.events:
        typer.echo(f"{event.kind} {event.amount.amount} on {event.invoice_id or 'suspense'} (key {event.ref})")
    if not appended.events:
        typer.echo("Nothing to do: that key was done before")
