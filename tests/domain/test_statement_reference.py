"""A reference is found as payers write it, and never where they wrote something else."""
# ruff: noqa: RUF001 - Mongolian is written in Cyrillic

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.statement_reference import TEXT_MAX_CHARS, folded, is_telling, references_in, says_it_undoes

LATIN, CYRILLIC = "ABEKMHOPCTYX", "АВЕКМНОРСТУХ"

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}", fullmatch=True).filter(lambda id_: not id_.endswith("-g1"))
SEPARATORS = ("-", " ", "", " - ", "\u2013", "\u00a0")


def written(invoice_id: str, *, separator: str, cyrillic: bool, lower: bool) -> str:
    """An id as a payer may write it."""
    text = invoice_id.strip("-").replace("-", separator)
    text = text.lower() if lower else text.upper()
    table = str.maketrans(LATIN + LATIN.lower(), CYRILLIC + CYRILLIC.lower())
    return text.translate(table) if cyrillic and not lower else text


@given(
    invoice_id=ids,
    separator=st.sampled_from(SEPARATORS),
    cyrillic=st.booleans(),
    lower=st.booleans(),
    before=st.sampled_from(["", "төлбөр, ", "(", "Д. "]),
)
@example(invoice_id="order-1001", separator=" ", cyrillic=True, lower=False, before="Төлбөр: ")
def test_an_id_is_found_in_any_case_with_look_alikes_and_without_dashes(
    invoice_id: str, separator: str, cyrillic: bool, lower: bool, before: str
) -> None:
    parts = [part for part in invoice_id.split("-") if part]
    if len(parts) > 12:
        return

    text = f"{before}{written(invoice_id, separator=separator, cyrillic=cyrillic, lower=lower)}, баярлалаа"

    assert folded(invoice_id) in references_in(text)


@given(ids, st.sampled_from(string.ascii_letters + string.digits + "юяЖ"))
def test_an_id_inside_a_longer_word_is_none(invoice_id: str, more: str) -> None:
    plain = folded(invoice_id)

    assert plain not in references_in(f"{plain}{more}")
    assert plain not in references_in(f"{more}{plain}")


def test_a_number_sign_is_no_part_of_an_id() -> None:
    assert "ORDER1001" in references_in("Төлбөр №order-1001")


def test_an_id_that_is_cut_off_is_no_other_invoices() -> None:
    text = "order-1001".rjust(TEXT_MAX_CHARS + 1, ".")

    assert references_in(text[1:]) >= {"ORDER1001"}
    assert references_in(text) == {"ORDER"}


@given(st.text(max_size=600))
def test_no_text_breaks_the_matcher_and_what_it_finds_stands_there(text: str) -> None:
    found = references_in(text)

    assert all(reference.isascii() and reference.isalnum() and len(reference) <= 40 for reference in found)
    assert len(found) <= 500 * 12
    says_it_undoes(text)


@pytest.mark.parametrize(
    ("reference", "telling"),
    [("1001", False), ("ORDER", False), ("A1", False), ("1A2", False), ("B123", True), ("ORDER1001", True)],
)
def test_digits_alone_letters_alone_and_what_is_short_are_never_enough(reference: str, telling: bool) -> None:
    assert is_telling(reference) is telling


@pytest.mark.parametrize("text", ["Буцаалт order-1", "REVERSAL 17", "залруулга", "refund order-1", "Гүйлгээ буцаасан"])
def test_a_line_that_undoes_another_says_so(text: str) -> None:
    assert says_it_undoes(text)


@pytest.mark.parametrize("text", ["Төлбөр order-1", "Буцалт", "corrections-1", ""])
def test_other_lines_do_not(text: str) -> None:
    assert not says_it_undoes(text)
