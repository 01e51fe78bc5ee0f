"""What QPay answers: its bodies, made from the facts. Money is now a number, now a string, as it is there."""

from collections.abc import Iterable
from decimal import Decimal

from simulator.clock import rfc3339
from simulator.facts import PAID, Invoice, InvoiceState, Line, PaymentType
from simulator.qpay.sessions import LIFETIME, Session
from simulator.telling import ToldPayment

Body = dict[str, object]

WALLET = "Хаан банк апп"
WALLET_ID = "0f000000-0000-4000-8000-000000000001"

STATUSES = {
    InvoiceState.OPEN: "OPEN",
    InvoiceState.PAID: "CLOSED",
    InvoiceState.CANCELED: "CANCELED",
}


def token_body(session: Session, *, as_duration: bool) -> Body:
    """Describe a new pair of tokens, with the UNIX time of their end, or with the seconds until then."""
    ends = int(LIFETIME.total_seconds()) if as_duration else int(session.ends_at.timestamp())
    return {
        "token_type": "bearer",
        "refresh_expires_in": ends,
        "refresh_token": session.refresh_token,
        "access_token": session.access_token,
        "expires_in": ends,
        "scope": "get_token",
        "not-before-policy": "0",
        "session_state": session.session_id,
    }


def invoice_body(invoice: Invoice, *, state: InvoiceState, expired_status: str) -> Body:
    """Describe an invoice as GET invoice does: without an expiry, the time of creation stands in its place."""
    return {
        "invoice_id": invoice.invoice_id,
        "invoice_status": STATUSES.get(state, expired_status),
        "sender_invoice_no": invoice.number,
        "sender_branch_code": invoice.branch_code,
        "invoice_description": invoice.description,
        "invoice_due_date": invoice.due_date and rfc3339(invoice.due_date),
        "enable_expiry": invoice.has_own_expiry,
        "expiry_date": rfc3339(
            invoice.expires_at if invoice.has_own_expiry and invoice.expires_at else invoice.created_at
        ),
        "allow_partial": invoice.allow_partial,
        "minimum_amount": invoice.minimum_amount,
        "allow_exceed": invoice.allow_exceed,
        "maximum_amount": invoice.maximum_amount,
        "total_amount": _text(invoice.amount),
        "gross_amount": invoice.amount,
        "tax_amount": 0,
        "surcharge_amount": 0,
        "discount_amount": 0,
        "callback_url": invoice.callback_url,
        "note": invoice.note,
        "lines": [_line(line) for line in invoice.lines],
        "transactions": [],
        "inputs": [],
    }


def check_body(page: Iterable[ToldPayment], *, count: int, paid_total: Decimal, older_shape: bool) -> Body:
    """Answer payment/check with one page of `count` rows; without any, `paid_amount` is left out."""
    if count == 0:
        return {"count": 0, "rows": []}
    row = _older_row if older_shape else _row
    rows = [_garbled(row(payment)) if payment.garbled else row(payment) for payment in page]
    return {"count": count, "paid_amount": _number(paid_total), "rows": rows}


def payment_body(payment: ToldPayment) -> Body:
    """Describe one payment as GET payment does."""
    body: Body = {
        "payment_id": payment.payment_id,
        "payment_status": payment.status,
        "payment_fee": _text(payment.fee),
        "payment_amount": _text(payment.amount),
        "payment_currency": payment.currency,
        "payment_date": rfc3339(payment.paid_at),
        "payment_wallet": WALLET_ID,
        "object_type": "INVOICE",
        "object_id": payment.invoice_id,
        "next_payment_date": None,
        "next_payment_datetime": None,
        "transaction_type": payment.type.value,
        **_transactions(payment),
    }
    return _garbled(body) if payment.garbled else body


