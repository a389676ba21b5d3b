"""Tables at 80 columns."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console

from facet.terminal import tables
from facet.terminal.tables import Shortened

PATH = "/archive/2024/" + "holiday/" * 12 + "picture.jpg"


def printed(renderable: object, width: int = 80) -> list[str]:
    console = Console(width=width, soft_wrap=True)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_long_path_loses_its_beginning_and_keeps_its_name() -> None:
    table = tables.table("picture", "why")
    table.add_row(Shortened(PATH), "several faces")
    row = printed(table)[-1]
    assert len(row) <= 80
    assert row.startswith("\u2026")
    assert "holiday/picture.jpg  several faces" in row


def test_a_short_path_stays_as_it_is() -> None:
    table = tables.table("picture", "why")
    table.add_row(Shortened("photos/a.jpg"), "no face")
    assert printed(table)[-1] == "photos/a.jpg  no face"


def test_wide_characters_count_as_two_columns() -> None:
    table = tables.table("picture")
    table.add_row(Shortened("\u5199\u771f" * 40))
    (row,) = printed(table)[2:]
    assert cell_len(row) in (79, 80)
    assert row.endswith("\u5199\u771f")


def test_a_title_is_one_line_however_long() -> None:
    table = tables.table("figure", title=PATH)
    table.add_row("1")
    assert printed(table)[0] == PATH


def test_figures_are_never_broken_while_text_can_wrap() -> None:
    table = tables.table("what it says", tables.number("value"), tables.whole("box"))
    table.add_row("one word after another " * 10, "0.123456", "1040,221,1086,276")
    rows = printed(table, width=60)
    assert max(map(len, rows)) <= 60
    assert any("0.123456  1040,221,1086,276" in row for row in rows)


def test_a_listing_has_no_headings() -> None:
    table = tables.listing("the server")
    table.add_row("ready after", "1 s")
    assert printed(table) == ["the server", "ready after  1 s"]
