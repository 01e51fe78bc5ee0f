"""Trade and Development Bank: entries of its corporate gateway's statement. It tells no balance after each."""

from collections.abc import Mapping
from typing import Any

from adapters.bank.fields import Given, Moment, is_told, make_line, read_clock, read_moment, read_number, text_of
from adapters.bank.json_objects import raw_of
from domain.statement import StatementLine

_SIDES = {"CRDT": 1, "C": 1, "CR": 1, "DBIT": -1, "D": -1, "DR": -1}


def read(row: Mapping[str, Any], *, number: int, given: Given) -> StatementLine:
    """Read one `Ntry`. Its amount is signed, unless a `CdtDbtInd` says which way it went.

    Raises:
        ValueError: it cannot be understood; the message says why.

    """
    amount = read_number(row.get("Amt"))
    side = text_of(row.get("CdtDbtInd")).upper()
    if side and side not in _SIDES:
        raise ValueError(f"CdtDbtInd is {side!r}, neither CRDT nor DBIT")
    clock = text_of(row.get("TxTime"))
    moment = read_moment(text_of(row.get("TxDt")))
    balance = row.get("Bal")
    return make_line(
        given,
        number=number,
        account=None,
        moment=Moment(day=moment.day, clock=read_clock(clock) if clock else moment.clock),
        signed=amount * _SIDES.get(side, 1),
        currency=text_of(row.get("Ccy")) or given.currency,
        balance=read_number(balance) if is_told(balance) else None,
        description=text_of(row.get("TxAddInf")),
        counterparty_account=text_of(row.get("CtAcct")),
        counterparty_name=text_of(row.get("CtActnName")),
        reference=text_of(row.get("NtryRef")),
        correction=bool(side) and amount < 0,
        raw=raw_of(row),
    )
