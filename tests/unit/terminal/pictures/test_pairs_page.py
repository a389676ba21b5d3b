"""The page that shows pairs of faces."""

from __future__ import annotations

from facet.terminal.pictures.pairs_page import Figures, Pair, Section, Side, png, render


def test_both_faces_and_what_is_known_of_them_are_on_the_page() -> None:
    left = Side("ann", ["template 7"], png(b"\x89PNG"))
    pair = Pair(left, Side("bob"), [("similarity", "0.61")], [("facet people show ann", "see her pictures")])
    page = render("Suspects", ["One pair."], [Section("Are they one person?", "Look.", [pair])])
    assert page.index("ann") < page.index("template 7") < page.index("bob") < page.index("0.61")
    assert page.count("data:image/png;base64,iVBORw==") == 1
    assert page.count("no picture stored") == 1
    assert "facet people show ann" in page


def test_a_name_cannot_add_to_the_page_or_turn_its_text_around() -> None:
    evil = '<script>alert(1)</script>"\u202e'
    pair = Pair(Side(evil, [evil], png(b"x")), Side(evil), [(evil, evil)], [(evil, evil)])
    page = render(evil, [evil], [Section(evil, evil, [pair])])
    assert "<script" not in page
    assert "\u202e" not in page
    assert 'alt="&lt;script&gt;' in page


def test_a_section_without_pairs_is_left_out() -> None:
    page = render("Suspects", ["None."], [Section("Are they one person?", "Look.", [])])
    assert "None." in page
    assert "Are they one person?" not in page


def test_tables_come_before_the_pairs_and_their_cells_cannot_add_to_the_page() -> None:
    figures = Figures("Decisions", "Of all faces.", ("model", "<b>"), [("old", "<script>"), ("new", "7")])
    pair = Pair(Side("ann"), Side("bob"))
    page = render("Shadow", [], [Section("They differ", "Look.", [pair])], figures=[figures])
    assert page.index("Decisions") < page.index("Of all faces.") < page.index("new") < page.index("They differ")
    assert page.count("<td>") == 4
    assert "<script" not in page
