"""Pictures in files: find them, and read those that a server accepts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from facet import Client
from facet.runtime.picture_suffixes import PICTURE_SUFFIXES
from facet.terminal import console
from facet.terminal.pictures.folders import CANNOT_READ, LeftOut, described, walk

NOT_REGULAR = "not a regular file"
"""The problem of a device, a pipe or a socket."""

_ENVELOPE = 4096
"""Upper bound of a request's bytes besides its picture."""


class Unsendable(Exception):
    """A file that cannot be sent to the server.

    Attributes:
        reason: CANNOT_READ or FILE_TOO_LARGE.
        message: one line for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def most_bytes(client: Client) -> int:
    """Size in bytes of the largest picture that this server accepts."""
    return client.get_server_info().limits.max_message_bytes - _ENVELOPE


def read(path: Path, most: int) -> bytes:
    """Read a file of at most ``most`` bytes.

    Raises:
        Unsendable: the file cannot be read, or is larger.
    """
    with _opened(path, most) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(len(data), most)
    return data


def check(path: Path, most: int) -> None:
    """Check that :func:`read` would succeed; raises what it raises."""
    with _opened(path, most):
        pass


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture, by its suffix."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122 - of a million


def find_pictures(sources: list[Path], left_out: list[LeftOut] | None = None) -> list[Path]:
    """Find pictures: the files among the sources, and those below the folders, sorted by path.

    A file that is named itself is taken whatever its suffix. What else the folders hold is appended to ``left_out``, or
    described on standard error if that is not given.
    """
    found: list[Path] = []
    others: list[LeftOut] = []

    def leave_out(path: str, reason: str) -> None:
        others.append(LeftOut(Path(path), reason))

    def unreadable(error: OSError) -> None:
        leave_out(str(error.filename), CANNOT_READ)

    for source in sources:
        if source.is_dir():
            found += sorted(map(Path, walk(str(source), is_picture, leave_out, unreadable)))
        elif source.is_file():
            found.append(source)
        else:
            console.fail(f"there is no file or folder {source}", console.USAGE)
    if left_out is not None:
        left_out += others
    else:
        tell(others)
    return found


def tell(left_out: Iterable[LeftOut]) -> None:
    """Describe what was left out on standard error."""
    for line in described(left_out, PICTURE_SUFFIXES):
        console.err.print(line)


def is_special(path: Path) -> bool:
    """Whether a path is neither a file nor a folder but a device, a pipe or a socket; to open it may take forever.

    Raises:
        OSError: there is nothing at the path.
    """
    mode = path.stat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def _opened(path: Path, most: int) -> Iterator[BinaryIO]:
    try:
        if is_special(path):
            raise Unsendable("CANNOT_READ", NOT_REGULAR)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise _too_large(size, most)
            yield file
    except OSError as error:
        raise Unsendable("CANNOT_READ", error.strerror or str(error)) from error


def _too_large(size: int, most: int) -> Unsendable:
    return Unsendable("FILE_TOO_LARGE", f"{size} bytes, the server accepts {most}")
