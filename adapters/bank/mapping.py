"""Which column of a table holds what: a small TOML file, one for each bank's export, or the merchant's own."""

import tomllib
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from domain.statement import StatementFileError

MAPPING_MAX_BYTES = 65_536

_Text = Annotated[str, Field(min_length=1, max_length=100)]


def _names(given: object) -> object:
    return (given,) if isinstance(given, str) else given


def _known_format(text: str) -> str:
    sample = datetime(2026, 11, 22)  # noqa: DTZ001 - a pattern is tried, no moment is meant
    try:
        datetime.strptime(sample.strftime(text), text)  # noqa: DTZ007 - likewise
    except ValueError:
        raise ValueError(f"{text!r} is no pattern of a date such as %d.%m.%Y") from None
    if not all(part in text for part in ("%d", "%m")):
        raise ValueError(f"{text!r} has no day or no month")
    return text


Names = Annotated[tuple[_Text, ...], BeforeValidator(_names), Field(min_length=1, max_length=20)]
"""A column's heading, or several that it may have."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Strict):
    """The headings. Either `amount`, signed or with a `direction`, or `credit` and `debit`."""

    date: Names
    time: Names | None = None
    amount: Names | None = None
    direction: Names | None = None
    credit: Names | None = None
    debit: Names | None = None
    balance: Names | None = None
    description: Names
    counterparty_account: Names | None = None
    counterparty_name: Names | None = None
    reference: Names | None = None
    """One that no two lines share; leave it out otherwise."""
    currency: Names | None = None
    account: Names | None = None

    @model_validator(mode="after")
    def _says_how_much(self) -> "Columns":
        if (self.amount is None) == (self.credit is None and self.debit is None):
            raise ValueError("columns should have either amount, or credit and debit")
        return self


class Mapping(_Strict):
    """How a table is read. Headings are compared without case and blanks at their ends."""

    bank: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,19}$")] | None = None
    account: _Text | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "MNT"
    encoding: Annotated[str, Field(pattern="^(utf-8|utf-16|cp1251)$")] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    decimal: Annotated[str, Field(pattern="^[.,]$")] = "."
    thousands: Annotated[str, Field(pattern="^[., ']?$")] = ","
    date_formats: Annotated[tuple[Annotated[_Text, AfterValidator(_known_format)], ...], Field(max_length=10)] = ()
    sheet: _Text | None = None
    credit_words: tuple[_Text, ...] = ("C", "CR", "Credit", "Орлого")
    debit_words: tuple[_Text, ...] = ("D", "DR", "Debit", "Зарлага")
    footers: tuple[_Text, ...] = ()
    """How lines begin that are none, such as totals."""
    columns: Columns

    @model_validator(mode="after")
    def _marks_differ(self) -> "Mapping":
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands should not be the same")
        return self


def built_in(bank: str) -> Mapping | None:
    """Return what is known of a bank's own export; None for banks of which nothing is."""
    file = files("adapters.bank") / "mappings" / f"{bank}.toml"
    return _parse(file.read_bytes(), called=f"the mapping of {bank}") if file.is_file() else None


def read_mapping(path: Path) -> tuple[Mapping, str]:
    """Read a merchant's own mapping, and what tells it from others.

    Raises:
        StatementFileError: it is none; the message says what is wrong where.

    """
    with path.open("rb") as file:
        content = file.read(MAPPING_MAX_BYTES + 1)
    if len(content) > MAPPING_MAX_BYTES:
        raise StatementFileError("the mapping is too long to be one")
    return _parse(content, called="the mapping"), sha256(content).hexdigest()[:8]


def _parse(content: bytes, *, called: str) -> Mapping:
    try:
        return Mapping.model_validate(tomllib.loads(content.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StatementFileError(f"{called} is not TOML in UTF-8: {error}") from None
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        where: Sequence[object] = first["loc"]
        name = ".".join(str(part) for part in where if not isinstance(part, int)) or "it"
        raise StatementFileError(f"{called} is wrong at {name}: {first['msg']}") from None
