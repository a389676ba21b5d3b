"""A file on its way in: received into a file without a name, which is gone when it is closed, however that happens."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from pathlib import Path

from facet.server.errors import FileTooLarge
from gallery.errors import InvalidImport, StorageError, StorageFull, StorageUnavailable

SPARED_BYTES = 64 * 2**20
"""Free space that is left to the database, so that enrolments go on."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Spool:
    """Receives a file.

    Args:
        folder: on the disk that the file is received on.
        max_bytes: how large the file may be.

    Raises:
        StorageError: the folder cannot be written.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._size = 0
        try:
            self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by who closes this
        except OSError as error:
            raise _storage_error(error) from error

    def append(self, chunk: bytes) -> None:
        """Take in the next bytes.

        Raises:
            FileTooLarge: the file is larger than it may be.
            StorageFull: the disk has no room, or too little for the database beside it.
        """
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise FileTooLarge(f"the file is larger than {self._max_bytes} bytes, the most that is taken")
        self._need_room(len(chunk))
        try:
            self.file.write(chunk)
        except OSError as error:
            raise _storage_error(error) from error
        self._digest.update(chunk)

    def finish(self, sha256: str, size: int) -> None:
        """Hold what came against what was sent; there must be room for as much again in the database.

        Raises:
            InvalidImport: it is not what was sent.
            StorageFull: there is no room.
        """
        if (self._digest.hexdigest(), self._size) != (sha256.lower(), size):
            raise InvalidImport("the bytes that came have not the SHA-256 and the size that the digest says")
        self._need_room(self._size)
        try:
            self.file.flush()
        except OSError as error:
            raise _storage_error(error) from error

    def _need_room(self, size: int) -> None:
        if shutil.disk_usage(self._folder).free < size + SPARED_BYTES:
            raise StorageFull(f"no room for a file in {self._folder}")

    def close(self) -> None:
        """The file is gone."""
        self.file.close()


def _storage_error(error: OSError) -> StorageError:
    if error.errno in _NO_ROOM:
        return StorageFull("no room for a file that comes in")
    return StorageUnavailable(f"a file that comes in cannot be kept: {error.strerror}")
