"""Which pages a write-ahead log holds, read from the headers of its frames."""

from __future__ import annotations

import os
from pathlib import Path

_LOG_HEADER = 32
_FRAME_HEADER = 24


class LogReader:
    """Follows the log of a database that only this process writes to.

    https://www.sqlite.org/fileformat2.html#walformat describes the format. The log has no locks on its own file, so
    that opening and closing it here releases none of SQLite's.

    Args:
        path: the log; it exists as long as a connection is open.
        page_size: bytes.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, page_size: int) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._frame_bytes = _FRAME_HEADER + page_size
        self._salts = b""
        self._frames = 0
        self._from_start = False

    @property
    def is_empty(self) -> bool:
        """Whether the log holds no frame."""
        return os.fstat(self._descriptor).st_size <= _LOG_HEADER

    def new_pages(self) -> set[int]:
        """Return the numbers of the pages that were written since the last call, perhaps some more.

        Call it after every commit, before the next transaction: SQLite may begin the log anew with that one.

        Raises:
            OSError: the log cannot be read.
        """
        salts = os.pread(self._descriptor, _LOG_HEADER, 0)[16:24]
        if salts != self._salts:
            self._salts, self._frames, self._from_start = salts, 0, False
        frame = 0 if self._from_start else self._frames
        pages: set[int] = set()
        while True:
            header = os.pread(self._descriptor, _FRAME_HEADER, _LOG_HEADER + frame * self._frame_bytes)
            if len(header) < _FRAME_HEADER or header[8:16] != salts:
                return pages
            pages.add(int.from_bytes(header[:4], "big"))
            frame += 1
            # Frames behind the last commit belong to a transaction that was rolled back; the next one overwrites them.
            if any(header[4:8]):
                self._frames = frame

    def expect_overwriting(self) -> None:
        """Read the log from its start until it begins anew: a failed commit may have left a frame that looks final."""
        self._from_start = True

    def close(self) -> None:
        """Close the log."""
        os.close(self._descriptor)
