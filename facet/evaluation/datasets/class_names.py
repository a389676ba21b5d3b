"""Class names as YOLO training sets have them: a data.yaml, or a text file with one name per line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from facet.evaluation.datasets.labels import LabelError, read_text

_YAML = (".yaml", ".yml")
_NAMES = re.compile(r"names\s*:\s*(?P<rest>.*)")
_ITEM = re.compile(
    r"""\s*(?:(?P<place>\d+)\s*:\s+|-\s+)?(?P<name>'(?:[^']|'')*'|"[^"\\]*"|[^,'"\[\]{}#][^,\[\]{}#]*)\s*"""
)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names, ordered by class number.

    Understands the subset of YAML that such files use: below ``names:`` a list, or a mapping from numbers that start
    at 0, in brackets or one entry per line.

    Raises:
        LabelError: there are no names, or they are malformed; the message says where.
    """
    text = read_text(path)
    if path.suffix.lower() in _YAML:
        names = tuple(_yaml_names(path, text.splitlines()))
    else:
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise LabelError(path, None, "names no classes")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LabelError(path, None, f"names {', '.join(twice)} twice")
    return names


def _yaml_names(path: Path, lines: list[str]) -> Iterator[str]:
    starts = [at for at, line in enumerate(lines) if _NAMES.fullmatch(line.rstrip())]
    if not starts:
        raise LabelError(path, None, "has no 'names:'")
    for expected, (line, item) in enumerate(_items(lines, starts[0])):
        found = _ITEM.fullmatch(item)
        if found is None or (found["place"] is not None and found["place"].lstrip("0") != str(expected or "")):
            raise LabelError(path, line, f"expected the name of class {expected}, found {item.strip()!r}")
        yield _unquoted(found["name"].strip())


def _items(lines: list[str], start: int) -> Iterator[tuple[int, str]]:
    """The entries below ``names:``, each with its line number."""
    found = _NAMES.fullmatch(lines[start].rstrip())
    rest = _uncommented(found["rest"]) if found else ""
    if rest[:1] in ("[", "{"):
        for at, line in enumerate([rest[1:], *map(_uncommented, lines[start + 1 :])], start + 1):
            inside, closed, _ = re.sub(r"[\]}]", "\0", line).partition("\0")
            yield from ((at, item) for item in inside.split(",") if item.strip())
            if closed:
                return
        return
    for at, line in enumerate(map(_uncommented, lines[start + 1 :]), start + 2):
        if line and not line.startswith((" ", "\t", "-")):
            return
        if line.strip():
            yield at, line


def _uncommented(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line).rstrip()


def _unquoted(name: str) -> str:
    quote = name[:1]
    return name[1:-1].replace("''", "'") if quote in ("'", '"') else name
