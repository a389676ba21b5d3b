"""Tables that fit a terminal of 80 columns: text wraps, numbers stay whole, paths lose their beginning first."""

from __future__ import annotations

from os import PathLike, fspath

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table

from facet.terminal.visible import one_line

_LEAST_PATH = 12
"""Cells that a path is not shortened below while another column can give way."""
_ELLIPSIS = "\u2026"


def table(*columns: str | Column, title: str = "") -> Table:
    """A table with a heading for each column.

    Args:
        columns: headings; :func:`number` and :func:`whole` make those of columns that are never broken.
        title: printed above, in one line however long it is, so that a path in it stays whole.
    """
    return Table(
        *map(_column, columns),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=title or None,
        title_justify="left",
    )


def listing(title: str = "", *, columns: int = 2) -> Table:
    """A table without headings, whose rows begin with a name."""
    made = table(whole(""), *[""] * (columns - 1), title=title)
    made.show_header = False
    return made


def number(heading: str) -> Column:
    """A column of figures: on the right, never broken."""
    return Column(heading, justify="right", no_wrap=True)


def whole(heading: str) -> Column:
    """A column of short texts that are never broken."""
    return Column(heading, no_wrap=True)


class Shortened:
    """A path or an id in a cell. If the column is too narrow, its beginning gives way to an ellipsis.

    Args:
        text: what to show.
    """

    def __init__(self, text: str | PathLike[str]) -> None:
        self._text = one_line(fspath(text))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        length = cell_len(self._text)
        return Measurement(min(length, _LEAST_PATH), length).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(_from_the_end(self._text, options.max_width))


def _from_the_end(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) >= width:
        text = text[1:]
    return _ELLIPSIS + text


def _column(column: str | Column) -> Column:
    return Column(column, overflow="fold") if isinstance(column, str) else column
