"""What a person is asked about lines of statements as they are read in: those that contradict what was told before."""

import json
from hashlib import sha256

from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.money import from_minor_units
from domain.statement import GATEWAY, Group, UnreadableLine
from domain.statement_overlap import Trait


def changed_line(group: Group, trait: Trait, *, before: str) -> Discrepancy:
    """Ask about a line that is kept, though the bank told something else under its reference `before`."""
    detail = (
        f"under the reference {trait.reference} the bank told {before}, and now {_words(group)}: the line is kept, and"
        " waits in tootsoo statement review"
    )
    return _question(
        DiscrepancyKind.CHANGED_LINE,
        subject=f"{group.account}:{trait.reference}",
        mark="|".join(map(str, (tuple(group), trait))),
        detail=detail,
    )


def doubtful_line(group: Group, trait: Trait, *, line_id: int) -> Discrepancy:
    """Ask about a line that is taken for one that is kept, though the bank calls it by another reference."""
    detail = (
        f"{_words(group)} is line {line_id} by day, amount and balance, and the bank's reference is now"
        f" {trait.reference}: if it is other money, enter it with tootsoo record-payment"
    )
    return _question(DiscrepancyKind.CHANGED_LINE, subject=f"line {line_id}", mark=trait.reference or "", detail=detail)


def unreadable_line(line: UnreadableLine, *, file_name: str, format_: str) -> Discrepancy:
    """Ask about a line that cannot be read: once, in however many files of a format it comes."""
    raw = json.dumps(line.raw, ensure_ascii=False, sort_keys=True, default=str)
    return _question(
        DiscrepancyKind.UNREADABLE_ROW,
        subject=_digest(f"{format_} {raw}"),
        mark="",
        detail=f"line {line.number} of {file_name} cannot be read: {line.reason}",
    )


def _words(group: Group) -> str:
    amount = from_minor_units(group.amount_minor, currency=group.currency)
    return f"{group.direction.value} of {amount} on {group.posted_on}"


def _question(kind: DiscrepancyKind, *, subject: str, mark: str, detail: str) -> Discrepancy:
    return Discrepancy(
        kind=kind,
        gateway=GATEWAY,
        subject=subject,
        fingerprint=_digest(mark) if mark else "",
        detail=detail,
        invoice_id=None,
        payment_id=None,
    )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]
