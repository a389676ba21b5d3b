"""Memory that a decoder fills with pixels and this process reads without a copy."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import weakref
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_KEPT_BYTES = 32 * 2**20
"""A larger buffer goes back to the system when its picture is released."""


class SharedBuffer:
    """A file in memory that is not in any folder. It can only grow, so that a mapping of it stays valid.

    Attributes:
        descriptor: the file's descriptor, for a decoder.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("facet-picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._open = True
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._mapped: mmap.mmap | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self.descriptor).st_size

    def write(self, data: bytes) -> None:
        """Put an encoded picture at the start."""
        rest, position = memoryview(data), 0
        while rest:
            written = os.pwrite(self.descriptor, rest, position)
            rest, position = rest[written:], position + written

    def mapped(self, length: int) -> mmap.mmap:
        """The buffer in this process's memory, at least ``length`` bytes of it.

        Raises:
            ValueError: it is smaller.
        """
        if self._mapped is None or len(self._mapped) < length:
            size = self.size
            if size < length:
                raise ValueError(f"the buffer has {size} bytes, and {length} are needed")
            self._mapped = mmap.mmap(self.descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        return self._mapped

    def close(self) -> None:
        """Give the memory back as soon as no picture uses it."""
        self._mapped = None
        if self._open:
            self._open = False
            os.close(self.descriptor)


class SharedBuffers:
    """Hands out buffers, and takes each back when the picture in it is released. Safe to use from several threads.

    Args:
        kept: number of unused buffers to keep. Their pages are there already, which saves a third of the time of a
            decoding.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._free: deque[SharedBuffer] = deque()

    def take(self) -> SharedBuffer:
        """A buffer for one picture."""
        try:
            return self._free.pop()
        except IndexError:
            return SharedBuffer()

    def give_back(self, buffer: SharedBuffer) -> None:
        """Keep the buffer for the next picture, or close it."""
        if len(self._free) < self._kept and buffer.size <= _KEPT_BYTES:
            self._free.append(buffer)
        else:
            buffer.close()

    def picture(self, buffer: SharedBuffer, height: int, width: int, released: Callable[[], None]) -> NDArray[np.uint8]:
        """The pixels in a buffer, BGR ``(height, width, 3)``.

        When no array uses them any more, the buffer is given back, and ``released`` is called.
        """
        length = height * width * 3
        owner = (ctypes.c_ubyte * length).from_buffer(buffer.mapped(length))
        weakref.finalize(owner, self._released, buffer, released).atexit = False
        return np.frombuffer(memoryview(owner), np.uint8).reshape(height, width, 3)

    def _released(self, buffer: SharedBuffer, released: Callable[[], None]) -> None:
        self.give_back(buffer)
        released()

    def close(self) -> None:
        """Close the unused buffers, and keep none from now on."""
        self._kept = 0
        while self._free:
            self._free.pop().close()
