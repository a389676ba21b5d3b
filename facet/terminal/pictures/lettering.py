"""Draws a line of text in any script on a picture."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, features

from facet.terminal.pictures import fonts

_SHAPES = features.check("raqm")
"""Whether this Pillow shapes scripts and orders directions, with HarfBuzz and FriBidi, as its wheels do."""
_RIGHT_TO_LEFT = frozenset({"R", "AL"})


def is_drawable(text: str) -> bool:
    """Whether there are fonts for all of a text."""
    return all(path is not None for path, _ in fonts.runs(text))


@lru_cache(256)
def lettered(text: str, size: int) -> NDArray[np.uint8]:
    """Draw a text, white on black.

    The text is shaped, and ordered by the Unicode bidirectional algorithm within each font. Parts in several fonts are
    ordered by their own direction and that of the first letter.

    Args:
        text: one line; characters without a font are drawn as boxes.
        size: height of the letters, pixels.

    Returns:
        Coverage, 0 to 255, ``(h, w)``, with all marks above and below the letters.
    """
    to_left = _direction(text) == "rtl"
    default = fonts.runs("a")[0][0]
    parts = [(path or default, part) for path, part in fonts.runs(text)]
    base = "rtl" if to_left else "ltr"
    pieces = [_piece(path, part, size, _direction(part) or base) for path, part in _ordered(parts, to_left)]
    top = max(above for _, above in pieces)
    bottom = max(piece.shape[0] - above for piece, above in pieces)
    canvas = np.zeros((top + bottom, sum(piece.shape[1] for piece, _ in pieces)), np.uint8)
    x = 0
    for piece, above in pieces:
        height, width = piece.shape
        canvas[top - above : top - above + height, x : x + width] = piece
        x += width
    return canvas


def _piece(path: Path | None, text: str, size: int, direction: str) -> tuple[NDArray[np.uint8], int]:
    """A part in one font, and the pixels of it above the baseline."""
    font = fonts.font(path, size)
    draw = ImageDraw.Draw(Image.new("L", (1, 1)))
    given = direction if _SHAPES else None
    left, top, right, bottom = draw.textbbox((0, 0), text, font, anchor="ls", direction=given)
    width = max(round(draw.textlength(text, font, direction=given)), round(right - min(0, left)), 1)
    above, below = max(1, -int(top)), max(1, int(bottom))
    picture = Image.new("L", (width, above + below))
    ImageDraw.Draw(picture).text((max(0, -left), above), text, 255, font, anchor="ls", direction=given)
    return np.asarray(picture), above


def _ordered(parts: list[tuple[Path | None, str]], to_left: bool) -> list[tuple[Path | None, str]]:
    """Order parts from left to right: those that run to the left are reversed, and so are the groups of such a line."""
    groups: list[tuple[bool, list[tuple[Path | None, str]]]] = []
    for part in parts:
        direction = _direction(part[1])
        leftward = to_left if direction is None else direction == "rtl"
        if groups and groups[-1][0] == leftward:
            groups[-1][1].append(part)
        else:
            groups.append((leftward, [part]))
    lines = [group[::-1] if leftward else group for leftward, group in groups]
    return [part for line in (lines[::-1] if to_left else lines) for part in line]


def _direction(text: str) -> str | None:
    """The direction of the first letter; ``None`` if there is none."""
    for each in text:
        kind = unicodedata.bidirectional(each)
        if kind == "L":
            return "ltr"
        if kind in _RIGHT_TO_LEFT:
            return "rtl"
    return None
