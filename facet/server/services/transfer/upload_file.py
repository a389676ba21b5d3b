"""Receives an uploaded file into an unnamed, encrypted temporary file, which a crash removes as well."""

from __future__ import annotations

import errno
import hashlib
import shutil
from pathlib import Path
from typing import BinaryIO, cast

from facet.server.errors import FileTooLarge
from facet.server.services.transfer.spool_file import SpoolFile
from gallery.errors import InvalidImport, StorageError, StorageFull, StorageUnavailable

RESERVED_BYTES = 64 * 2**20
"""Free disk space that uploads leave to the database, so that enrolments keep working."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class UploadFile:
    """A file that arrives in chunks.

    Args:
        folder: a folder on the disk that receives the file.
        max_bytes: maximum size of the file.

    Attributes:
        file: the temporary file.

    Raises:
        StorageError: the folder is not writable.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._size = 0
        try:
            self.file = cast("BinaryIO", SpoolFile(folder))
        except OSError as error:
            raise _storage_error(error) from error

    def append(self, chunk: bytes) -> None:
        """Append a chunk.

        Raises:
            FileTooLarge: the file exceeds its maximum size.
            StorageFull: the disk has too little room for the chunk and the database.
        """
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise FileTooLarge(f"the file is larger than the limit of {self._max_bytes} bytes")
        self._require_room(len(chunk))
        try:
            self.file.write(chunk)
        except OSError as error:
            raise _storage_error(error) from error
        self._digest.update(chunk)

    def finish(self, sha256: str, size: int) -> None:
        """Check the file against the sender's digest. The disk must have room to store it in the database as well.

        Raises:
            InvalidImport: the digest or the size differs.
            StorageFull: there is no room.
        """
        if (self._digest.hexdigest(), self._size) != (sha256.lower(), size):
            raise InvalidImport(
                "the received bytes do not have the SHA-256 and the size that the digest message states"
            )
        self._require_room(self._size)
        try:
            self.file.flush()
        except OSError as error:
            raise _storage_error(error) from error

    def close(self) -> None:
        """Delete the file."""
        self.file.close()

    def _require_room(self, size: int) -> None:
        if shutil.disk_usage(self._folder).free < size + RESERVED_BYTES:
            raise StorageFull(f"no room for an uploaded file in {self._folder}")


def _storage_error(error: OSError) -> StorageError:
    if error.errno in _NO_ROOM:
        return StorageFull("no room for an uploaded file")
    return StorageUnavailable(f"an uploaded file cannot be stored: {error.strerror}")
