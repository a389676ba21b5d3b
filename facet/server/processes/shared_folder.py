"""A folder in memory for the index files that the processes of a server share."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it is this user's own
_PREFIX = "facet-index-"


@contextmanager
def shared_folder() -> Iterator[Path | None]:
    """Make a folder in memory that only this user can use, and delete it in the end.

    It is ``None`` where the system has no such place.
    """
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=_MEMORY))
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = made.rename(_MEMORY / made.name[1:])  # only now: it would be deleted as one that a dead server left
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def delete_left_folders() -> None:
    """Delete the folders of this user's servers that were killed."""
    with suppress(OSError):
        for left in _MEMORY.glob(f"{_PREFIX}*"):
            _delete_if_left(left)


def _delete_if_left(folder: Path) -> None:
    """Delete a folder of this user unless the server that made it still runs."""
    with suppress(OSError):
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(lock)
