"""Commands by which a person corrects what money counts for: refund, assign, void."""

import json
from typing import Annotated

import typer

from adapters.postgres.ledger import Appended
from domain.money import MNT
from worker.cli.given import (
    Amount,
    Currency,
    Json,
    Key,
    PaymentArgument,
    Reason,
    Who,
    read_amount,
    read_command,
    read_invoice_id,
    read_payment,
)
from worker.cli.refusals import RefusedError, told
from worker.compose.database import compose_correct
from worker.settings import DatabaseSettings, load


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
    currency: Currency = MNT,
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
        raise RefusedError("INVALID", "--at-gateway refunds whole payments: leave --amount out", exit_code=2)
    target, wanted = read_payment(payment), read_amount(amount, currency=currency)
    source, command = read_invoice_id(invoice, called="--invoice"), read_command(key, who=who, reason=reason)
    if at_gateway:
        # Loaded here: a gateway's client takes longer to load than most commands to run.
        from worker.cli.refund_at_gateway import refund_at_gateway  # noqa: PLC0415

        refund_at_gateway(target, command, invoice_id=source, as_json=as_json)
        return
    with compose_correct(load(DatabaseSettings)) as correct, told():
        appended = correct.refund(
            command,
            target,
            invoice_id=source,
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
    from_suspense: Annotated[
        bool, typer.Option("--from-suspense", help="Moved from suspense, where an invoice holds a part of it as well.")
    ] = False,
    amount: Amount = None,
    currency: Currency = MNT,
    key: Key = "",
    who: Who = "",
    as_json: Json = False,
) -> None:
    """Move a payment, or a part of it, to the invoice it belongs to, from suspense or another invoice.

    Example: tootsoo assign qpay:100000000000001 order-2 --reason "Paid with the QR of order-1 by mistake"
    """
    if from_suspense and from_invoice is not None:
        raise RefusedError("INVALID", "say either --from or --from-suspense", exit_code=2)
    target, wanted = read_payment(payment), read_amount(amount, currency=currency)
    source, command = read_invoice_id(from_invoice, called="--from"), read_command(key, who=who, reason=reason)
    read_invoice_id(to, called="TO")
    with compose_correct(load(DatabaseSettings)) as correct, told():
        appended = correct.assign(
            command, target, from_invoice=source, from_suspense=from_suspense, to_invoice=to, amount=wanted
        )
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
    command = read_command(key, who=who, reason=reason)
    read_invoice_id(invoice, called="INVOICE")
    with compose_correct(load(DatabaseSettings)) as correct, told():
        correct.void(invoice, who=command.who, reason=command.reason, key=command.key)
    typer.echo(json.dumps({"invoice": invoice, "status": "void"}) if as_json else f"{invoice} is void")


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
