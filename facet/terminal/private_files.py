"""Files that may name people: from the beginning only their owner can read them, whatever the umask is."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_FILE, _FOLDER = 0o600, 0o700


def make_folder(path: Path) -> None:
    """Make a folder and those above it; those that exist stay as they are.

    Raises:
        OSError: it cannot be made, or is a file.
    """
    for folder in reversed((path, *path.parents)):
        if not folder.is_dir():
            folder.mkdir(_FOLDER, exist_ok=True)


def open_descriptor(path: Path, flags: int) -> int:
    """Open a file with flags of :mod:`os`, and make it if it does not exist. One that exists keeps its mode.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, _FILE)


def make_empty(path: Path) -> None:
    """Make a file, or empty one that exists, for a library that opens it by its name.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = open_descriptor(path, os.O_WRONLY | os.O_TRUNC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, _FILE)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes | str) -> None:
    """Write a whole file; text is UTF-8. It replaces one that exists.

    Raises:
        OSError: it cannot be written.
    """
    with appearing(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes this path once the block has written it; nothing is left if the block fails.

    Raises:
        OSError: it cannot be written.
    """
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=".facet-", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(name).replace(target)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
