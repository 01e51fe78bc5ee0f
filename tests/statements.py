"""Statements to test with: made-up lines, written as each bank writes them."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl

ACCOUNT = "5012345678"
NOON = datetime(2026, 11, 22, 12, 0)  # noqa: DTZ001 - as the bank's clock shows it
BANKS = ("khan", "golomt", "tdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a line says; a negative amount went out. The time is the bank's own."""

    amount: int
    description: str
    at: datetime = NOON
    balance: int = 0
    payer: str = "499011223"
    name: str = "Б. Бат"
    record: int = 1
    correction: bool = False


def running(*lines: tuple[int, str], start: int = 1_000_000, minutes: int = 1) -> list[Said]:
    """Lines one after the other, with balances that add up."""
    said = []
    for number, (amount, description) in enumerate(lines, start=1):
        start += amount
        at = NOON + timedelta(minutes=minutes * number)
        said.append(Said(amount=amount, description=description, at=at, balance=start, record=number))
    return said


def khan_row(said: Said) -> dict[str, object]:
    return {
        "record": said.record,
        "tranDate": f"{said.at:%Y-%m-%d}",
        "postDate": f"{said.at:%Y-%m-%d}",
        "time": f"{said.at:%H%M%S}",
        "branch": "5000",
        "teller": "1",
        "journal": 100 + said.record,
        "code": 1,
        "amount": said.amount,
        "balance": said.balance,
        "debit": abs(min(0, said.amount)),
        "credit": max(0, said.amount),
        "correction": said.correction,
        "description": said.description,
        "relatedAccount": said.payer,
    }


def khan_json(path: Path, lines: Sequence[Said], *, account: str = ACCOUNT) -> Path:
    rows = [khan_row(said) for said in lines]
    return _json(path, {"account": account, "currency": "MNT", "transactions": rows})


def golomt_json(path: Path, lines: Sequence[Said], *, account: str = ACCOUNT) -> Path:
    rows = [
        {
            "requestId": "r1",
            "recNum": str(said.record),
            "tranId": f"S{said.record:07d}",
            "tranDate": f"{said.at:%Y-%m-%d}",
            "drOrCr": "Debit" if said.amount < 0 else "Credit",
            "tranAmount": f"{abs(said.amount)}.00",
            "tranDesc": said.description,
            "tranPostedDate": f"{said.at:%Y-%m-%d %H:%M:%S}",
            "tranCrnCode": "MNT",
            "exchRate": 1,
            "balance": f"{said.balance}.00",
            "accName": said.name,
            "accNum": said.payer,
        }
        for said in lines
    ]
    return _json(path, {"accountId": account, "statements": rows})


def tdb_json(path: Path, lines: Sequence[Said], *, account: str = ACCOUNT) -> Path:
    rows = [
        {
            "NtryRef": [f"7760000{said.record:05d}"],
            "Amt": [str(said.amount)],
            "Ccy": ["MNT"],
            "TxRt": ["1"],
            "TxDt": [f"{said.at:%Y-%m-%d}"],
            "CtAcct": [said.payer],
            "TxAddInf": [said.description],
            "CtBankNo": ["50000"],
            "CtActnName": [said.name],
            "TxTime": [f"{said.at:%H:%M}"],
            "TxPostDate": ["4/2/2021 6:24:40 PM"],
        }
        for said in lines
    ]
    document = {"GrpHdr": {"RspCd": "10"}, "EnqRsp": [{"IBAN": account, "Ntry": rows}]}
    return _json(path, {"Document": document})


def table_rows(lines: Sequence[Said]) -> list[list[Any]]:
    """Rows as an export has them: a title, headings, lines, and a total."""
    rows: list[list[Any]] = [["Дансны хуулга", ACCOUNT], []]
    rows.append(["Гүйлгээний огноо", "Цаг", "Зарлага", "Орлого", "Үлдэгдэл", "Гүйлгээний утга", "Харьцсан данс"])
    rows += [
        [
            said.at.strftime("%Y.%m.%d"),
            said.at.strftime("%H:%M:%S"),
            f"{-said.amount:,}.00" if said.amount < 0 else "",
            f"{said.amount:,}.00" if said.amount > 0 else "",
            f"{said.balance:,}.00",
            said.description,
            said.payer,
        ]
        for said in lines
    ]
    rows.append(["Нийт", "", "", f"{sum(max(0, said.amount) for said in lines):,}.00"])
    return rows


def export_csv(path: Path, lines: Sequence[Said], *, encoding: str = "utf-8-sig", delimiter: str = ",") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(table_rows(lines))
    return path


def export_xlsx(path: Path, lines: Sequence[Said]) -> Path:
    """The same with numbers and dates as a spreadsheet keeps them."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Хуулга")
    for row in table_rows(lines):
        cells = [
            float(Decimal(cell.replace(",", ""))) if isinstance(cell, str) and cell.endswith(".00") else cell
            for cell in row
        ]
        sheet.append(cells)
    book.save(path)
    return path


def generic_csv(path: Path, lines: Sequence[Said]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["account", "date", "time", "amount", "balance", "description", "counterparty_account"])
        for said in lines:
            moment = said.at.strftime("%Y-%m-%d"), said.at.strftime("%H:%M:%S")
            writer.writerow([ACCOUNT, *moment, said.amount, said.balance, said.description, said.payer])
    return path


def _json(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path
