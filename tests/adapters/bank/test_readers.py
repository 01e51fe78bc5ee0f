"""Every bank's way of writing the same lines is read as the same lines, and nothing that is wrong is read as right."""

import json
import os
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.bank import golomt, json_objects, khan, tdb, xlsx_rows
from adapters.bank.fields import Given, read_clock, read_moment, read_number
from adapters.bank.reader import open_statement
from domain.money import minor_units, money
from domain.statement import (
    Direction,
    Group,
    StatementFileError,
    StatementLine,
    UnreadableLine,
    account_of,
    key_of,
)
from tests import statements as written
from tests.statements import ACCOUNT, NOON, running

GIVEN = Given(bank="khan", format="khan.json", account=ACCOUNT, currency="MNT")
LINES = running((50_000, "Төлбөр order-1001"), (-1_500, "Шимтгэл"), (30_000, "ORDER 1002"))

FORMATS: list[tuple[Callable[..., Path], str, str]] = [
    (written.khan_json, "a.json", "khan"),
    (written.golomt_json, "a.json", "golomt"),
    (written.tdb_json, "a.json", "tdb"),
    (written.export_csv, "a.csv", "khan"),
    (written.export_xlsx, "a.xlsx", "golomt"),
    (written.generic_csv, "a.csv", "generic"),
]


def read(path: Path, bank: str = "khan", **said: Any) -> list[StatementLine | UnreadableLine]:
    return list(open_statement(path, bank=bank, **{"account": ACCOUNT, **said}).lines())


@pytest.mark.parametrize(("write", "name", "bank"), FORMATS)
def test_a_line_is_the_same_line_in_every_format(
    tmp_path: Path, write: Callable[..., Path], name: str, bank: str
) -> None:
    lines = read(write(tmp_path / name, LINES), bank)

    assert [
        (line.account, line.posted_at, line.direction, line.amount, line.description, line.timed)
        for line in lines
        if isinstance(line, StatementLine)
    ] == [
        (
            ACCOUNT,
            datetime(2026, 11, 22, 4, number, tzinfo=UTC),
            Direction.DEBIT if said.amount < 0 else Direction.CREDIT,
            money(abs(said.amount), currency="MNT"),
            said.description,
            True,
        )
        for number, said in enumerate(LINES, start=1)
    ]
    balances = {line.balance for line in lines if isinstance(line, StatementLine)}
    assert balances == ({None} if bank == "tdb" else {money(said.balance, currency="MNT") for said in LINES})


def the_key_of(line: StatementLine) -> str:
    group = Group(
        account=line.account,
        posted_on=line.posted_on,
        direction=line.direction,
        amount_minor=minor_units(line.amount),
        currency=line.amount.currency.code,
    )
    balance_minor = None if line.balance is None else minor_units(line.balance)
    return key_of(group, balance_minor=balance_minor, occurrence=1)


def test_a_key_is_the_same_in_every_format_that_tells_balances(tmp_path: Path) -> None:
    keys = [
        [
            the_key_of(line)
            for line in read(write(tmp_path / f"{bank}-{name}", LINES), bank)
            if isinstance(line, StatementLine)
        ]
        for write, name, bank in FORMATS
        if bank != "tdb"
    ]

    assert all(one == keys[0] for one in keys)


@pytest.mark.parametrize(
    "text", ["5012345678", "0005012345678", "50 1234 5678", "MN12 0005 0050 1234 5678", "mn120005005012345678"]
)
def test_an_account_is_the_same_however_it_is_written(text: str) -> None:
    assert account_of(text) == ACCOUNT


@pytest.mark.parametrize(
    ("text", "day", "clock"),
    [
        ("2026-11-22", "2026-11-22", None),
        ("2026.11.22 9:05", "2026-11-22", "09:05:00"),
        ("20261122", "2026-11-22", None),
        ("2026-11-22T23:30:00Z", "2026-11-23", "07:30:00"),
        ("2026-11-22 10:00:00+08:00", "2026-11-22", "10:00:00"),
    ],
)
def test_days_and_times_are_those_of_ulaanbaatar(text: str, day: str, clock: str | None) -> None:
    moment = read_moment(text)

    assert (str(moment.day), moment.clock and str(moment.clock)) == (day, clock)


