"""A CSV file that is there whole or not at all, and that no spreadsheet takes for a program."""

import csv
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class FileThereError(Exception):
    """There is a file of that name, and nobody said that it may be overwritten."""


class Rows(Protocol):
    """Takes the lines of a file."""

    def writerow(self, row: Sequence[object], /) -> object:
        """Write one line."""
        ...


def safe_cell(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would calculate: it shows the text then."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


@contextmanager
def writing_csv(path: Path, *, header: Sequence[str], overwrite: bool) -> Iterator[Rows]:
    """Write a file beside its place, and put it there when the context ends well; after an error it is not there.

    UTF-8, with a header, lines end with CR LF (RFC 4180). Texts are the caller's to make safe: see `safe_cell`.

    Raises:
        FileThereError: there is one already, at the beginning or by now.
        OSError: it cannot be written there.

    """
    if not overwrite and path.exists():
        raise FileThereError
    draft = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with draft.open("x", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(header)
            yield rows
            file.flush()
            os.fsync(file.fileno())
        _put(draft, path, overwrite=overwrite)
    finally:
        draft.unlink(missing_ok=True)


def _put(draft: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        draft.replace(path)
        return
    try:
        path.hardlink_to(draft)  # fails if somebody was faster; a rename would not
    except FileExistsError:
        raise FileThereError from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileThereError from None
        draft.replace(path)
