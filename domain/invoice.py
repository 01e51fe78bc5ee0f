"""An invoice: the merchant's own id, what it asks for, and the changes that its balance is a function of."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from moneyed import Money

from domain.money import MNT, is_whole_units

INVOICE_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9-]{0,39}"
"""QPay takes 45 characters without special ones; five are kept for the generation's suffix."""

GENERATIONS_MAX = 999
"""So many QRs of the longest id fit into 45 characters; an invoice that needs more has another trouble."""

_INVOICE_ID = re.compile(INVOICE_ID_PATTERN)
_GENERATION_SUFFIX = re.compile(r"-g[0-9]+$")


class InvalidInvoiceError(ValueError):
    """What was asked of an invoice breaks a rule. `field` names the part that does."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class ChangeKind(StrEnum):
    """What a change of an invoice changes."""

    AMOUNT = "amount"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceChange:
    """One append-only change of what an invoice asks for: a new amount, or that it is void from now on.

    `position` orders the changes of an invoice. `amount` is set for `AMOUNT` alone.
    """

    position: int
    kind: ChangeKind
    amount: Money | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceTerms:
    """What a merchant says about an invoice; the amount is in whole units. `due_at` is UTC."""

    amount: Money
    description: str
    receiver_code: str
    due_at: datetime | None


def require_invoice_id(text: str) -> str:
    """Return the id when it may name an invoice.

    Raises:
        InvalidInvoiceError: not of the pattern, or ending like the number of a later generation (`-g2`).

    """
    if not _INVOICE_ID.fullmatch(text):
        raise InvalidInvoiceError("id", "must be 1 to 40 letters, digits or hyphens, beginning with a letter or digit")
    if _GENERATION_SUFFIX.search(text):
        raise InvalidInvoiceError("id", "must not end in -g and a number: later QRs of an invoice are numbered so")
    return text


def require_payable(amount: Money) -> Money:
    """Return the amount when an invoice may ask for it: tögrög, whole, more than zero.

    Raises:
        InvalidInvoiceError: another currency, a fraction of a unit (no gateway takes one), zero or less.

    """
    if amount.currency.code != MNT:
        raise InvalidInvoiceError("amount.currency", "must be MNT")
    if amount.amount <= 0:
        raise InvalidInvoiceError("amount.amount", "must be more than 0")
    if not is_whole_units(amount):
        raise InvalidInvoiceError("amount.amount", "must be whole tögrög: the gateways take no fractions")
    return amount


def number_at_gateway(invoice_id: str, *, generation: int) -> str:
    """Name one generation's QR, up to `GENERATIONS_MAX`, where our own number is taken: the id, then `id-g2`."""
    return invoice_id if generation == 1 else f"{invoice_id}-g{generation}"
