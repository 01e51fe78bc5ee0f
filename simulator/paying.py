"""The rules by which a customer pays an invoice, and the way around them that tests need."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from secrets import randbelow
from uuid import uuid4

import structlog

from simulator.book import Book
from simulator.facts import Invoice, InvoiceState, Payment, PaymentType
from simulator.telling import Telling

FEE_PER_CENT = 1

log = structlog.get_logger()


class NotPayableError(Exception):
    """The invoice does not take this payment. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def pay(
    book: Book,
    invoice: Invoice,
    *,
    amount: int | None,
    payment_type: PaymentType,
    status: str,
    force: bool,
    now: datetime,
    paid_at: datetime | None = None,
    row_delay: timedelta = timedelta(),
) -> Payment:
    """Enter a payment of the invoice into the book, in one step with the rules that allow it.

    `amount` is in whole tögrög; None is what is outstanding, or the whole amount again when `force` is given and
    nothing is. `paid_at` is `now` unless it is given; the wire does not show the row before `row_delay` is over.
    Raises NotPayableError unless `force`.
    """
    with book.lock:
        outstanding = max(0, invoice.amount - book.paid_total(invoice))
        wanted = amount or outstanding
        if not force:
            _check_state(book.state(invoice, now=now))
            _check_amount(invoice, wanted, outstanding=outstanding)
        wanted = wanted or invoice.amount
        payment = Payment(
            payment_id=_payment_id(invoice, payment_type, taken=lambda one: book.payment(one) is not None),
            invoice_id=invoice.invoice_id,
            amount=wanted,
            fee=(wanted * FEE_PER_CENT + 50) // 100 if invoice.gateway == "qpay" else 0,
            type=payment_type,
            status=status,
            paid_at=now if paid_at is None else paid_at,
            approval_code="" if invoice.gateway == "qpay" else f"{randbelow(10**6):06d}",
        )
        book.add_payment(payment)
        if row_delay:
            book.set_telling(payment, Telling(hidden_until=now + row_delay))
    log.info(
        "simulator.paid",
        payment_id=payment.payment_id,
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        amount=payment.amount,
        status=payment.status,
    )
    return payment


def _check_state(state: InvoiceState) -> None:
    if state is not InvoiceState.OPEN:
        raise NotPayableError(f"INVOICE_{state.name}", f"the invoice is {state.value}; force pays it all the same")


def _check_amount(invoice: Invoice, amount: int, *, outstanding: int) -> None:
    if amount < outstanding and not invoice.allow_partial:
        raise NotPayableError("PART_NOT_ALLOWED", f"the invoice wants all of {outstanding} at once")
    if amount > outstanding and not invoice.allow_exceed:
        raise NotPayableError("MORE_THAN_OUTSTANDING", f"only {outstanding} is outstanding")
    if invoice.minimum_amount is not None and amount < min(invoice.minimum_amount, outstanding):
        raise NotPayableError("LESS_THAN_MINIMUM", f"the least to be paid is {invoice.minimum_amount}")
    if invoice.maximum_amount is not None and amount > invoice.maximum_amount:
        raise NotPayableError("MORE_THAN_MAXIMUM", f"the most to be paid is {invoice.maximum_amount}")


def _payment_id(invoice: Invoice, payment_type: PaymentType, *, taken: Callable[[str], bool]) -> str:
    """Make an id as QPay does: random, so that a simulator started anew does not repeat those of an earlier one.

    SocialPay has none: what tells its payments apart is terminal and number, as long as nobody pays twice.
    """
    if invoice.gateway == "socialpay":
        payment_id = once = f"{invoice.merchant}:{invoice.number}"
        for again in count(2):
            if not taken(payment_id):
                break
            payment_id = f"{once}:{again}"
        return payment_id
    if payment_type is PaymentType.CARD:
        return str(uuid4())
    while taken(payment_id := str(10**14 + randbelow(9 * 10**14))):
        pass
    return payment_id
