"""Names and ids are checked in the form in which they are kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery import names

LENGTHENED = "\u0958"
"""A letter of Hindi that becomes two under NFC."""
SHORTENED = "e\u0301"
"""Two code points that become one under NFC."""


@pytest.mark.parametrize(("rule", "most"), [(names.identifier, names.MAX_ID), (names.display_name, names.MAX_NAME)])
def test_the_length_is_that_of_the_normal_form(rule: Callable[[str], str], most: int) -> None:
    assert len(rule(LENGTHENED * (most // 2))) == most
    with pytest.raises(names.InvalidName, match="in Unicode normal form NFC"):
        rule(LENGTHENED * (most // 2 + 1))
    assert rule(SHORTENED * most) == "\u00e9" * most
    with pytest.raises(names.InvalidName):
        rule(SHORTENED * (most + 1))
    with pytest.raises(names.InvalidName, match=f"at most {most}"):
        rule("x" * 10_000_000)


@pytest.mark.parametrize(
    "value",
    ["\0", "a\0b", "\ud800", "\u202eabc", "\u2066a", "\u0378", "\ufeffa", "a\nb", "\x7f", "\u2028", "\ue000", "\uffff"],
    ids=ascii,
)
def test_what_is_not_printable_is_refused(value: str) -> None:
    """NUL, surrogates, controls of direction, unassigned and private characters, line breaks."""
    for rule in (names.identifier, names.display_name):
        with pytest.raises(names.InvalidName, match="unprintable"):
            rule(value)


@given(st.text(max_size=300) | st.lists(st.sampled_from([LENGTHENED, SHORTENED, " ", "\u200d", "a"])).map("".join))
def test_an_accepted_text_is_accepted_again_unchanged(value: str) -> None:
    for rule in (names.identifier, names.display_name):
        try:
            kept = rule(value)
        except names.InvalidName:
            continue
        assert rule(kept) == kept == unicodedata.normalize("NFC", value)
