"""The book of what really happened, in memory: the oracle that tests compare the worker with. Apart, what is told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from threading import RLock

from simulator.facts import PAID, REFUNDED, Invoice, InvoiceState, Payment, SentCallback
from simulator.telling import TRUTH, Telling, ToldPayment, tell


class Book:
    """Holds invoices, payments and sent callbacks, safe to read and write from any thread or task.

    Take `lock` around several calls that must see the same state; it is re-entrant and never held across I/O.
    """

    def __init__(self, *, refunded_stays_paid: Callable[[], bool] = lambda: False) -> None:
        self._refunded_stays_paid = refunded_stays_paid
        self.lock = RLock()
        self._invoices: dict[str, Invoice] = {}
        self._ids_by_number: dict[str, list[str]] = {}
        self._payments: dict[str, Payment] = {}
        self._ids_by_invoice: dict[str, list[str]] = {}
        self._callbacks: list[SentCallback] = []
        self._tellings: dict[str, Telling] = {}

    def add_invoice(self, invoice: Invoice) -> None:
        """Enter a new invoice; its number may be one that was used before."""
        with self.lock:
            self._invoices[invoice.invoice_id] = invoice
            self._ids_by_number.setdefault(invoice.number, []).append(invoice.invoice_id)

    def add_payment(self, payment: Payment) -> None:
        """Enter a new payment of an invoice that is in the book."""
        with self.lock:
            self._payments[payment.payment_id] = payment
            self._ids_by_invoice.setdefault(payment.invoice_id, []).append(payment.payment_id)

    def add_callback(self, callback: SentCallback) -> None:
        """Enter a callback whose outcome is known."""
        with self.lock:
            self._callbacks.append(callback)

    def cancel(self, invoice: Invoice, *, now: datetime) -> None:
        """Mark the invoice as cancelled at `now`."""
        with self.lock:
            self._invoices[invoice.invoice_id] = replace(invoice, canceled_at=now)

    def expire(self, invoice: Invoice, *, now: datetime) -> None:
        """Let the invoice run out at `now`."""
        with self.lock:
            current = self._invoices[invoice.invoice_id]
            self._invoices[invoice.invoice_id] = replace(current, expires_at=now)

    def refund(self, payment: Payment) -> Payment:
        """Mark the payment as given back, and return it so.

        Whether an invoice that it had paid can be paid again is a switch: nobody has seen whether one of QPay's can.
        """
        with self.lock:
            self._payments[payment.payment_id] = refunded = replace(payment, status=REFUNDED)
            return refunded

    def set_telling(self, payment: Payment, telling: Telling) -> None:
        """Tell this of the payment from now on; what was told before is forgotten, what happened is not."""
        with self.lock:
            self._tellings[payment.payment_id] = telling

    def invoice(self, invoice_id: str) -> Invoice | None:
        """Find an invoice by its id."""
        with self.lock:
            return self._invoices.get(invoice_id)

    def invoices(self) -> list[Invoice]:
        """List every invoice, oldest first."""
        with self.lock:
            return list(self._invoices.values())

    def newest(self, number: str, *, now: datetime) -> Invoice | None:
        """Find the newest open invoice with this number; the newest of all when none is open."""
        with self.lock:
            found = [self._invoices[invoice_id] for invoice_id in reversed(self._ids_by_number.get(number, []))]
            still_open = (one for one in found if self.state(one, now=now) is InvoiceState.OPEN)
            return next(still_open, found[0] if found else None)

    def by_qr(self, qr_text: str) -> Invoice | None:
        """Find an invoice by the text of its QR."""
        with self.lock:
            return next((one for one in reversed(self._invoices.values()) if one.qr_text == qr_text), None)

    def payment(self, payment_id: str) -> Payment | None:
        """Find a payment by its id."""
        with self.lock:
            return self._payments.get(payment_id)

    def payments(self) -> list[Payment]:
        """List every payment, oldest first."""
        with self.lock:
            return list(self._payments.values())

    def payments_of(self, invoice: Invoice) -> list[Payment]:
        """List the payments of one invoice, whatever their status, oldest first."""
        with self.lock:
            return [self._payments[one] for one in self._ids_by_invoice.get(invoice.invoice_id, [])]

    def telling(self, payment: Payment) -> Telling:
        """Look up what is told of a payment; the truth unless something else was set."""
        with self.lock:
            return self._tellings.get(payment.payment_id, TRUTH)

    def told(self, payment: Payment, *, now: datetime) -> ToldPayment | None:
        """Tell of one payment what the wire may know at `now`; None while it is hidden."""
        telling = self.telling(payment)
        return None if telling.hides(now=now) else tell(payment, telling=telling)

    def told_of(self, invoice: Invoice, *, now: datetime) -> list[ToldPayment]:
        """Tell the payments of one invoice, oldest first: a hidden one is missing, a duplicated one repeated."""
        with self.lock:
            each = [(self.told(one, now=now), self.telling(one)) for one in self.payments_of(invoice)]
        return [told for told, telling in each if told is not None for _ in range(telling.duplicated)]

    def callbacks(self) -> list[SentCallback]:
        """List every callback whose outcome is known, in the order of their ends."""
        with self.lock:
            return list(self._callbacks)

    def paid_total(self, invoice: Invoice) -> int:
        """Sum what has been paid on the invoice, in whole tögrög; other statuses than PAID are not money."""
        return sum(payment.amount for payment in self.payments_of(invoice) if payment.status == PAID)

    def state(self, invoice: Invoice, *, now: datetime) -> InvoiceState:
        """Tell what has become of the invoice at `now`; the first of cancelled, paid and expired that holds."""
        if invoice.canceled_at is not None:
            return InvoiceState.CANCELED
        closing = (PAID, REFUNDED) if self._refunded_stays_paid() else (PAID,)
        if sum(one.amount for one in self.payments_of(invoice) if one.status in closing) >= invoice.amount:
            return InvoiceState.PAID
        if invoice.expires_at is not None and invoice.expires_at <= now:
            return InvoiceState.EXPIRED
        return InvoiceState.OPEN

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self._invoices.clear()
            self._ids_by_number.clear()
            self._payments.clear()
            self._ids_by_invoice.clear()
            self._callbacks.clear()
            self._tellings.clear()
