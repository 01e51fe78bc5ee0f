"""Events, rows and balances to test with."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.balance import fold
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import money
from domain.payment_event import Kind, OccurredAtSource, PaymentEvent, Source
from domain.payment_row import PaymentRow, RowStatus
from domain.reconciler import CheckedInvoice
from domain.recorded import BankMoney, PaymentKey, Recorded, RecordedEvent, RecordedInvoice, RecordedPayment, route_of

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
GATEWAY_INVOICE = UUID("00000000-0000-4000-8000-000000000001")


def an_event(
    payment_id: str = "100000000000001",
    *,
    amount: str = "100",
    kind: Kind = Kind.RECEIVED,
    ref: str = "gateway",
    invoice_id: str | None = "order-1",
    gateway_invoice_id: UUID | None = None,
    minutes: int = 0,
) -> PaymentEvent:
    return PaymentEvent(
        gateway="qpay",
        payment_id=payment_id,
        kind=kind,
        ref=ref,
        invoice_id=invoice_id,
        gateway_invoice_id=gateway_invoice_id,
        amount=money(amount, currency="MNT"),
        fee=None,
        occurred_at=NOON + timedelta(minutes=minutes),
        occurred_at_source=OccurredAtSource.GATEWAY,
        source=Source.CALLBACK,
        raw={"payment_id": payment_id},
        who=None,
    )


def a_row(
    payment_id: str = "100000000000001",
    *,
    status: RowStatus = RowStatus.PAID,
    status_text: str | None = None,
    amount: str = "100",
    currency: str = "MNT",
    paid_at: datetime | None = None,
) -> PaymentRow:
    return PaymentRow(
        payment_id=payment_id,
        status=status,
        status_text=status_text or status.value,
        amount=money(amount, currency=currency),
        fee=None,
        paid_at=paid_at,
        raw={"payment_id": payment_id},
    )


def recorded(
    *events: PaymentEvent, due: str = "100", voided: bool = False, invoice_ids: tuple[str, ...] = ("order-1",)
) -> Recorded:
    """What the ledger would show of these events: the invoices, and every payment among them."""
    by_payment: dict[PaymentKey, list[RecordedEvent]] = {}
    for event in events:
        by_payment.setdefault((event.gateway, event.payment_id), []).append(
            RecordedEvent(
                kind=event.kind,
                ref=event.ref,
                invoice_id=event.invoice_id,
                gateway_invoice_id=event.gateway_invoice_id,
                amount=event.amount,
                occurred_at=event.occurred_at,
                occurred_at_source=event.occurred_at_source,
                reason=str(event.raw["reason"]) if event.source is Source.COMMAND else None,
            )
        )
    asked = InvoiceChange(position=1, kind=ChangeKind.AMOUNT, amount=money(due, currency="MNT"))
    invoices = {}
    for invoice_id in invoice_ids:
        mine = [event for event in events if event.invoice_id == invoice_id]
        balance = fold([asked], mine, currency="MNT")
        invoices[invoice_id] = RecordedInvoice(
            id=invoice_id,
            currency="MNT",
            due=balance.due,
            net=balance.net,
            outstanding=balance.outstanding * 0 if voided else balance.outstanding,
            voided=voided,
            by_bank=tuple(
                BankMoney(payment_id=event.payment_id, amount=event.amount, occurred_at=event.occurred_at)
                for event in mine
                if event.gateway == "bank" and event.kind is Kind.RECEIVED
            ),
            routes=frozenset(
                route_of(event.gateway, event.gateway_invoice_id)
                for event in mine
                if event.kind is Kind.RECEIVED or (event.kind is Kind.ASSIGNED and event.gateway_invoice_id is not None)
            ),
        )
    payments = {key: RecordedPayment(key=key, events=tuple(of_it)) for key, of_it in by_payment.items()}
    return Recorded(invoices=invoices, payments=payments)


def a_check(*, source: Source = Source.CALLBACK, answered_before: bool = False) -> CheckedInvoice:
    return CheckedInvoice(
        gateway="qpay",
        gateway_invoice_id=GATEWAY_INVOICE,
        invoice_id="order-1",
        currency="MNT",
        source=source,
        answered_before=answered_before,
    )
