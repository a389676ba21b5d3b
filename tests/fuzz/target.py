"""What a fuzz target is, and which there are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

NAMES = ("pictures", "requests", "imports", "metadata")
CORPUS = Path(__file__).parent / "corpus"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Every file of an archive has this time, so that the same corpus is the same archive."""


class Target(Protocol):
    """A part of Facet that reads bytes of strangers: a module of this folder.

    Attributes:
        INSTRUMENTED: the modules whose coverage guides the fuzzer; they are imported in :func:`prepare`.
    """

    INSTRUMENTED: tuple[str, ...]

    def prepare(self) -> Callable[[bytes], None]:
        """Return what takes an input. It raises an exception if the input finds a defect."""

    def seeds(self) -> Iterable[bytes]:
        """Valid inputs, from which the fuzzer starts."""

    def repaired(self, data: bytes) -> bytes:
        """Make checksums right again after a mutation, so that the mutation reaches the code behind them."""


def load(name: str) -> Target:
    """Import a target, one of :data:`NAMES`."""
    target: Target = importlib.import_module(f"tests.fuzz.{name}")
    return target


def kept(name: str) -> list[bytes]:
    """The kept corpus of a target: small inputs that reach different code, and those that once found a defect."""
    path = CORPUS / f"{name}.zip"
    if not path.exists():
        return []
    with ZipFile(path) as archive:
        return [archive.read(each) for each in archive.namelist()]


def keep(name: str, inputs: Iterable[bytes]) -> int:
    """Replace the kept corpus of a target; returns the number of inputs."""
    distinct = sorted(set(inputs), key=lambda data: (len(data), data))
    with ZipFile(CORPUS / f"{name}.zip", "w") as archive:
        for number, data in enumerate(distinct):
            archive.writestr(ZipInfo(f"{number:04}", _EPOCH), data, ZIP_DEFLATED)
    return len(distinct)
