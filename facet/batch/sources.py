"""The pictures of a batch: those in folders, single ones and those in lists, each once; and those without an answer."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from facet.terminal.pictures.files import is_picture
from facet.terminal.pictures.folders import walk
from facet.terminal.visible import printable


def find(
    sources: Iterable[Path], lists: Iterable[Path], leave_out: Callable[[str, str], None] = lambda _path, _reason: None
) -> dict[str, str]:
    """Map the name of each picture in the rows, see :func:`facet.terminal.visible.printable`, to its absolute path.

    Args:
        sources: folders, searched for files with the suffix of a picture, and single files of any suffix.
        lists: text files with a path per line, relative to the working directory; ``-`` is standard input.
        leave_out: receives the path and the reason of each file and folder in a folder that is not read.

    Raises:
        OSError: a source cannot be read.
    """
    paths = (os.path.abspath(path) for path in chain(_in_sources(sources, leave_out), _in_lists(lists)))  # noqa: PTH100 - of a million
    return {printable(path): path for path in paths}


def _in_sources(sources: Iterable[Path], leave_out: Callable[[str, str], None]) -> Iterator[str]:
    for source in sources:
        if not source.is_dir():
            source.stat()
            yield str(source)
        else:
            yield from walk(str(source), is_picture, leave_out, _raise)


def _in_lists(lists: Iterable[Path]) -> Iterator[str]:
    for file in lists:
        if str(file) == "-":
            yield from _in_lines(sys.stdin.buffer)
        else:
            with file.open("rb") as lines:
                yield from _in_lines(lines)


def _in_lines(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield path


def _raise(error: OSError) -> None:
    raise error


class PendingPictures:
    """Pictures without an answer. Each :meth:`take` starts again with those that were sent but not answered.

    A client reads the pictures on a thread of its own. It may not have noticed yet that its stream has ended when the
    next stream starts: only the iterator of the last :meth:`take` yields pictures.

    Args:
        paths: the pictures.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._fresh = iter(paths)
        self._sent: dict[str, None] = {}
        self._lock = threading.Lock()
        self._turn = 0

    def take(self) -> Iterator[tuple[str, Path]]:
        """Yield the pictures for a new stream, each as its path for a name and for a file."""
        with self._lock:
            self._turn += 1
            turn, paths = self._turn, chain(list(self._sent), self._fresh)
        return self._taken(turn, paths)

    def done(self, path: str) -> None:
        """Note that a picture has its answer."""
        with self._lock:
            del self._sent[path]

    def _taken(self, turn: int, paths: Iterator[str]) -> Iterator[tuple[str, Path]]:
        while True:
            with self._lock:
                path = next(paths, None) if turn == self._turn else None
                if path is None:
                    return
                self._sent[path] = None
            yield path, Path(path)