@pytest.mark.parametrize(
    "text", ["22/11/2026", "2026-13-01", "2026-02-30", "1999-12-31", "2026-11-22 25:00", "", "x", "2026-11.22"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"date|day|far|time"):
        read_moment(text)


@pytest.mark.parametrize(("text", "clock"), [("90503", "09:05:03"), ("143000", "14:30:00"), ("18:24", "18:24:00")])
def test_a_clock_may_have_lost_its_zero(text: str, clock: str) -> None:
    assert str(read_clock(text)) == clock


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1,234,567.89", "1234567.89"),
        ("-50 000.00", "-50000.00"),
        (" - 1\u00a0234\u202f567.5 MNT ", "-1234567.5"),
        ("₮ 5", "5.0"),
        (1234567.89, "1234567.89"),
        ("50000₮", "50000.0"),
    ],
)
def test_numbers_are_read_exactly(value: object, number: str) -> None:
    assert str(read_number(value)) == number


@pytest.mark.parametrize(
    "value",
    [
        "1,23",
        "12,34,567",
        "12 34 567",
        "1 2345",
        "5 000 0",
        "5 00",
        "100 000 000 00",
        "1.2.3",
        "",
        None,
        True,
        "NaN",
        "1e5",
        "٣",
        "--5",
    ],
)
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        read_number(value)


def test_more_than_mongo_is_refused_and_never_rounded(tmp_path: Path) -> None:
    path = written.khan_json(tmp_path / "a.json", LINES)
    path.write_text(
        path.read_text(encoding="utf-8").replace('"amount": 50000', '"amount": 50000.001'), encoding="utf-8"
    )

    first, *_ = read(path)

    assert isinstance(first, UnreadableLine)
    assert "finer" in first.reason


# --- Files that are no statements ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b'{"account":"5012345678","transactions":[{"record":1', "no whole JSON"),
        ("a.json", b"<html>", "no whole JSON"),
        ("a.json", b'{"transactions":[NaN]}', "no whole JSON"),
        ("a.json", b"{}", "no list of lines"),
        ("a.json", b"\xff\xfe\x00", "JSON"),
        ("a.json", b"[" * 5_000, "deeper"),
        ("a.json", b'{"transactions":[{"a":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}]}", "deeper"),
        ("a.csv", b"", r"missing date [^;]*; credit [^;]*; debit [^;]*; description [^;]*$"),
        ("a.csv", b"x" * (2**20 + 1), "a line of more than"),
        ("a.csv", b"a,b\n1,2\n", "missing"),
        ("a.csv", "Огноо,Орлого".encode("cp1251"), "cp1251"),
        ("a.xlsx", b"PK\x03\x04 no zip", "no XLSX"),
        ("a.txt", b"", "--format"),
    ],
)
def test_a_file_that_is_no_statement_is_one_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(StatementFileError, match=says):
        read(path)


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    path = written.export_csv(tmp_path / "a.csv", LINES)
    statement = open_statement(path, bank="khan", account=ACCOUNT)
    path.unlink()

    with pytest.raises(StatementFileError, match="cannot be read: No such file"):
        read(path)
    with pytest.raises(StatementFileError, match="cannot be read: No such file"):
        list(statement.lines())


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 64])
def test_brackets_in_texts_are_not_lists_wherever_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(json_objects, "_CHUNK_BYTES", chunk_bytes)
    said = "[" * 40 + r" \" \\" + "{" * 40 + "\\"

    (line,) = read(written.khan_json(tmp_path / "a.json", running((1, said))))

    assert isinstance(line, StatementLine)
    assert line.description == said


def test_what_no_database_holds_is_replaced_and_what_is_long_is_cut(tmp_path: Path) -> None:
    said = running((1, "a\0b"), (2, "c" * 200_000), (3, "d"))
    path = written.khan_json(tmp_path / "a.json", said)
    path.write_text(path.read_text(encoding="utf-8").replace('"d"', r'"\ud800"'), encoding="utf-8")

    lines = [line for line in read(path) if isinstance(line, StatementLine)]

    assert [line.description[:3] for line in lines] == ["a b", "ccc", "?"]
    assert [line.raw["description"] for line in lines] == ["a\ufffdb", "c" * 1_000, "?"]


