"""Ids and names as galleries keep them: a server refuses all others before a gallery sees them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from gallery import names


def accepted_by(rule: Callable[[str], str], texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts as a server keeps them that were sent in any form."""

    def is_accepted(value: str) -> bool:
        try:
            rule(value)
        except names.InvalidName:
            return False
        return True

    return texts.filter(is_accepted).map(rule)


characters = st.characters(exclude_categories=["C", "Zl", "Zp"], include_characters="\u200c\u200d")
longer_or_shorter_in_nfc = st.lists(st.sampled_from(["\u0958", "\u1100\u1161", "e\u0301", "\u212b"]), max_size=300)
ids = accepted_by(names.identifier, st.text(characters, max_size=20) | longer_or_shorter_in_nfc.map("".join))
display_names = accepted_by(
    names.display_name, st.text(characters, max_size=20) | longer_or_shorter_in_nfc.map("".join)
)
