"""Writes the segments of indexes to files, in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from weakref import WeakSet

from gallery.index.files.index_folder import IndexFolder
from gallery.index.files.segment_file import BadIndexFile
from gallery.index.memory_index import MemoryIndex
from gallery.index.segment import Segment
from gallery.log import SILENT, Log
from gallery.opened.open_gallery import OpenGallery

_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 600.0
"""How soon it writes again after the disk was full."""


class IndexKeeper:
    """A thread that keeps the large galleries of a server in files, and deletes the files of those that are gone.

    After an index was loaded all of it is written, later a segment whenever one is full: what came since is read from
    the store at the next start. The index then uses the rows of the file, which other processes share.

    Args:
        folder: where the files are.
        opened: returns the open galleries.
        log: told when a file cannot be written.
    """

    def __init__(self, folder: IndexFolder, opened: Callable[[], Iterable[OpenGallery]], log: Log = SILENT) -> None:
        self._folder = folder
        self._opened = opened
        self._log = log
        self._known: WeakSet[MemoryIndex] = WeakSet()
        self._rests_until = 0.0
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery-keeper", daemon=True)

    def start(self) -> None:
        """Delete the files that the galleries were not loaded from, and begin to write."""
        if self._folder.is_writer:
            self._tidy()
        self._thread.start()

    def close(self) -> None:
        """Stop, and leave the folder to others; a segment that is being written is finished."""
        self._is_closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._folder.close()

    def _run(self) -> None:
        try:
            if self._folder.is_writer:
                self._write_all()
        finally:
            self._folder.let_others_load()
        while not self._is_closed.wait(_LOOK_SECONDS):
            if self._folder.becomes_writer():
                self._tidy()
                self._write_all()

    def _tidy(self) -> None:
        segments = (segment for index in self._indexes() for segment in index.snapshot.segments)
        used = {each.file.path for each in segments if each.file is not None}
        with suppress(OSError):  # what cannot be read is told when the next file is written
            self._folder.keep_only(used)

    def _write_all(self) -> None:
        for index in self._indexes():
            self._write(index)

    def _indexes(self) -> list[MemoryIndex]:
        """The indexes that have a key for files."""
        indexes = (index for gallery in self._opened() for index in gallery.indexes.values())
        return [each for each in indexes if isinstance(each, MemoryIndex) and each.key is not None]

    def _write(self, index: MemoryIndex) -> None:
        if time.monotonic() < self._rests_until:
            return
        is_new, key = index not in self._known, index.key
        try:
            for segment in index.snapshot.segments:
                if self._is_closed.is_set() or key is None:
                    return
                if _is_due(segment, index.sizes.exact_rows, is_new=is_new):
                    file = self._folder.write(key, segment.rows, segment.mean)
                    index.keep_in(file, segment)
                    self._tidy()  # the others may take long
        except (OSError, BadIndexFile, MemoryError) as error:
            self._rests_until = time.monotonic() + _RETRY_SECONDS
            self._log.error("an index file cannot be written", gallery=key and key.gallery_id, reason=str(error))
            return
        self._known.add(index)


def _is_due(segment: Segment, fewest: int, *, is_new: bool) -> bool:
    is_full = segment.count == segment.capacity
    return segment.is_coded and segment.file is None and segment.count >= fewest and (is_new or is_full)
