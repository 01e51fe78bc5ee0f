"""Which invoices a payer may mean: references in what they wrote, in Latin or Cyrillic, with blanks or without."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

WORDS_MAX = 12
"""How many words in a row may be one reference, written with blanks or dashes between: a UUID has five."""

TEXT_MAX_CHARS = 500
"""Of a longer description the rest is not read."""

TELLING_MIN_CHARS = 4
"""A shorter id is found in too many texts: 1A is a flat as well."""

TEXTS_REMEMBERED = 4_096
"""The lines of a batch are looked at several times."""

_REFERENCE_MAX_CHARS = 40

_LOOK_ALIKES = str.maketrans("АВЕКМНОРСТУХІЅЈҮ", "ABEKMHOPCTYXISJY")  # noqa: RUF001 - that is what they are
"""Cyrillic capitals that are drawn as Latin ones: a keyboard that was not switched."""

_DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d-"
_APART = re.compile(rf"[\s{re.escape(_DASHES)}]+")
_WORD = re.compile(r"[^\W_]+")
_LAST_WORD = re.compile(r"[^\W_]+\Z")
_PLAIN = re.compile(r"[A-Z0-9]+", re.ASCII)

_UNDOING = re.compile(
    r"\b(reversal|reversed|refund(ed)?|chargeback|correction|storno|сторно"
    r"|буцаа(лт|х|н|сан)?|залруул(га|ах|сан)?|цуцлалт)\b",  # noqa: RUF001 - Mongolian
    re.IGNORECASE,
)


def folded(invoice_id: str) -> str:
    """Return an invoice's id as references are compared: capitals, without dashes. Two ids may be the same so."""
    return invoice_id.upper().replace("-", "")


@lru_cache(maxsize=TEXTS_REMEMBERED)
def is_telling(reference: str) -> bool:
    """Tell whether a folded reference is enough to name an invoice: digits alone are not, nor are letters."""
    has_digit = any(character.isdigit() for character in reference)
    has_letter = any(character.isalpha() for character in reference)
    return has_digit and has_letter and len(reference) >= TELLING_MIN_CHARS


@lru_cache(maxsize=TEXTS_REMEMBERED)
def references_in(text: str) -> frozenset[str]:
    """Return everything in a text that could be a folded invoice id: whole words, and words in a row put together.

    Words in a row have only blanks and dashes between them. Letters in capitals, Cyrillic look-alikes as Latin ones.
    """
    found = set()
    for run in _runs(text):
        for start in range(len(run)):
            reference = ""
            for word in run[start : start + WORDS_MAX]:
                reference += word
                if len(reference) > _REFERENCE_MAX_CHARS:
                    break
                found.add(reference)
    return frozenset(found)


@lru_cache(maxsize=TEXTS_REMEMBERED)
def words_in(text: str) -> frozenset[str]:
    """Return the single words of a text, folded, of letters and digits that an id may have."""
    return frozenset(word for run in _runs(text) for word in run)


@lru_cache(maxsize=TEXTS_REMEMBERED)
def says_it_undoes(text: str) -> bool:
    """Tell whether a description calls its line a reversal, a refund or a correction."""
    return _UNDOING.search(text[:TEXT_MAX_CHARS]) is not None


def _runs(text: str) -> Iterator[list[str]]:
    """Yield words that stand in a row; a word that no id can hold, and any other sign, ends a row."""
    said = text[:TEXT_MAX_CHARS].replace("№", " ")  # NFKC makes letters of it
    if len(text) > TEXT_MAX_CHARS:
        said = _LAST_WORD.sub("", said)  # its end may be cut off: another invoice's id
    capitals = unicodedata.normalize("NFKC", said).upper().translate(_LOOK_ALIKES)
    run: list[str] = []
    end = 0
    for word in _WORD.finditer(capitals):
        between = capitals[end : word.start()]
        if run and between and not _APART.fullmatch(between):
            yield run
            run = []
        end = word.end()
        if _PLAIN.fullmatch(word[0]):
            run.append(word[0])
        elif run:
            yield run
            run = []
    if run:
        yield run
