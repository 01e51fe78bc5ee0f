"""A bank statement's lines, as every format is brought to: what they say, and what makes one line the same line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from moneyed import Money

GATEWAY = "bank"
"""Who knows a payment that a statement proves: whichever bank, the account tells."""

ACCOUNT_PATTERN = r"[A-Z0-9]{4,34}"
"""IBAN's own bounds."""

_IBAN = re.compile(r"MN[0-9]{2}[0-9]{4}([0-9]{12})")


class StatementFileError(Exception):
    """A file as a whole cannot be read as a statement: nothing of it is taken. The message is one line, for people."""


class Direction(StrEnum):
    """Which way the money went, seen from the merchant's account."""

    CREDIT = "credit"
    DEBIT = "debit"


class Group(NamedTuple):
    """What lines agree in that only the rest tells apart."""

    account: str
    posted_on: date
    direction: Direction
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One line of a statement. `posted_at` is UTC; of a line that tells no time it is the day's beginning there."""

    number: int
    """Where it stands in its file: the row of a table, the place in an array; 1 is the first."""
    format: str
    """Where it was read: of two lines of one format times and references can be compared."""
    bank: str
    account: str
    """The merchant's own; see `account_of`."""
    posted_on: date
    """The day by the bank's clock, Asia/Ulaanbaatar."""
    posted_at: datetime
    timed: bool
    """Whether the bank told the time of day."""
    direction: Direction
    amount: Money
    """More than 0; the direction has the sign."""
    balance: Money | None
    """Of the account after it; None where the format does not tell."""
    description: str
    counterparty_account: str | None
    counterparty_name: str | None
    reference: str | None
    """The bank's own: an attribute, no part of the key."""
    correction: bool
    """The bank calls it a correction or a reversal: what it undoes only a person can say."""
    raw: Mapping[str, object]
    """The line as it came, ready for JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableLine:
    """One line that cannot be understood. It stops itself, not its neighbours."""

    number: int
    reason: str
    raw: object


@lru_cache(maxsize=8_192)
def account_of(text: str) -> str:
    """Return an account's number without blanks, dashes and leading zeros; of a Mongolian IBAN the number inside.

    So it is the same in every format. (IBAN of Mongolia: MN, 2 check digits, 4 digits bank, 12 digits account;
    SWIFT IBAN registry.)

    Raises:
        ValueError: it is none.

    """
    plain = re.sub(r"[\s-]", "", text).upper()
    iban = _IBAN.fullmatch(plain)
    plain = iban[1] if iban else plain
    plain = plain.lstrip("0") if plain.isdigit() else plain
    if not re.fullmatch(ACCOUNT_PATTERN, plain, re.ASCII):
        raise ValueError("not an account number")
    return plain


def key_of(group: Group, *, balance_minor: int | None, occurrence: int) -> str:
    """Return what makes a line the same line in every format: it is its payment's id as well, and safe to show.

    Account, day, direction, amount, currency, balance after it, and `occurrence`: 1 for the first of equal ones.
    """
    parts = (
        group.account,
        group.posted_on.isoformat(),
        group.direction,
        group.amount_minor,
        group.currency,
        "" if balance_minor is None else balance_minor,
        occurrence,
    )
    digest = sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]
    return f"{group.account}-{group.posted_on:%Y%m%d}-{digest}"
