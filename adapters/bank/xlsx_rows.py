"""The rows of an XLSX file, one at a time. The file comes from anywhere: what it unpacks to is bounded first."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

import openpyxl
from defusedxml import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException

from adapters.bank.mapping import Mapping
from adapters.bank.table import Row
from domain.statement import StatementFileError

ENTRIES_MAX = 1_000
UNPACKED_MAX_BYTES = 512 * 2**20
IN_MEMORY_MAX_BYTES = 64 * 2**20
"""Of each part but the sheets, which alone are read a row at a time: the strings of all cells, the styles."""

RATIO_MAX = 250
"""A sheet packs to a tenth or a thirtieth; what packs to a thousandth is made to fill memory."""

COLUMNS_MAX = 100

ROWS_MAX = 1_048_576
"""A spreadsheet has no more. A row may say any number of itself, and all those before it would be yielded, empty."""


def rows_of(path: Path, *, mapping: Mapping) -> Iterator[Row]:
    """Yield the rows of the sheet that the mapping names, else of the first. Formulas give the value last computed.

    Raises:
        StatementFileError: it is no XLSX, has no such sheet, or unpacks to more than is sound.

    """
    with _told():
        _require_sound(path)
        if not openpyxl.DEFUSEDXML:
            raise StatementFileError("XLSX is not read without defusedxml")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and dates: nobody reads them in a terminal
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
            try:
                if mapping.sheet is not None and mapping.sheet not in book.sheetnames:
                    raise StatementFileError(
                        f"there is no sheet {mapping.sheet}; there are {', '.join(book.sheetnames)}"
                    )
                sheet = book[mapping.sheet] if mapping.sheet else book.worksheets[0]
                sheet.reset_dimensions()
                for number, cells in enumerate(sheet.iter_rows(values_only=True, max_col=COLUMNS_MAX), start=1):
                    if number > ROWS_MAX:
                        raise StatementFileError(f"the sheet has more than {ROWS_MAX:,} rows")
                    yield Row(number=number, cells=cells)
            finally:
                book.close()


def _require_sound(path: Path) -> None:
    """Refuse an archive that is made to fill memory; it is unpacked to no more than it says."""
    with ZipFile(path) as archive:
        entries = archive.infolist()
    if len(entries) > ENTRIES_MAX or sum(entry.file_size for entry in entries) > UNPACKED_MAX_BYTES:
        raise StatementFileError("the file unpacks to more than a statement can be")
    for entry in entries:
        is_sheet = entry.filename.startswith("xl/worksheets/")
        if entry.file_size > IN_MEMORY_MAX_BYTES and not is_sheet:
            raise StatementFileError("the file unpacks to more than a statement can be")
        if entry.file_size > 2**20 and entry.file_size > RATIO_MAX * max(1, entry.compress_size):
            raise StatementFileError("the file is packed tighter than a statement can be")


@contextmanager
def _told() -> Iterator[None]:
    """Say in our own words what is wrong with the file: openpyxl raises whatever it stumbles over."""
    try:
        yield
    except (
        BadZipFile,
        InvalidFileException,
        ParseError,
        DefusedXmlException,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        EOFError,
        OverflowError,
    ) as error:
        raise StatementFileError(f"the file is no XLSX that can be read ({type(error).__name__})") from None
