"""What banks write into fields, read exactly: days, times of day and amounts; what is not exact is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from moneyed import Money

from domain.money import money
from domain.statement import Direction, StatementLine, account_of

ULAANBAATAR = ZoneInfo("Asia/Ulaanbaatar")

TEXT_MAX_CHARS = 1_000
"""Of a longer field the rest is not kept."""

_DAY = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})(?:[T ]+(\d{1,2}:\d{2}.*))?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?\s*(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_DIGITS = re.compile(r"\d{6}", re.ASCII)

_BESIDE_A_NUMBER = re.compile(r"\s*(?:₮|MNT)\s*|(?<=^[+-])\s+")

_BLANK_OF_THOUSANDS = re.compile(r"(?<=\d)\s(?=\d{3}(?!\d))")

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is said of a file besides its lines. The account and the currency stand in where lines tell none."""

    bank: str
    format: str
    account: str | None
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A day by the bank's clock, and the time of day where one was told."""

    day: date
    clock: time | None

    @property
    def at(self) -> datetime:
        """The moment in UTC; without a time of day the beginning of the day there."""
        return datetime.combine(self.day, self.clock or time(), ULAANBAATAR).astimezone(UTC)


def read_moment(text: str) -> Moment:
    """Read a day such as 2026-11-22, 2026.11.22 or 20261122, with or without a time behind it.

    Raises:
        ValueError: it is none. So do the others here, with the reason as the message.

    """
    found = _DAY.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a date such as 2026-11-22")
    year, _, month, day, clock = found.groups()
    if clock is None:
        return Moment(day=_day(int(year), int(month), int(day)), clock=None)
    parts = _CLOCK.fullmatch(clock.strip())
    if parts is None:
        raise ValueError(f"{text[:40]!r} is not a date and a time such as 2026-11-22 14:30:00")
    told = Moment(
        day=_day(int(year), int(month), int(day)), clock=_time(int(parts[1]), int(parts[2]), int(parts[3] or 0))
    )
    if parts[4] is None:
        return told
    there = datetime.fromisoformat(f"{told.day}T{told.clock}{parts[4]}").astimezone(ULAANBAATAR)
    return Moment(day=there.date(), clock=there.time())


def read_clock(text: str) -> time:
    """Read a time of day such as 143000, 14:30 or 14:30:00."""
    plain = text.strip()
    if plain.isdigit() and plain.isascii():
        plain = plain.zfill(6)  # a number has lost the zero of the morning
    if _DIGITS.fullmatch(plain):
        return _time(int(plain[:2]), int(plain[2:4]), int(plain[4:]))
    found = _CLOCK.fullmatch(plain)
    if found is None or found[4]:
        raise ValueError(f"{text[:40]!r} is not a time such as 14:30:00")
    return _time(int(found[1]), int(found[2]), int(found[3] or 0))


def read_number(value: object, *, decimal: str = ".", thousands: str = ",") -> Decimal:
    """Read a signed number: of JSON as it is, of text with groups of three digits, of a sheet as it shows it."""
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} is not an amount")
    if isinstance(value, float):
        return Decimal(repr(value))  # the shortest number that is this double: what the sheet shows
    if isinstance(value, int | Decimal):
        return Decimal(value)
    plain = _BLANK_OF_THOUSANDS.sub("", _BESIDE_A_NUMBER.sub("", str(value).strip()))
    found = _number(decimal, thousands).fullmatch(plain)
    if found is None:
        raise ValueError(f"{str(value)[:40]!r} is not an amount")
    digits = found[2].replace(thousands, "") if thousands else found[2]
    return Decimal(f"{found[1]}{digits}.{found[3] or 0}")


@lru_cache
def _number(decimal: str, thousands: str) -> re.Pattern[str]:
    group = rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|" if thousands else ""
    return re.compile(rf"([+-]?)({group}\d{{1,20}})(?:{re.escape(decimal)}(\d{{1,20}}))?", re.ASCII)


def read_money(number: Decimal, *, currency: str) -> Money:
    """Return the number as money, exact."""
    return money(number, currency=currency)


def is_told(value: object) -> bool:
    """Tell whether a field holds anything."""
    return value is not None and value != ""


def text_of(value: object) -> str:
    """Return a field's text in one line of printable characters; empty for none."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a sheet makes a number of an account
    text = str(value)[: 2 * TEXT_MAX_CHARS]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:TEXT_MAX_CHARS]


def make_line(
    given: Given,
    *,
    number: int,
    account: str | None,
    moment: Moment,
    signed: Decimal,
    currency: str,
    balance: Decimal | None,
    description: str,
    counterparty_account: str,
    counterparty_name: str,
    reference: str,
    correction: bool,
    raw: Mapping[str, object],
) -> StatementLine:
    """Make a line of its parts; the sign of the amount is its direction."""
    told = given.account or account
    if told is None:
        raise ValueError("the account is not told")
    if account is not None and _account_or_none(account) not in {None, account_of(told)}:
        raise ValueError(f"the line is of the account {account[:40]}, not of {told}")
    if signed == 0:
        raise ValueError("the amount is 0")
    return StatementLine(
        number=number,
        format=given.format,
        bank=given.bank,
        account=account_of(told),
        posted_on=moment.day,
        posted_at=moment.at,
        timed=moment.clock is not None,
        direction=Direction.CREDIT if signed > 0 else Direction.DEBIT,
        amount=read_money(abs(signed), currency=currency),
        balance=None if balance is None else read_money(balance, currency=currency),
        description=description,
        counterparty_account=_account_or_none(counterparty_account),
        counterparty_name=counterparty_name or None,
        reference=reference[:100] or None,
        correction=correction,
        raw=raw,
    )


def _account_or_none(text: str) -> str | None:
    try:
        return account_of(text) if text else None
    except ValueError:
        return None


def _day(year: int, month: int, day: int) -> date:
    try:
        made = date(year, month, day)
    except ValueError:
        raise ValueError(f"{year}-{month}-{day} is not a day") from None
    if not FIRST_DAY <= made <= LAST_DAY:
        raise ValueError(f"{made} is too far away to be right")
    return made


def _time(hour: int, minute: int, second: int) -> time:
    try:
        return time(hour, minute, second)
    except ValueError:
        raise ValueError(f"{hour}:{minute}:{second} is not a time of day") from None
