"""Golomt Bank: lines of its account statement. The amount has no sign: `drOrCr` says which way it went."""

from collections.abc import Mapping
from typing import Any

from adapters.bank.fields import Given, Moment, is_told, make_line, read_moment, read_number, text_of
from adapters.bank.json_objects import raw_of
from domain.statement import StatementLine

_SIGNS = {"CREDIT": 1, "CR": 1, "C": 1, "DEBIT": -1, "DR": -1, "D": -1}


def read(row: Mapping[str, Any], *, number: int, given: Given) -> StatementLine:
    """Read one of `statements`. `accNum` and `accName` are the other side's.

    The bank's key of a line is tranId, direction and amount, so the reference holds all three.

    Raises:
        ValueError: it cannot be understood; the message says why.

    """
    amount = read_number(row.get("tranAmount"))
    side = text_of(row.get("drOrCr"))
    sign = _SIGNS.get(side.upper())
    if sign is None:
        raise ValueError(f"drOrCr is {side!r}, neither Debit nor Credit")
    tran_id = text_of(row.get("tranId"))
    return make_line(
        given,
        number=number,
        account=None,
        moment=_moment(row),
        signed=sign * amount,
        currency=text_of(row.get("tranCrnCode")) or given.currency,
        balance=read_number(row["balance"]) if is_told(row.get("balance")) else None,
        description=text_of(row.get("tranDesc")),
        counterparty_account=text_of(row.get("accNum")),
        counterparty_name=text_of(row.get("accName")),
        reference=f"{tran_id} {side.title()} {amount.normalize():f}" if tran_id else "",
        correction=amount < 0,
        raw=raw_of(row),
    )


def _moment(row: Mapping[str, Any]) -> Moment:
    """Take the day from tranDate; the time, where that has none, from tranPostedDate of the same day."""
    told = read_moment(text_of(row.get("tranDate")))
    posted = text_of(row.get("tranPostedDate"))
    if told.clock is not None or not posted:
        return told
    try:
        later = read_moment(posted)
    except ValueError:
        return told
    return later if later.day == told.day else told
