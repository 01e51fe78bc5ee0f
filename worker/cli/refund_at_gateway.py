"""What `tootsoo refund --at-gateway` tells: what is known, and what to do."""

import json
import shlex

import typer

from adapters.postgres.gateway_refunds import GatewayRefund
from domain.command import Command
from domain.gateway_refund import RefundState, UnknownGatewayError
from domain.recorded import PaymentKey
from worker.accounts import load_accounts
from worker.cli.refusals import RefusedError, told
from worker.clock import rfc3339
from worker.compose.processes import compose_refund_at_gateway
from worker.refund_at_gateway import NotWrittenDownError
from worker.settings import CheckSettings, DatabaseSettings, RedisSettings, load


def refund_at_gateway(payment: PaymentKey, command: Command, *, invoice_id: str | None, as_json: bool) -> None:
    """Ask the gateway to give a payment back, say what came of it, and end with 0 only if it went back."""
    again = _command_line(payment, command, invoice_id=invoice_id)
    composed = compose_refund_at_gateway(
        database=load(DatabaseSettings), redis=load(RedisSettings), checks=load(CheckSettings), accounts=load_accounts()
    )
    with composed as refund, told():
        try:
            known = refund(command, payment, invoice_id=invoice_id)
        except UnknownGatewayError:
            raise RefusedError("UNKNOWN_GATEWAY", f"there is no gateway {payment[0]} here", exit_code=2) from None
        except NotWrittenDownError as error:
            message = f"{error}. Give nothing back by another way; this finds out: {again}"
            raise RefusedError("NOT_WRITTEN_DOWN", message) from None
    if as_json:
        typer.echo(json.dumps(_as_json(known), ensure_ascii=False))
    else:
        typer.echo(_words(known, again=again), err=known.state is not RefundState.GIVEN)
    if known.state is not RefundState.GIVEN:
        raise typer.Exit(1)


def _words(known: GatewayRefund, *, again: str) -> str:
    gateway, why = known.payment[0], known.answer or "no answer came"
    asked = f"{known.asked_at:%Y-%m-%d %H:%M} UTC"
    match known.state:
        case RefundState.GIVEN:
            where = known.invoice_id or "suspense"
            return f"refunded {known.amount.amount} on {where}: {gateway} gave it back (key {known.key})"
        case RefundState.REFUSED:
            return (
                f"tootsoo: {gateway} refused, no money moved, nothing was recorded: {why}. "
                "Give it back by another way, then record it without --at-gateway and with a new key"
            )
        case RefundState.NOT_ACTED:
            return f"tootsoo: {gateway} could not be asked, no money moved, nothing was recorded: {why}. Later: {again}"
        case RefundState.NOT_GIVEN:
            return (
                f"tootsoo: {gateway} was asked at {asked} and did not give it back: looked at long after, it still "
                "shows the payment as paid. Nothing was recorded. With a new key it is asked again"
            )
        case RefundState.ASKED:
            return (
                f"tootsoo: NOBODY KNOWS whether {gateway} gave {known.amount} back: asked at {asked}: {why}. "
                "Give nothing back by another way. A check is requested, and records the refund if it was made. "
                f"A minute from now this finds out, and asks for no second refund: {again}"
            )


def _as_json(known: GatewayRefund) -> dict[str, object]:
    return {
        "state": known.state.value,
        "payment": ":".join(known.payment),
        "invoice": known.invoice_id,
        "amount": str(known.amount.amount),
        "currency": known.amount.currency.code,
        "key": known.key,
        "askedAt": rfc3339(known.asked_at),
        "answer": known.answer,
    }


def _command_line(payment: PaymentKey, command: Command, *, invoice_id: str | None) -> str:
    """Write the same command once more, with its key, to be copied."""
    where = ["--invoice", invoice_id] if invoice_id else []
    words = ["tootsoo", "refund", ":".join(payment), *where, "--at-gateway"]
    return shlex.join([*words, "--reason", command.reason, "--key", command.key])
