"""The folder of index files: who may write it, and who waits for whom."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gallery.errors import StorageUnavailable
from gallery.index.files.segment_file import BadIndexFile, IndexKey, Rows, SegmentFile, write
from gallery.log import SILENT, Log
from gallery.times import new_id

_SUFFIX = ".index"
_NAME_BYTES = 8
_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(index|part)")
"""Of the files that are written here, also of those that were not finished."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class IndexFolder:
    """The index files that processes of one server share.

    One of the processes, the first one, writes and deletes files; the others only use them, and erase rows. Whoever
    opens the folder waits until the first one has loaded its galleries and written the files, and not for the others.

    Args:
        folder: created if it is missing.
        log: told which files are of no use.

    Attributes:
        is_writer: whether this process writes the files.

    Raises:
        StorageUnavailable: the folder cannot be used, or is not this user's own.
    """

    def __init__(self, folder: Path, log: Log = SILENT) -> None:
        self._folder = folder
        self._log = log
        try:
            folder.mkdir(0o700, parents=True, exist_ok=True)
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
                raise StorageUnavailable(
                    f"gallery.snapshot_dir {folder} must be a folder that only this user can read and write: chmod 700"
                )
            self._loading = _lock_file(folder / "loading.lock")
            self._writing = _lock_file(folder / "writing.lock")
        except OSError as error:
            raise _unusable(folder, error) from error
        fcntl.flock(self._loading, fcntl.LOCK_EX)
        self.is_writer = False
        if not self.becomes_writer():
            self.let_others_load()

    def becomes_writer(self) -> bool:
        """Tell whether this process writes the files, also because the one that did is gone."""
        if not self.is_writer:
            with suppress(BlockingIOError):
                fcntl.flock(self._writing, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.is_writer = True
        return self.is_writer

    def files(self, key: IndexKey) -> list[SegmentFile]:
        """Open the files of a key, the oldest first; damaged ones are deleted.

        Raises:
            StorageUnavailable: the system does not let a file be opened, so that nobody could erase its rows.
        """
        try:
            paths = sorted(self._folder.glob(f"{_name_of(key)}-*{_SUFFIX}"))
            found = [self._opened(path, key) for path in paths if _NAME.fullmatch(path.name)]
        except OSError as error:
            raise _unusable(self._folder, error) from error
        return [each for each in found if each is not None]

    def write(self, key: IndexKey, rows: Rows, mean: NDArray[np.float32]) -> SegmentFile:
        """Write a file, and open it.

        Raises:
            OSError: it cannot be written.
            BadIndexFile: it was changed meanwhile.
        """
        path = self._folder / f"{_name_of(key)}-{new_id()}{_SUFFIX}"
        write(path, key, rows, mean)
        return SegmentFile(path)

    def keep_only(self, used: Collection[Path]) -> None:
        """Delete the files that nothing uses; those with names of others stay.

        Raises:
            OSError: the folder cannot be read.
        """
        for path in self._folder.iterdir():
            if _NAME.fullmatch(path.name) and path not in used:
                self._delete(path)

    def let_others_load(self) -> None:
        """Let the other processes open the folder; only the one that writes keeps them waiting."""
        fcntl.flock(self._loading, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave the folder to others."""
        for lock in (self._loading, self._writing):
            lock.close()

    def _opened(self, path: Path, key: IndexKey) -> SegmentFile | None:
        try:
            file = SegmentFile(path)
            if file.key == key:
                file.check()
                return file
        except FileNotFoundError:
            pass  # deleted meanwhile
        except BadIndexFile as error:
            self._log.error("an index file is not used", file=str(path), reason=str(error))
            self._delete(path)
        return None

    def _delete(self, path: Path) -> None:
        if self.is_writer:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _unusable(folder: Path, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"gallery.snapshot_dir {error.filename or folder} cannot be used: {error.strerror}")


def _name_of(key: IndexKey) -> str:
    """What the names of the files of a key begin with; it tells nobody which gallery it is."""
    return hashlib.blake2b(repr(key).encode(), digest_size=_NAME_BYTES).hexdigest()


def _lock_file(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b")
