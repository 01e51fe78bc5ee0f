"""Events, rows and balances to test with."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.gateway import PaymentRow, RowStatus
from domain.money import money
from domain.payment_event import Kind, OccurredAtSource, PaymentEvent, Source
from domain.reconciler import CheckedInvoice

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


def a_check(*, source: Source = Source.CALLBACK) -> CheckedInvoice:
    return CheckedInvoice(
        gateway="qpay",
        gateway_invoice_id=GATEWAY_INVOICE,
        invoice_id="order-1",
        currency="MNT",
        source=source,
    )
