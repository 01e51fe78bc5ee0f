"""What a gateway tells of payments: rows, as far as they can be understood, and the answers that hold them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from moneyed import Money


class RowStatus(StrEnum):
    """What a gateway says of one payment, in the words of QPay's payment/check."""

    NEW = "NEW"
    FAILED = "FAILED"
    PAID = "PAID"
    PARTIAL = "PARTIAL"
    REFUNDED = "REFUNDED"
    UNKNOWN = "UNKNOWN"
    """A word that we do not know: looked at again, then for a person to look at, never money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    """One payment in a gateway's answer, as far as it could be understood."""

    payment_id: str
    status: RowStatus
    status_text: str
    """The gateway's own word, also where `status` is UNKNOWN."""
    amount: Money
    """Gross, before the gateway's fee, as the customer paid it; may be zero or negative in a strange answer."""
    fee: Money | None
    paid_at: datetime | None
    """UTC; None when the answer tells no time."""
    raw: Mapping[str, object]
    """The row as it came, ready for JSON."""
    reference_key: str | None = None
    """Under which key `raw` holds what else this payment is told apart by, such as an approval code, which others may
    have as well. Another one for the same payment is a question for a person. None where there is no such thing."""

    @property
    def reference(self) -> str | None:
        """What else the payment is told apart by; None where the row does not tell."""
        told = None if self.reference_key is None else self.raw.get(self.reference_key)
        return told if isinstance(told, str) and told else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRow:
    """One row that cannot be understood. It stops itself, not its neighbours."""

    reason: str
    """Without the row's values: two rows with the same fault have the same reason."""
    raw: object
    payment_id: str | None = None
    """Whose row it is, where that can still be read."""

    @property
    def words(self) -> str:
        """The reason, for people, with the payment where it is known."""
        return self.reason if self.payment_id is None else f"payment {self.payment_id}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAnswer:
    """All rows that the gateway holds for one gateway invoice at the time of asking, in its own order."""

    rows: tuple[PaymentRow | UnreadableRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPayment:
    """One payment that the gateway told of without being asked for its invoice, and what may tell on which it is.

    None of both is proof. A check of the invoice that they point to is.
    """

    row: PaymentRow
    external_id: str | None
    """What should be the gateway's own id of the gateway invoice; None when the answer does not tell."""
    qr_text: str | None
    """The text of the QR that was paid; None when the answer does not tell."""

    @property
    def payment_id(self) -> str:
        """Whose row it is."""
        return self.row.payment_id


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """One page of what a gateway lists."""

    found: tuple[FoundPayment | UnreadableRow, ...]
    total: int | None
    """How many payments are listed in all, as far as this page tells; None where that cannot be believed."""
    asked: str
    """What was asked for, in the gateway's words: totals of the same question can be compared."""
    exact: bool
    """Whether just the window was asked for. Else far more, as nobody knows how the gateway reads times: wide windows
    cost little more then, and many small ones much."""
