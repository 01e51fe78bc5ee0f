"""Record: a person enters a payment that no gateway tells of."""

from dataclasses import dataclass

import structlog

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger, StoredEvent
from adapters.postgres.manual_payments import ManualPayments
from adapters.postgres.recorded import About
from domain.command import digest_of
from domain.manual import GATEWAY, ManualPayment, plan_manual, require_recordable
from domain.payment_event import Kind
from worker.clock import Clock, rfc3339
from worker.words import money_text

log = structlog.get_logger()

EARLIER_TOLD = 3
"""More payments with the same reference say nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What a person should look at, although it was done."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPayment:
    """A payment by hand as it is recorded, by this call or an earlier one with its key."""

    event: StoredEvent
    again: bool
    """The key had been given before, and nothing more was recorded."""
    warnings: tuple[Warned, ...]


class RecordPayment:
    """Records payments by hand, each once, however often it is said under its key."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        invoices: Invoices,
        keys: IdempotencyKeys,
        manual_payments: ManualPayments,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._invoices = invoices
        self._keys = keys
        self._manual_payments = manual_payments
        self._clock = clock

    def __call__(self, payment: ManualPayment) -> RecordedPayment:
        """Record a payment on its invoice. A reference that was there before, and a void invoice, are warned of.

        Raises:
            UnknownInvoiceError: there is no such invoice.
            NotRecordableError: what was said cannot be.
            KeyUsedError: the key stands for something else.

        """
        now = self._clock()
        invoice = self._invoices.read(payment.invoice_id)
        if invoice is None:
            raise UnknownInvoiceError
        require_recordable(payment, currency=invoice.currency, now=now)
        content = digest_of(
            "record-payment",
            invoice=payment.invoice_id,
            amount=payment.amount,
            method=payment.method.value,
            paid_at=None if payment.paid_at is None else rfc3339(payment.paid_at),
            reference=payment.reference,
            note=payment.note,
        )
        self._keys.take(payment.key, digest=content, now=now)
        appended = self._ledger.append(
            About(invoices=frozenset({payment.invoice_id}), payments=frozenset({payment.payment})),
            lambda recorded: plan_manual(recorded, payment, now=now),
            recorded_at=now,
        )
        for event in appended.events:
            log.info(
                "payment.recorded",
                invoice=event.invoice_id,
                payment=event.payment_id,
                amount=str(event.amount.amount),
                who=payment.who,
            )
        for opened in appended.opened:
            one = opened.discrepancy
            log.warning("discrepancy.opened", id=opened.id, kind=one.kind, invoice=one.invoice_id, detail=one.detail)
        return RecordedPayment(
            event=self._ledger.event(*payment.payment, kind=Kind.RECEIVED, ref=payment.key),
            again=not appended.events,
            warnings=(*self._same_reference(payment), *_void(voided=invoice.voided_at is not None)),
        )

    def _same_reference(self, payment: ManualPayment) -> tuple[Warned, ...]:
        if payment.reference is None:
            return ()
        earlier = self._manual_payments.earlier_with(payment.reference, than=payment.payment, page=EARLIER_TOLD)
        if not earlier:
            return ()
        those = " and ".join(
            f"{GATEWAY}:{one.payment_id} over {money_text(one.amount)} on {one.invoice_id}" for one in earlier
        )
        message = f"the reference {payment.reference} was recorded before, for {those}"
        return (Warned(code="REFERENCE_SEEN_BEFORE", message=message),)


def _void(*, voided: bool) -> tuple[Warned, ...]:
    message = "the invoice is void: give the money back, or assign it to another invoice"
    return (Warned(code="INVOICE_VOID", message=message),) if voided else ()