def list_body(page: Iterable[tuple[Invoice, ToldPayment]], *, count: int, object_id: str, with_qr_code: bool) -> Body:
    """Answer payment/list with one page of `count` rows; `object_id` says what stands in the field of that name."""
    rows = [_list_row(invoice, payment, object_id=object_id, with_qr_code=with_qr_code) for invoice, payment in page]
    return {"count": count, "rows": rows}


def _list_row(invoice: Invoice, payment: ToldPayment, *, object_id: str, with_qr_code: bool) -> Body:
    body: Body = {
        "payment_id": payment.payment_id,
        "payment_date": rfc3339(payment.paid_at),
        "payment_status": payment.status,
        "payment_fee": _plain(payment.fee),
        "payment_amount": _plain(payment.amount),
        "payment_currency": payment.currency,
        "payment_wallet": WALLET_ID,
        "payment_name": invoice.description,
        "payment_description": f"{invoice.description} {invoice.number}",
        "qr_code": invoice.qr_text,
        "paid_by": payment.type.value,
        "object_type": "INVOICE",
        "object_id": invoice.invoice_code if object_id == "invoice_code" else invoice.invoice_id,
    }
    left_out = {"qr_code": not with_qr_code, "object_id": object_id == "absent", "payment_amount": payment.garbled}
    return {key: value for key, value in body.items() if not left_out.get(key)}


def _row(payment: ToldPayment) -> Body:
    return {
        "payment_id": payment.payment_id,
        "payment_status": payment.status,
        "payment_amount": _text(payment.amount),
        "trx_fee": _text(payment.fee),
        "payment_currency": payment.currency,
        "payment_wallet": WALLET if payment.type is PaymentType.P2P else "qPay wallet",
        "payment_type": payment.type.value,
        "next_payment_date": None,
        "next_payment_datetime": None,
        **_transactions(payment),
    }


def _older_row(payment: ToldPayment) -> Body:
    return {
        "payment_id": payment.payment_id,
        "payment_status": payment.status,
        "payment_date": rfc3339(payment.paid_at),
        "payment_fee": payment.fee,
        "payment_amount": _number(payment.amount),
        "payment_currency": payment.currency,
        "payment_wallet": WALLET_ID,
        "transaction_type": payment.type.value,
    }


def _transactions(payment: ToldPayment) -> Body:
    """Describe how the money came: gross for a card, net of the fee for a bank transfer."""
    status = "SUCCESS" if payment.status == PAID else payment.status
    card = {
        "card_type": "UNIONPAY",
        "is_cross_border": False,
        "amount": _text(payment.amount),
        "currency": payment.currency,
        "date": rfc3339(payment.paid_at),
        "status": status,
        "settlement_status": "PENDING",
        "settlement_status_date": rfc3339(payment.paid_at),
    }
    transfer = {
        "transaction_bank_code": "050000",
        "account_bank_code": "050000",
        "account_bank_name": "Хаан банк",
        "account_number": "50*******",
        "status": status,
        "amount": _text(payment.amount - payment.fee),
        "currency": payment.currency,
        "settlement_status": "SETTLED",
    }
    by_card = payment.type is PaymentType.CARD
    return {"card_transactions": [card] if by_card else [], "p2p_transactions": [] if by_card else [transfer]}


def _line(line: Line) -> Body:
    return {
        "tax_product_code": line.tax_product_code,
        "line_description": line.description,
        "line_quantity": f"{line.quantity:.2f}",
        "line_unit_price": f"{line.unit_price:.2f}",
        "note": line.note,
        "discounts": [],
        "surcharges": [],
        "taxes": [],
    }


def _garbled(body: Body) -> Body:
    return {key: value for key, value in body.items() if key != "payment_amount"}


def _text(amount: int | Decimal) -> str:
    return f"{amount:.2f}"


def _plain(amount: int | Decimal) -> str:
    """Write an amount as payment/list does: without a fraction where there is none."""
    return f"{amount:.0f}" if amount == int(amount) else f"{amount:.2f}"


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == int(amount) else float(amount)
