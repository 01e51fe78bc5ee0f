"""The JSON of a notification: the balance, payment or question as it was when it was staged."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_never

from adapters.postgres.notifications import Staged
from domain.notification import NotificationType
from worker.web.fields import Shape
from worker.web.shapes import MoneyOut, Time, money_out


class BalanceThen(Shape):
    """A balance as the API shows it, at the moment of which is told."""

    due: MoneyOut
    received: MoneyOut
    refunded: MoneyOut
    outstanding: MoneyOut
    overpaid: MoneyOut
    status: str
    payments: int | None
    """None, and so the two below, where it was staged by a version that told nobody."""
    first_paid_at: Time | None
    last_paid_at: Time | None


class InvoiceThen(Shape):
    """An invoice with its balance at that moment."""

    id: str
    balance: BalanceThen


class PaymentMoved(Shape):
    """What came, went back, or was moved, by which the balance became what it is."""

    id: str
    gateway: str
    payment_id: str
    kind: str
    amount: MoneyOut


class InvoiceNews(Shape):
    """What `invoice.*` tells."""

    sequence: int
    invoice: InvoiceThen
    payments: list[PaymentMoved]


class UnmatchedNews(Shape):
    """What `payment.unmatched` tells."""

    payment: PaymentMoved


class Question(Shape):
    """A discrepancy."""

    id: int
    kind: str
    gateway: str
    invoice: str | None
    payment_id: str | None
    detail: str


class DiscrepancyNews(Shape):
    """What `discrepancy.opened` tells."""

    discrepancy: Question


class NotificationOut(Shape):
    """A notification as it is sent: the three members that Standard Webhooks recommends."""

    type: str
    timestamp: Time
    data: InvoiceNews | UnmatchedNews | DiscrepancyNews


def message_id(staged: Staged) -> str:
    """Return the webhook-id of a notification: the same at every try."""
    return f"msg_{staged.message_id.hex}"


def notification_out(staged: Staged) -> NotificationOut:
    """Return a notification as it is sent; the same whenever it is."""
    return NotificationOut(type=staged.type.value, timestamp=staged.staged_at, data=_news(staged))


def _news(staged: Staged) -> InvoiceNews | UnmatchedNews | DiscrepancyNews:
    data = staged.data
    match staged.type:
        case (
            NotificationType.INVOICE_PAID
            | NotificationType.INVOICE_PARTIALLY_PAID
            | NotificationType.INVOICE_OVERPAID
            | NotificationType.INVOICE_REFUNDED
        ):
            return InvoiceNews(
                sequence=staged.sequence or 0,
                invoice=InvoiceThen(id=data["invoice_id"], balance=_balance(data)),
                payments=[_moved(one, currency=data["currency"]) for one in data.get("moved", ())],
            )
        case NotificationType.PAYMENT_UNMATCHED:
            return UnmatchedNews(payment=_moved({"kind": "received", **data}, currency=data["currency"]))
        case NotificationType.DISCREPANCY_OPENED:
            return DiscrepancyNews(
                discrepancy=Question(
                    id=data["discrepancy_id"],
                    kind=data["kind"],
                    gateway=data["gateway"],
                    invoice=data["invoice_id"],
                    payment_id=data["payment_id"],
                    detail=data["detail"],
                )
            )
        case _:
            assert_never(staged.type)


def _balance(data: Mapping[str, Any]) -> BalanceThen:
    def amount(name: str) -> MoneyOut:
        return money_out(data[f"{name}_minor"], data["currency"])

    return BalanceThen(
        due=amount("due"),
        received=amount("received"),
        refunded=amount("refunded"),
        outstanding=amount("outstanding"),
        overpaid=amount("overpaid"),
        status=data["status"],
        payments=data.get("payments"),
        first_paid_at=_time(data.get("first_paid_at")),
        last_paid_at=_time(data.get("last_paid_at")),
    )


def _moved(one: Mapping[str, Any], *, currency: str) -> PaymentMoved:
    return PaymentMoved(
        id=f"{one['gateway']}:{one['payment_id']}",
        gateway=one["gateway"],
        payment_id=one["payment_id"],
        kind=one["kind"],
        amount=money_out(one["amount_minor"], currency),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
