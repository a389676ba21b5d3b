"""Counts, lists and sizes in words: "1 template", "2 templates", "a, b, c and 3 more", "12.3 kB"."""

from __future__ import annotations

_PLURALS = {
    "person": "people",
    "gallery": "galleries",
    "entry": "entries",
    "search": "searches",
    "has": "have",
    "is": "are",
    "was": "were",
}
_UNITS = ("B", "kB", "MB", "GB")
_STEP = 1000
_NAMED = 3


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, in the plural unless the count is 1; the last word of the noun changes."""
    return f"{count} {agreeing(count, noun)}"


def agreeing(count: int, word: str) -> str:
    """Write a noun, or "is" or "was", as it follows a count: the singular for 1, else the plural."""
    if count == 1:
        return word
    rest, space, last = word.rpartition(" ")
    return f"{rest}{space}{_PLURALS.get(last, f'{last}s')}"


def first(names: list[str]) -> str:
    """Write the first three names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def in_bytes(size: int) -> str:
    """Write a size in B, kB, MB or GB (powers of 1000), with a decimal from kB on."""
    if size < _STEP:
        return f"{size} B"
    value, unit = float(size), 0
    while round(value, 1) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}"
