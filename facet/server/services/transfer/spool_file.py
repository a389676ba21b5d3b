"""An unnamed temporary file that is encrypted under a key which exists in memory only."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_KEY_BYTES = 32
_BLOCK_BYTES = 16


class SpoolFile(io.RawIOBase):
    """A file that is written from its beginning to its end, then read anywhere.

    Nothing of it can be read from the disk: it has no name, and its key, which is used for no other file, is gone with
    this object. AES-256 in counter mode (NIST SP 800-38A) decrypts at any position. Nobody else can write to the file,
    so that its blocks need no tags.

    Args:
        folder: the folder on whose disk it is.

    Raises:
        OSError: the folder is not writable.
    """

    def __init__(self, folder: Path) -> None:
        self._key = AES(os.urandom(_KEY_BYTES))
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - close() closes it
        self._encryptor = Cipher(self._key, CTR(bytes(_BLOCK_BYTES))).encryptor()
        self._position = 0
        self._size = 0

    def write(self, data: Any) -> int:
        """Append bytes, all of them.

        Raises:
            OSError: they cannot be written.
        """
        encrypted = memoryview(self._encryptor.update(data))
        self._size += len(encrypted)
        written = 0
        while written < len(encrypted):
            written += self._file.write(encrypted[written:])
        return written

    def readinto(self, buffer: Any) -> int:
        """Read from the current position."""
        view = memoryview(buffer).cast("B")
        found = os.pread(self._file.fileno(), len(view), self._position)
        block, within = divmod(self._position, _BLOCK_BYTES)
        decryptor = Cipher(self._key, CTR(block.to_bytes(_BLOCK_BYTES, "big"))).decryptor()
        decryptor.update(bytes(within))
        view[: len(found)] = decryptor.update(found)
        self._position += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position of the next reading.

        Raises:
            ValueError: it would be before the beginning.
        """
        position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence] + offset
        if position < 0:
            raise ValueError(f"there is no position {position}")
        self._position = position
        return self._position

    def tell(self) -> int:
        """Return the position of the next reading."""
        return self._position

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def seekable(self) -> bool:
        """Return ``True``."""
        return True

    def writable(self) -> bool:
        """Return ``True``."""
        return True

    def close(self) -> None:
        """Delete the file."""
        if not self.closed:
            self._file.close()
        super().close()
