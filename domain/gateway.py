"""The port to a payment gateway: what the worker asks of one, and what it may answer."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from moneyed import Money

from domain.payment_row import CheckAnswer, FoundPage, FoundPayment, UnreadableRow


class GatewayError(Exception):
    """A call to the gateway did not give what was asked. The subclass says whether trying again can help.

    `message` is written by us or is the gateway's own words, cut short; it never holds credentials or tokens.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class GatewayRefusedError(GatewayError):
    """The gateway understood and said no. Trying the same again does not help.

    `code` is the gateway's own (`INVOICE_PAID`, `INVOICE_CODE_INVALID`, …). `final` where it is about this one thing
    and nothing that a person could mend elsewhere, such as credentials, would change it.
    """

    def __init__(self, code: str, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.final = final


class GatewayUnauthorisedError(GatewayError):
    """The gateway does not take our credentials. Trying again helps only after somebody has mended them."""


class GatewayBusyError(GatewayError):
    """The call was certainly not acted upon: not connected, or turned away by a limit. Trying again later helps.

    `retry_after_s` is what the gateway, or our own limit on logging in, asks to wait; None when nothing was said.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class GatewayHeldBackError(GatewayBusyError):
    """We did not ask: the gateway is known to be down, or a limit of our own on calls or logins was reached.

    Nothing was sent, so it tells nothing about what was to be asked, and is no attempt at it.
    """


class GatewayOutcomeUnknownError(GatewayError):
    """Nobody knows whether the gateway acted: time ran out, the connection was lost after sending, or a 5xx came.

    A question may be asked again. A create may not: it would make a second invoice.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class GatewayUnreadableError(GatewayOutcomeUnknownError):
    """An answer came that cannot be understood: not JSON, the wrong shape, or too large. The outcome is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceToIssue:
    """What a gateway invoice is made from. The amount is in whole units where the gateway takes no fractions."""

    number: str
    """Our number at the gateway, unique per generation; a gateway may accept a repeated one and make a second QR."""
    amount: Money
    description: str
    receiver_code: str
    callback_url: str
    expires_at: datetime
    """UTC. Sent to gateways that take an expiry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInvoiceRef:
    """Which gateway invoice is meant, by all that a gateway may want to know of it; each takes what it goes by."""

    number: str
    """Our number at the gateway."""
    external_id: str
    """The gateway's own id; our number again where it has none."""
    amount: Money
    """What the QR asks for: SocialPay signs and checks it with the number (facts of SocialPay, *Check*)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankLink:
    """A deep link that opens one bank's application with the QR in it."""

    name: str
    description: str
    logo: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedInvoice:
    """A gateway invoice as the gateway made it."""

    external_id: str
    """The gateway's own id; our number again where it `goes_by_number`."""
    qr_text: str
    qr_image: str | None
    """Base64 of a PNG, without a `data:` prefix; None when the gateway sent none."""
    short_url: str | None
    """The gateway's own page for the QR; None when it has none."""
    links: tuple[BankLink, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """What a signed push is about, once its signature was found right: a reason to look, never evidence."""

    number: str
    """Our number at the gateway."""
    payment_id: str
    """The payment that it announces: a hint for re-checks."""


ReadPush = Callable[[bytes], Push | None]
"""Reads the body of a gateway's push; None for one that is not the gateway's. Never raises, and calls nobody."""


class CancelOutcome(StrEnum):
    """What became of a cancel."""

    CANCELLED = "cancelled"
    """The QR can no longer be paid: cancelled now, or before."""
    PAID = "paid"
    """The gateway does not cancel it because money has arrived on it: check it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one gateway offers. What it does not is refused with the code `NOT_OFFERED`, before any call."""

    lists: bool
    """`discover` and `look_up`: it tells which payments there were in a window."""
    may_be_polled: bool
    """`check` may be called on a schedule. Where not, only when something points to a payment, or a person asks."""
    cancels: bool
    refunds: bool
    """`refund` is offered; of which payments, the gateway decides."""
    whole_units: bool
    """An amount to issue must have no fraction of its currency's unit (tögrög, not möngö)."""
    takes_expiry: bool
    """It is told `expires_at`; else a QR may be paid until it is cancelled."""
    goes_by_number: bool
    """It has no id of its own for an invoice and goes by our number, of 32 hex digits. So what was created without an
    answer can be checked and cancelled all the same; else nobody can find it."""


NOT_OFFERED = "NOT_OFFERED"
"""Our code of a `GatewayRefusedError` for what `Capabilities` say the gateway does not do."""


class PaymentGateway(Protocol):
    """One payment gateway, for one merchant. Calls block, are bounded in time, and run inside no transaction.

    Calls may come from many threads at once. Every method but `name`, `capabilities` and `read_callback` may raise

    - `GatewayRefusedError`: it understood and said no; `code` says why;
    - `GatewayUnauthorisedError`: it does not take our credentials;
    - `GatewayBusyError`: it certainly did not act; `GatewayHeldBackError` of these: it was not even asked;
    - `GatewayOutcomeUnknownError`: nobody knows; `GatewayUnreadableError` of these: it answered, unintelligibly.

    No method repeats what may have been acted upon. Money is `Money`, exact or refused; times are UTC and aware.
    """

    @property
    def name(self) -> str:
        """The name used in events, settings and URLs: `qpay`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this gateway offers; constant, and known without a call."""
        ...

    def issue(self, invoice: InvoiceToIssue, /) -> IssuedInvoice:
        """Create a gateway invoice, in 10 s at most.

        Not atomic with anything of ours and not idempotent: after `GatewayOutcomeUnknownError` an invoice may exist
        that nobody has seen, so it is never repeated (QPay accepts a repeated sender_invoice_no and has no look-up
        by it: facts of QPay, *Invoice*); one that the gateway knows by our number can be cancelled. After any other
        error nothing was made.

        Raises:
            ValueError: before any call: the amount, its currency or the expiry is not of a kind that the gateway takes.
            GatewayError: see the class.

        """
        ...

    def check(self, invoice: GatewayInvoiceRef, /) -> CheckAnswer:
        """Ask for every payment on one gateway invoice, over all pages, in 8 s at most. The only evidence of money.

        Changes nothing at the gateway. All rows or an error, never a part of them; but pages are read one after the
        other, so rows that change meanwhile may be told as they were. An invoice that is not paid has no rows. A
        gateway that counts more than it tells of has an `UnreadableRow` for that.
        QPay forbids asking again and again from a schedule (QPay v2 workbook, 2026-03): see `Capabilities`.

        Raises:
            ValueError: before any call: `invoice` can be no invoice's.
            GatewayError: see the class.

        """
        ...

    def discover(self, *, since: datetime, until: datetime) -> Iterator[FoundPage]:
        """Tell which payments are listed in [`since`, `until`), whoever announced them, page by page, in any order.

        Changes nothing at the gateway. A call is made when its page is wanted, each 8 s at most, so an error comes out
        of the iteration, and whoever wants to know only whether anything came takes the first page and its `total`.
        There is a first page, if an empty one. Its cost grows with payments, not with open invoices; memory holds one.

        Listed are payments by a time of the gateway's that may differ a little from `paid_at`, and more may be told
        than was asked for: whoever wants those paid within bounds leaves room and compares. A payment
        may come twice, and one that appears while pages are read may be missed: then totals differ from page to page,
        or from what came. It points to what should be checked and proves nothing.

        Raises:
            ValueError: before any call: a time is naive, or `since` is after `until`.
            GatewayError: see the class.

        """
        ...

    def look_up(self, payment_id: str, /) -> FoundPayment | UnreadableRow | None:
        """Ask about one payment, in one call of 8 s at most; None when the gateway knows none of that id.

        For a payment that `discover` found and whose invoice it does not tell. Not to be polled either. Errors as in
        `refund`.
        """
        ...

    def cancel(self, invoice: GatewayInvoiceRef, /) -> CancelOutcome:
        """Make the QR unpayable, in 8 s at most. Idempotent: one that was cancelled before is `CANCELLED` again.

        After `GatewayOutcomeUnknownError` it may be repeated. One that money has arrived on is `PAID`, and stays.

        Raises:
            ValueError: before any call: `invoice` can be no invoice's.
            GatewayError: see the class.

        """
        ...

    def refund(self, payment_id: str, /, *, note: str) -> None:
        """Ask the gateway to give one whole payment back, in 8 s at most; returning means it said yes, now or before.

        QPay refunds card payments only, and the whole amount: a bank transfer is refused with `PAYMENT_SETTLED`
        (`GatewayRefusedError` with that code; QPay v2 workbook, 2026-03). `PAYMENT_ALREADY_CANCELED` counts as done:
        nobody can tell a refund of ours whose answer was lost from one that was made elsewhere, and the money is back
        either way. After `GatewayOutcomeUnknownError` only a check tells whether it was given back. `note` says why,
        for people; it is shortened to what the gateway takes.

        Raises:
            ValueError: before any call: `payment_id` can be no payment's.
            GatewayError: see the class.

        """
        ...

    def read_callback(self, query: Mapping[str, str], /) -> str | None:
        """Return the payment id that a callback's query announces, or None; a hint for re-checks, never evidence.

        Never raises, whatever the query holds.
        """
        ...
