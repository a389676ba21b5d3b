"""A page of pairs of faces, side by side, for a person who decides whether they are one person; tables come first.

The page is one HTML file without scripts, which loads nothing. It shows people: write it with
:mod:`facet.terminal.private_files`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from facet.terminal.visible import one_line

_STYLE = """
:root { --ink: #1d1f23; --soft: #5d636d; --line: #dfe2e7; --tint: #f6f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.5rem; }
p { margin: 0.4rem 0; max-width: 44rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; margin-top: 1rem; }
.pair { border: 1px solid var(--line); border-radius: 6px; padding: 0.75rem; background: var(--tint);
  break-inside: avoid; }
.sides { display: flex; gap: 0.75rem; }
.sides > div { flex: 1 1 0; min-width: 0; }
img, .none { width: 100%; aspect-ratio: 1; border-radius: 3px; display: block; }
img { object-fit: contain; background: #e9ebef; }
.none { display: grid; place-items: center; background: #e9ebef; color: var(--soft); font-size: 0.85rem; }
.name { font-weight: 600; overflow-wrap: anywhere; margin-top: 0.4rem; }
.lines { font-size: 0.72rem; line-height: 1.35; color: var(--soft); overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: fit-content(70%) minmax(0, 1fr); gap: 0 0.8rem; margin: 0.6rem 0 0;
  font-size: 0.88rem; }
dt { overflow-wrap: anywhere; color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code { display: block; font: 0.72rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; background: #fff; border: 1px solid var(--line); border-radius: 3px;
  padding: 0.3rem 0.45rem; margin-top: 0.4rem; }
table { border-collapse: collapse; margin-top: 0.6rem; font-size: 0.88rem; }
th, td { text-align: left; padding: 0.15rem 1.2rem 0.15rem 0; vertical-align: top; overflow-wrap: anywhere; }
th { border-bottom: 1px solid var(--line); color: var(--soft); font-weight: 500; }
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One face of a pair.

    Attributes:
        name: whose it is said to be.
        lines: what else is known of it, such as its template's id.
        picture: a data URI; ``None`` if there is no picture.
    """

    name: str
    lines: Sequence[str] = ()
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two faces that may be of one person.

    Attributes:
        left: one.
        right: the other.
        facts: names and values, such as the similarity.
        commands: what to type to correct it, each with what it does.
    """

    left: Side
    right: Side
    facts: Sequence[tuple[str, str]] = ()
    commands: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """A table under a heading, with a sentence about it."""

    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """Pairs of one kind, under a heading, with a sentence about them; left out if it has no pairs."""

    title: str
    text: str
    pairs: Sequence[Pair]


def png(data: bytes) -> str | None:
    """Return a stored crop as a data URI; ``None`` if there is none."""
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii") if data else None


def render(title: str, text: Sequence[str], sections: Sequence[Section], *, figures: Sequence[Figures] = ()) -> str:
    """Render the page.

    Args:
        title: its heading.
        text: its first paragraphs.
        sections: the pairs, which come last.
        figures: tables, which come between.
    """
    return "".join(_page(title, text, figures, [section for section in sections if section.pairs]))


def _page(title: str, text: Sequence[str], figures: Sequence[Figures], sections: Sequence[Section]) -> Iterator[str]:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(one_line(title))} \u00b7 Facet</title>\n<style>{_STYLE}</style>\n</head>\n<body><main>\n"
        f"<h1>{_text(title)}</h1>\n"
    )
    for paragraph in text:
        yield f"<p>{_text(paragraph)}</p>\n"
    for each in figures:
        yield f"<section>\n<h2>{_text(each.title)}</h2>\n<p>{_text(each.text)}</p>\n<table>\n"
        yield f"<tr>{''.join(f'<th>{_text(heading)}</th>' for heading in each.columns)}</tr>\n"
        for row in each.rows:
            yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n"
        yield "</table>\n</section>\n"
    for section in sections:
        yield f'<section>\n<h2>{_text(section.title)}</h2>\n<p>{_text(section.text)}</p>\n<div class="pairs">\n'
        for pair in section.pairs:
            yield from _pair(pair)
        yield "</div>\n</section>\n"
    yield "</main></body>\n</html>\n"


def _pair(pair: Pair) -> Iterator[str]:
    yield '<div class="pair"><div class="sides">'
    for side in (pair.left, pair.right):
        picture = '<div class="none">no picture stored</div>'
        if side.picture is not None:
            picture = f'<img src="{escape(side.picture)}" alt="{escape(one_line(side.name))}">'
        lines = "".join(f"<div>{_text(line)}</div>" for line in side.lines)
        yield f'<div>{picture}<div class="name">{_text(side.name)}</div><div class="lines">{lines}</div></div>'
    yield "</div>"
    if pair.facts:
        yield f"<dl>{''.join(f'<dt>{_text(name)}</dt><dd>{_text(value)}</dd>' for name, value in pair.facts)}</dl>"
    for command, what in pair.commands:
        yield f"<code>{_text(command)}<br># {_text(what)}</code>"
    yield "</div>\n"


def _text(text: str) -> str:
    """Escape a text; the direction of a name does not reach beyond it."""
    return f"<bdi>{escape(one_line(text))}</bdi>"
