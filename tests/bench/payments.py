"""Payments on seeded QRs: as events for our ledger, and as plain parameters for bare statements."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from adapters.postgres.check_requests import ClaimedCheck
from adapters.postgres.recorded import About
from domain.gateway import GatewayInvoiceRef
from domain.money import from_minor_units
from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource, PaymentEvent, Source
from domain.payment_row import CheckAnswer, PaymentRow, RowStatus
from domain.reconciler import CheckedInvoice
from tests.bench.database import OpenQr

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment that pays a QR in full."""

    qr: OpenQr
    event: PaymentEvent

    @classmethod
    def of(cls, qr: OpenQr) -> "Payment":
        event = an_event(
            qr.payment_id,
            invoice_id=qr.invoice_id,
            qr=qr.gateway_invoice_id,
            amount_minor=qr.amount_minor,
            raw=raw_row(qr.payment_id, f"{qr.amount_minor / 100:.2f}"),
        )
        return cls(qr, event)

    @property
    def about(self) -> About:
        return About(
            invoices=frozenset({self.qr.invoice_id}),
            payments=frozenset({("qpay", self.event.payment_id)}),
            gateway_invoices=frozenset({self.qr.gateway_invoice_id}),
        )

    @property
    def answer(self) -> CheckAnswer:
        row = PaymentRow(
            payment_id=self.event.payment_id,
            status=RowStatus.PAID,
            status_text="PAID",
            amount=self.event.amount,
            fee=None,
            paid_at=NOON,
            raw=self.event.raw,
        )
        return CheckAnswer(rows=(row,))

    @property
    def checked(self) -> CheckedInvoice:
        return CheckedInvoice(
            gateway="qpay",
            gateway_invoice_id=self.qr.gateway_invoice_id,
            invoice_id=self.qr.invoice_id,
            currency="MNT",
            source=Source.CALLBACK,
            answered_before=False,
        )

    @property
    def check(self) -> ClaimedCheck:
        """The check that found it."""
        return ClaimedCheck(
            gateway_invoice_id=self.qr.gateway_invoice_id,
            invoice_id=self.qr.invoice_id,
            gateway="qpay",
            generation=1,
            at_gateway=GatewayInvoiceRef(
                number=self.qr.invoice_id,
                external_id=self.qr.external_id,
                amount=from_minor_units(self.qr.amount_minor, currency="MNT"),
            ),
            source=Source.CALLBACK,
            lease_token=self.qr.lease_token,
            claimed=1,
            attempts=1,
            answered_before=False,
            unpaid_minor=self.qr.amount_minor,
            check_id=1,
        )

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "payment_id": self.event.payment_id,
            "invoice_id": self.qr.invoice_id,
            "gateway_invoice_id": self.qr.gateway_invoice_id,
            "amount_minor": self.qr.amount_minor,
            "occurred_at": NOON,
            "recorded_at": NOON,
            "raw": json.dumps(self.event.raw, ensure_ascii=False),
        }


def an_event(
    payment_id: str, *, invoice_id: str, qr: UUID, amount_minor: int, raw: Mapping[str, object]
) -> PaymentEvent:
    amount = from_minor_units(amount_minor, currency="MNT")
    return PaymentEvent(
        gateway="qpay",
        payment_id=payment_id,
        kind=Kind.RECEIVED,
        ref=GATEWAY_REF,
        invoice_id=invoice_id,
        gateway_invoice_id=qr,
        amount=amount,
        fee=None,
        occurred_at=NOON,
        occurred_at_source=OccurredAtSource.GATEWAY,
        source=Source.CALLBACK,
        raw=raw,
        who=None,
    )


def raw_row(payment_id: str, amount: str) -> dict[str, object]:
    """A row as QPay answers it for a transfer between banks."""
    return {
        "payment_id": payment_id,
        "payment_status": "PAID",
        "payment_amount": amount,
        "trx_fee": "0.00",
        "payment_currency": "MNT",
        "payment_wallet": "Хаан банк апп",
        "payment_type": "P2P",
        "next_payment_date": None,
        "next_payment_datetime": None,
        "card_transactions": [],
        "p2p_transactions": [
            {
                "transaction_bank_code": "050000",
                "account_bank_code": "050000",
                "account_bank_name": "Хаан банк",
                "account_number": "50*******",
                "status": "SUCCESS",
                "amount": amount,
                "currency": "MNT",
                "settlement_status": "SETTLED",
            }
        ],
    }


class Supply:
    """Payments that nobody has used yet."""

    def __init__(self, qrs: Sequence[OpenQr]) -> None:
        self._payments: Iterator[Payment] = (Payment.of(qr) for qr in qrs)

    def take(self, count: int) -> list[Payment]:
        taken = list(islice(self._payments, count))
        if len(taken) < count:
            raise ValueError("too few QRs were seeded")
        return taken
