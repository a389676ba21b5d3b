"""The packages that Facet requires and that are installed here, with the licences that they declare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from facet.runtime.extras import DISTRIBUTION

UNDECLARED = "not declared"

_CONDITIONS = (
    (r"non-?commercial|\bNC\b", "non-commercial"),
    (r"(?<!L)GPL|GNU (Affero )?General Public", "copyleft"),
    (r"LGPL|Lesser General|MPL|Mozilla|EPL|Eclipse", "copyleft of its own files"),
    (rf"^{UNDECLARED}$|^unknown", "ask its author"),
)
"""What a licence demands beyond naming its author, by words in it."""

_BUNDLED = {
    "av": "its wheel contains FFmpeg with x264 and x265 (copyleft: GPL)",
    "opencv-python-headless": "its wheel contains FFmpeg (LGPL)",
}
"""Packages whose wheels contain libraries under licences that the package does not declare."""

_LONGEST = 60
"""Characters; a longer text in the field License is a whole licence instead of its name."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """An installed package.

    Attributes:
        name: its normalised name.
        version: its version.
        license: an SPDX expression or the name of a licence, as the package declares it; :data:`UNDECLARED` if it does
            not.
        requires: the names of the installed packages that it requires here.
    """

    name: str
    version: str
    license: str
    requires: tuple[str, ...]


def extras() -> list[str]:
    """The names of Facet's extras."""
    return sorted(metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ())


def dependencies(chosen: Iterable[str] = ()) -> dict[str, Dependency]:
    """Facet itself, what it requires, and what these extras of it require, by name.

    Packages that are not installed are left out: those of an extra, those for other platforms, and opencv-python, in
    whose place opencv-python-headless is installed.

    Raises:
        PackageNotFoundError: Facet itself is not installed.
    """
    metadata.distribution(DISTRIBUTION)
    found: dict[str, Dependency] = {}
    visited: set[tuple[str, frozenset[str]]] = set()
    waiting = [(DISTRIBUTION, frozenset(chosen))]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in visited:
            continue
        visited.add((name, wanted))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        required = list(_required(distribution, wanted))
        waiting += required
        others = {other for other, _ in required} | set(found[name].requires if name in found else ())
        found[name] = Dependency(name, distribution.version, license_of(distribution), tuple(sorted(others - {name})))
    return {name: _without_missing(found[name], found) for name in sorted(found)}


def license_of(distribution: metadata.Distribution) -> str:
    """The licence that a package declares: its expression, else the short text, else its classifiers."""
    fields = distribution.metadata
    for expression in fields.get_all("License-Expression") or ():
        return str(expression)
    text = "".join(fields.get_all("License") or ()).strip()
    classifiers = [
        each.rpartition(" :: ")[2] for each in fields.get_all("Classifier") or () if each.startswith("License ::")
    ]
    if text and text != "UNKNOWN" and "\n" not in text and len(text) <= _LONGEST:
        return text.removeprefix("OSI Approved :: ")
    return " and ".join(classifiers) or UNDECLARED


def note(package: Dependency) -> str:
    """What to look at before somebody passes a package on, in a few words; empty if nothing is known."""
    return "; ".join(filter(None, (condition(package.license), _BUNDLED.get(package.name, ""))))


def condition(license: str) -> str:  # noqa: A002 - the field's word
    """What a licence demands beyond naming its author, in a few words; empty if nothing is known."""
    for words, said in _CONDITIONS:
        if re.search(words, license, re.IGNORECASE):
            return said
    return ""


def _required(distribution: metadata.Distribution, chosen: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in distribution.requires or ():
        each = Requirement(line)
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *chosen)):
            yield canonicalize_name(each.name), frozenset(each.extras)


def _without_missing(each: Dependency, found: dict[str, Dependency]) -> Dependency:
    return Dependency(each.name, each.version, each.license, tuple(name for name in each.requires if name in found))
