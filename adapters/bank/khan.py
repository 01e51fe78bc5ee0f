"""Khan Bank: lines of GET /v1/statements/{account}. Amounts are signed; times are those of Ulaanbaatar."""

from collections.abc import Mapping
from typing import Any

from adapters.bank.fields import Given, Moment, is_told, make_line, read_clock, read_moment, read_number, text_of
from adapters.bank.json_objects import raw_of
from domain.statement import StatementLine

_NO_CORRECTION = frozenset({"", "0", "FALSE", "N", "NO", "NONE"})


def read(row: Mapping[str, Any], *, number: int, given: Given) -> StatementLine:
    """Read one of `transactions`.

    Raises:
        ValueError: it cannot be understood; the message says why.

    """
    signed = read_number(row.get("amount"))
    moment = read_moment(text_of(row.get("tranDate") or row.get("postDate")))
    clock = text_of(row.get("time"))
    _require_side(row, is_credit=signed > 0)
    return make_line(
        given,
        number=number,
        account=None,
        moment=Moment(day=moment.day, clock=read_clock(clock) if clock else moment.clock),
        signed=signed,
        currency=text_of(row.get("currency")) or given.currency,
        balance=read_number(row["balance"]) if is_told(row.get("balance")) else None,
        description=text_of(row.get("description")),
        counterparty_account=text_of(row.get("relatedAccount")),
        counterparty_name=text_of(row.get("relatedAccountName")),
        reference=text_of(row.get("record")),
        correction=text_of(row.get("correction")).upper() not in _NO_CORRECTION,
        raw=raw_of(row),
    )


def _require_side(row: Mapping[str, Any], *, is_credit: bool) -> None:
    """Refuse a line whose sign and whose columns of debit and credit do not agree."""
    for name, may_be in (("debit", not is_credit), ("credit", is_credit)):
        value = row.get(name)
        if not may_be and is_told(value) and not isinstance(value, bool) and read_number(value) != 0:
            raise ValueError(f"the amount is {row.get('amount')} and {name} is {value}")
