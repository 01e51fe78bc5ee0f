"""Assign: a person moves a payment, or a part of it, from suspense or another invoice to the invoice it belongs to."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from moneyed import Money

from domain.command import Command
from domain.payment_event import Kind
from domain.questions import questions_about
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded
from domain.refund import MoreThanHeldError, UnknownPaymentError, WrongCurrencyError, name_of


class OtherCurrencyError(Exception):
    """The payment is of another currency than the invoice."""


class AmbiguousHolderError(Exception):
    """Several invoices, or one and suspense, hold a part of the payment: say from where it is to be moved."""

    def __init__(self, holders: Iterable[str | None]) -> None:
        super().__init__(f"{' and '.join(sorted(map(name_of, holders)))} hold a part of it")


class AlreadyThereError(Exception):
    """All that could be moved is on that invoice already."""


def plan_assign(
    recorded: Recorded,
    command: Command,
    *,
    payment: PaymentKey,
    from_invoice: str | None,
    from_suspense: bool = False,
    to_invoice: str,
    amount: Money | None,
    now: datetime,
) -> Decision:
    """Decide on moving `amount`, or all that is left, of a payment to an invoice.

    From `from_invoice`, or suspense; neither means from whoever alone holds it, suspense included. The same command
    again is nothing more. The payment occurred when it did: moving it later does not make it late. `now` is UTC.

    Raises:
        UnknownPaymentError: it is not recorded, or nothing of it was ever there.
        AlreadyThereError: it is there already.
        MoreThanHeldError: less than that is left there.
        AmbiguousHolderError, OtherCurrencyError, WrongCurrencyError, KeyUsedError: see there.

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
    is_named = from_suspense or from_invoice is not None
    if (is_named and from_invoice == to_invoice) or not (is_named or holders):
        if to_invoice in holdings and holdings[to_invoice].left.amount > 0:
            raise AlreadyThereError
        raise MoreThanHeldError(known.events[0].amount * 0)
    if not is_named and len(holders) > 1:
        raise AmbiguousHolderError(holders)
    source = from_invoice if is_named else holders[0]
    if source not in holdings:
        raise UnknownPaymentError(holdings)
    left, target = holdings[source].left, recorded.invoices[to_invoice]
    if known.currency != target.currency:
        raise OtherCurrencyError
    wanted = left if amount is None else amount
    if wanted.currency != left.currency:
        raise WrongCurrencyError(known.currency)
    if not 0 < wanted.amount <= left.amount:
        raise MoreThanHeldError(left)
    came = known.events[0]
    away = command.event(Kind.UNASSIGNED, payment, invoice_id=source, amount=wanted, now=now)
    away = replace(away, occurred_at=came.occurred_at, occurred_at_source=came.occurred_at_source)
    here = replace(away, kind=Kind.ASSIGNED, invoice_id=to_invoice)
    return Decision(events=(here, away), discrepancies=questions_about(target, (here,)))
