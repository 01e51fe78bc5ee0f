"""Correct: what a person does about money that is not where it should be: refund, assign, void."""

import structlog
from moneyed import Money

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from adapters.postgres.gateway_refunds import GatewayRefunds
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Appended, Ledger
from adapters.postgres.recorded import About
from domain.assign import plan_assign
from domain.command import Command, digest_of
from domain.questions import questions_on_void
from domain.recorded import PaymentKey
from domain.refund import plan_refund
from worker.clock import Clock

log = structlog.get_logger()


class Correct:
    """A person's commands about money. Each is one event, change or answer, with who and why, however often."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        invoices: Invoices,
        keys: IdempotencyKeys,
        gateway_refunds: GatewayRefunds,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._invoices = invoices
        self._keys = keys
        self._gateway_refunds = gateway_refunds
        self._clock = clock

    def refund(
        self,
        command: Command,
        payment: PaymentKey,
        *,
        invoice_id: str | None,
        amount: Money | None,
    ) -> Appended:
        """Record that `amount`, or all that is left there, of a payment was given back from an invoice or suspense.

        Raises:
            UnknownPaymentError, MoreThanHeldError, WrongCurrencyError, KeyUsedError: see `plan_refund`.
            RefundUnderwayError: the gateway may be giving it back.

        """
        now = self._clock()
        content = digest_of(
            "refund", payment=":".join(payment), invoice=invoice_id, amount=amount, reason=command.reason
        )
        self._keys.take(command.key, digest=content, now=now)
        with self._gateway_refunds.refusing_underway(payment):
            appended = self._ledger.append(
                About(invoices=frozenset({invoice_id} if invoice_id else ()), payments=frozenset({payment})),
                lambda recorded: plan_refund(
                    recorded,
                    command,
                    payment=payment,
                    invoice_id=invoice_id,
                    amount=amount,
                    now=now,
                ),
                recorded_at=now,
            )
        _tell("refund.recorded", appended, who=command.who)
        return appended

    def assign(
        self,
        command: Command,
        payment: PaymentKey,
        *,
        from_invoice: str | None,
        from_suspense: bool = False,
        to_invoice: str,
        amount: Money | None,
    ) -> Appended:
        """Move `amount`, or all that is left, of a payment to an invoice, from another one or from suspense.

        Raises:
            UnknownInvoiceError: there is no invoice to move it to.
            UnknownPaymentError, AlreadyThereError, MoreThanHeldError, AmbiguousHolderError, OtherCurrencyError,
                WrongCurrencyError, KeyUsedError: see `plan_assign`.
            RefundUnderwayError: the gateway may be giving it back.

        """
        if self._invoices.read(to_invoice) is None:
            raise UnknownInvoiceError
        now = self._clock()
        content = digest_of(
            "assign",
            payment=":".join(payment),
            from_invoice="" if from_suspense else from_invoice,
            to_invoice=to_invoice,
            amount=amount,
            reason=command.reason,
        )
        self._keys.take(command.key, digest=content, now=now)
        with self._gateway_refunds.refusing_underway(payment):
            appended = self._ledger.append(
                About(invoices=frozenset({to_invoice}), payments=frozenset({payment})),
                lambda recorded: plan_assign(
                    recorded,
                    command,
                    payment=payment,
                    from_invoice=from_invoice,
                    from_suspense=from_suspense,
                    to_invoice=to_invoice,
                    amount=amount,
                    now=now,
                ),
                recorded_at=now,
            )
        _tell("payment.assigned", appended, who=command.who)
        return appended

    def void(self, invoice_id: str, *, who: str, reason: str, key: str | None = None) -> None:
        """Let nothing be due on an invoice any more. What it holds stays there, and is a question for a person.

        Twice is once, with the same `key`, with another and without.

        Raises:
            UnknownInvoiceError: there is no such invoice.
            KeyUsedError: the key stands for something else.

        """
        now = self._clock()
        if key is not None:
            self._keys.take(key, digest=digest_of("void", invoice=invoice_id, reason=reason), now=now)
        voided = self._invoices.void(
            invoice_id,
            reason=reason,
            now=now,
            who=who,
            ask=lambda balance: questions_on_void(invoice_id, balance.net),
        )
        if voided is None:
            raise UnknownInvoiceError
        log.info("invoice.voided", invoice=invoice_id, who=who, again=voided.again)
        for one in voided.opened:
            log.warning("discrepancy.opened", kind=one.kind, invoice=invoice_id, detail=one.detail)


def _tell(what: str, appended: Appended, *, who: str) -> None:
    for event in appended.events:
        log.info(
            what,
            invoice=event.invoice_id,
            payment=event.payment_id,
            kind=event.kind,
            amount=str(event.amount.amount),
            who=who,
        )