def test_a_quote_that_nobody_closed_is_told_and_hides_no_row(tmp_path: Path) -> None:
    path = written.generic_csv(tmp_path / "a.csv", running((1, "a"), (2, "b"), (3, "c")))
    path.write_text(path.read_text(encoding="utf-8").replace(",b,", ',"b,'), encoding="utf-8")

    line, other = read(path, "generic")

    assert isinstance(line, StatementLine)
    assert isinstance(other, UnreadableLine)
    assert (other.number, "a quote is opened and not closed" in other.reason) == (3, True)


def test_a_description_of_several_lines_is_one_description(tmp_path: Path) -> None:
    lines = read(written.generic_csv(tmp_path / "a.csv", running((1, "a\nb, c"), (2, "d"))), "generic")

    assert [getattr(line, "description", None) for line in lines] == ["a b, c", "d"]


@pytest.mark.parametrize(("write", "name", "bank"), [FORMATS[0], FORMATS[5]])
def test_a_file_of_one_account_is_not_read_as_anothers(
    tmp_path: Path, write: Callable[..., Path], name: str, bank: str
) -> None:
    path = write(tmp_path / name, LINES)

    assert len(read(path, bank, account="MN00 0005 00" + ACCOUNT)) == len(LINES), "written otherwise"
    try:
        found = read(path, bank, account="9999999999")
    except StatementFileError as error:
        assert "is of the account 5012345678" in str(error)  # noqa: PT017 - JSON tells it once, a table in each line
    else:
        assert [getattr(line, "reason", "") for line in found] == [
            "the line is of the account 5012345678, not of 9999999999"
        ] * len(LINES)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = written.export_xlsx(tmp_path / "a.xlsx", LINES)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image1.xml", b"0" * (80 * 2**20))

    with pytest.raises(StatementFileError, match="unpacks to more"):
        read(path)


def test_a_row_that_calls_itself_the_two_billionth_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx_rows, "ROWS_MAX", 1_000)
    path, far = written.export_xlsx(tmp_path / "a.xlsx", LINES), tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(far, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.startswith("xl/worksheets/"):
                content = content.replace(b"</sheetData>", b'<row r="2000000000"><c><v>1</v></c></row></sheetData>')
            new.writestr(entry.filename, content)

    with pytest.raises(StatementFileError, match="1,000 rows"):
        read(far)


def test_entities_of_xml_are_not_expanded(tmp_path: Path) -> None:
    path = written.export_xlsx(tmp_path / "a.xlsx", LINES)
    bomb = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bomb, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.startswith("xl/worksheets/"):
                content = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + content.split(b"?>", 1)[-1]
            new.writestr(entry.filename, content)

    with pytest.raises(StatementFileError, match="no XLSX"):
        read(bomb)


def test_the_account_must_be_told(tmp_path: Path) -> None:
    with pytest.raises(StatementFileError, match="--account"):
        read(written.export_csv(tmp_path / "a.csv", LINES), account=None)


# --- A mapping of one's own ----------------------------------------------------------------------------------------

XAC = """
bank = "xac"
encoding = "cp1251"
delimiter = ";"
decimal = ","
thousands = "."
date_formats = ["%d.%m.%Y %H:%M"]

[columns]
date = "Date"
amount = "Sum"
direction = "CD"
description = "Text"
"""


def test_a_mapping_reads_any_banks_table(tmp_path: Path) -> None:
    mapping = tmp_path / "xac.toml"
    mapping.write_text(XAC, encoding="utf-8")
    path = tmp_path / "a.csv"
    path.write_bytes("Date;Sum;CD;Text\n22.11.2026 14:30;1.234,50;C;Орлого\n22.11.2026 14:31;10;x;?\n".encode("cp1251"))

    line, other = read(path, "xac", mapping_path=mapping)

    assert isinstance(line, StatementLine)
    assert (line.amount, line.posted_at) == (
        money("1234.50", currency="MNT"),
        datetime(2026, 11, 22, 6, 30, tzinfo=UTC),
    )
    assert isinstance(other, UnreadableLine)
    assert (other.number, other.reason) == (3, "the direction is 'x', none of the words for credit and debit")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x", "not TOML"),
        ('[columns]\ndate = "a"\ndescription = "b"', "amount, or credit and debit"),
        ('colour = "red"\n[columns]\ndate = "a"\namount = "b"\ndescription = "c"', "colour"),
        ('date_formats = ["%Y"]\n[columns]\ndate = "a"\namount = "b"\ndescription = "c"', "no day"),
    ],
)
def test_a_mapping_that_is_wrong_says_where(tmp_path: Path, content: str, says: str) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(content, encoding="utf-8")

    with pytest.raises(StatementFileError, match=says):
        read(written.export_csv(tmp_path / "a.csv", LINES), mapping_path=mapping)


