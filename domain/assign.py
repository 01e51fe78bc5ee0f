"""Assign: a person moves a payment, or a part of it, from suspense or another invoice to the invoice it belongs to."""

from dataclasses import replace
from datetime import datetime

from moneyed import Money

from domain.command import Command
from domain.payment_event import Kind
from domain.questions import questions_about
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded
from domain.refund import MoreThanHeldError, UnknownPaymentError


class OtherCurrencyError(Exception):
    """The payment is of another currency than the invoice."""


class AmbiguousHolderError(Exception):
    """Several invoices hold a part of the payment: say from which one it is to be moved."""


def plan_assign(
    recorded: Recorded,
    command: Command,
    *,
    payment: PaymentKey,
    from_invoice: str | None,
    to_invoice: str,
    amount: Money | None,
    now: datetime,
) -> Decision:
    """Decide on moving `amount`, or all that is left, of a payment to an invoice.

    From `from_invoice`; None means from whoever alone holds it, suspense included. The same command again is
    nothing more. The payment occurred when it did: moving it later does not make it late. `now` is UTC.

    Raises:
        UnknownPaymentError: it is not recorded, or nothing of it was ever there.
        MoreThanHeldError: less than that is left there.
        AmbiguousHolderError, OtherCurrencyError, KeyUsedError: see there.

    """
    known = recorded.payments.get(payment)
    if known is None:
        raise UnknownPaymentError
    before = known.find(Kind.ASSIGNED, command.key)
    if before is not None:
        command.require_same(before, invoice_id=to_invoice, amount=amount)
        return Decision()
    holdings = known.holdings()
    holders = [holder for holder, holding in holdings.items() if holding.left.amount > 0 and holder != to_invoice]
    if from_invoice is None and len(holders) > 1:
        raise AmbiguousHolderError
    source = from_invoice if from_invoice is not None else next(iter(holders), None)
    if source not in holdings or source == to_invoice:
        raise UnknownPaymentError
    left, target = holdings[source].left, recorded.invoices[to_invoice]
    if known.currency != target.currency:
        raise OtherCurrencyError
    wanted = left if amount is None else amount
    if not 0 < wanted.amount <= left.amount:
        raise MoreThanHeldError(left)
    came = known.events[0]
    away = command.event(Kind.UNASSIGNED, payment, invoice_id=source, amount=wanted, now=now)
    away = replace(away, occurred_at=came.occurred_at, occurred_at_source=came.occurred_at_source)
    here = replace(away, kind=Kind.ASSIGNED, invoice_id=to_invoice)
    return Decision(events=(here, away), discrepancies=questions_about(target, (here,)))
