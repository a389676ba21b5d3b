"""Which pictures a batch is of: below folders, single ones, and those of lists, each once; and which remain."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from facet.batch.rows import printable
from facet.terminal import console
from facet.terminal.picture_files import PICTURE_SUFFIXES


def find(sources: Iterable[Path], lists: Iterable[Path]) -> dict[str, str]:
    """The absolute paths of all pictures by their names in the rows; exits with a usage error where a source fails.

    Args:
        sources: folders, and single files whatever their names end in.
        lists: text files of a path a line, from the working directory; ``-`` is standard input.
    """
    try:
        paths = (os.path.abspath(path) for path in chain(_named(sources), _listed(lists)))  # noqa: PTH100 - of a million
        return {printable(path): path for path in paths}
    except OSError as error:
        console.fail(f"cannot read {error.filename}: {error.strerror}", console.USAGE)


def _named(sources: Iterable[Path]) -> Iterator[str]:
    for source in sources:
        if not source.is_dir():
            source.stat()
            yield str(source)
            continue
        for folder, folders, files in os.walk(source, onerror=_unreadable):
            folders.sort()
            for name in sorted(files):
                if os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES:  # noqa: PTH122
                    yield os.path.join(folder, name)  # noqa: PTH118


def _listed(lists: Iterable[Path]) -> Iterator[str]:
    for file in lists:
        if str(file) == "-":
            lines: Iterable[bytes] = sys.stdin.buffer
            yield from _paths(lines)
        else:
            with file.open("rb") as lines:
                yield from _paths(lines)


def _paths(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def _unreadable(error: OSError) -> None:
    raise error


class Remaining:
    """Pictures that have no answer yet. Whoever asks for them anew gets those first that were under way.

    A client takes them on a thread of its own, and may not have noticed yet that its stream has ended when the next
    one is begun: only the last who asked is given any.

    Args:
        paths: the pictures.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._fresh = iter(paths)
        self._under_way: dict[str, None] = {}
        self._lock = threading.Lock()
        self._turn = 0

    def again(self) -> Iterator[tuple[str, Path]]:
        """The pictures, each as its path for a name and for a file."""
        with self._lock:
            self._turn += 1
            turn, paths = self._turn, chain(list(self._under_way), self._fresh)
        return self._taken(turn, paths)

    def answered(self, path: str) -> None:
        """A picture has its answer."""
        with self._lock:
            del self._under_way[path]

    def _taken(self, turn: int, paths: Iterator[str]) -> Iterator[tuple[str, Path]]:
        while True:
            with self._lock:
                path = next(paths, None) if turn == self._turn else None
                if path is None:
                    return
                self._under_way[path] = None
            yield path, Path(path)