def test_dates_and_numbers_of_a_spreadsheet_are_taken_as_they_are(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["Огноо", "Зарлага", "Орлого", "Үлдэгдэл", "Гүйлгээний утга"])
    book.active.append([NOON, None, 1234567.89, 0.1, "order-1001"])
    book.save(tmp_path / "a.xlsx")

    (line,) = read(tmp_path / "a.xlsx")

    assert isinstance(line, StatementLine)
    assert (str(line.amount.amount), str(line.balance.amount if line.balance else "")) == ("1234567.89", "0.1")
    assert line.posted_at == datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


# --- Attacked ------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text(max_size=40, alphabet=st.characters() | st.sampled_from(["\0", "\ud800"]))
    | st.sampled_from(["2026-11-22", "143000", "Credit", "100.00", "-5", "MNT", "USD", "XXX"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
FIELDS: dict[Any, tuple[str, ...]] = {
    khan.read: ("amount", "tranDate", "time", "balance", "debit", "credit", "correction", "description", "record"),
    golomt.read: ("tranAmount", "drOrCr", "tranDate", "tranPostedDate", "tranCrnCode", "balance", "tranId", "accNum"),
    tdb.read: ("Amt", "Ccy", "TxDt", "TxTime", "NtryRef", "TxAddInf", "CtAcct", "CdtDbtInd"),
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(FIELDS)), st.data())
def test_no_row_of_json_does_more_than_be_refused(reader: Any, data: st.DataObject) -> None:
    row = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[reader], json_values)))
    try:
        line = reader(row, number=1, given=GIVEN)
    except (ValueError, ArithmeticError):
        return

    assert line.amount.amount > 0
    assert line.description.isprintable()
    assert b"\\u0000" not in json.dumps(line.raw, ensure_ascii=False).encode(), "PostgreSQL takes it"
    the_key_of(line)


def test_a_number_beyond_a_doubles_range_is_kept_as_json_can_say_it(tmp_path: Path) -> None:
    book, path, far = openpyxl.Workbook(), tmp_path / "a.xlsx", tmp_path / "b.xlsx"
    for row in written.table_rows(LINES[:1]):
        book.worksheets[0].append(row)
    book.worksheets[0].cell(row=4, column=9, value=123456.5)
    book.save(path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(far, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry).replace(b"123456.5", b"1e999"))

    (line,) = read(far)

    assert isinstance(line, StatementLine)
    assert '"inf"' in json.dumps(line.raw, allow_nan=False)


def test_a_files_name_can_be_kept_whatever_its_bytes(tmp_path: Path) -> None:
    path = written.khan_json(tmp_path / os.fsdecode(b"caf\xe9.json"), LINES)

    assert open_statement(path, bank="khan").name == "caf\ufffd.json"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["json", "csv", "xlsx"]), st.booleans())
def test_no_bytes_do_more_than_be_refused(tmp_path: Path, content: bytes, suffix: str, appended: bool) -> None:
    path = tmp_path / f"attack.{suffix}"
    whole = written.generic_csv(tmp_path / "whole.csv", LINES).read_bytes() if suffix == "csv" and appended else b""
    path.write_bytes(whole + content)
    try:
        lines = read(path, "generic" if suffix != "json" else "khan")
    except StatementFileError:
        return

    assert all(isinstance(line, StatementLine | UnreadableLine) for line in lines)
