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


REFUSED = {
    "control characters": ["\0", "a\0b", "a\nb", "a\tb", "\x7f", "a\x85b", "\x1b[31m"],
    "line or paragraph separators": ["a\u2028b", "a\u2029"],
    "embeddings, overrides or isolates of direction": ["\u202eabc", "a\u202ab\u202c", "\u2066a", "a\u2069"],
    "surrogates": ["\ud800", "a\udfffb", "\ud83d\ude00"],
    "noncharacters": ["a\uffff", "\ufdd0", "a\U0010fffe"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in REFUSED for value in REFUSED[kind]], ids=ascii)
def test_what_changes_the_text_around_a_name_is_refused_with_its_kind(kind: str, value: str) -> None:
    for rule in (names.identifier, names.display_name):
        with pytest.raises(names.InvalidName, match=f"must not have {kind}; is "):
            rule(value)
    assert names.without_refused(value) in {"", "a", "b", "ab", "abc", "[31m"}


def test_other_characters_are_taken_inside_a_name() -> None:
    """Also those that this Python's Unicode does not know, blanks of any width, and what has no shape."""
    for value in map(chr, (*range(0xA0, 0x2028, 7), 0x3000, 0xE000, 0xFEFF, 0x1FAC8, 0x10FFFD)):
        name = f"a{value}b"
        for rule in (names.identifier, names.display_name):
            assert rule(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "value", [" ", "\u3000\u00a0", "\u200b", "\u200f", "\u200d\ufe0f", "\u3164", "\u2800", "\U000e0041"]
)
def test_a_name_that_looks_empty_is_refused(value: str) -> None:
    for rule in (names.identifier, names.display_name):
        with pytest.raises(names.InvalidName, match="must have a visible character"):
            rule(value)
        assert rule(f"a{value}b")


def test_an_id_neither_begins_nor_ends_with_a_blank_or_a_joiner_but_a_virama_may_be_joined() -> None:
    for blank in " \u00a0\u3000\u200b\ufeff\u200c\u200d\u00ad":
        for value in (f"{blank}a", f"a{blank}"):
            with pytest.raises(names.InvalidName, match="begin or end"):
                names.identifier(value)
            assert names.display_name(value) == value
    joined_virama = "\u0d28\u0d4d\u200d"
    assert names.identifier(joined_virama) == joined_virama
    for mark in "\u200e\u200f\u061c":
        assert names.identifier(f"{mark}a{mark}") == f"{mark}a{mark}"


@given(st.text(max_size=300) | st.lists(st.sampled_from([LENGTHENED, SHORTENED, " ", "\u200d", "a"])).map("".join))
def test_an_accepted_text_is_accepted_again_unchanged(value: str) -> None:
    for rule in (names.identifier, names.display_name):
        try:
            kept = rule(value)
        except names.InvalidName:
            continue
        assert rule(kept) == kept == unicodedata.normalize("NFC", value)
