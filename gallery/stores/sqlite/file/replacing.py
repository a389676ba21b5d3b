"""Files that replace others once they are complete, and files that are needed only for a while."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gallery.errors import StorageBusy, StorageFull, StorageUnavailable
from gallery.folders import sync_folder
from gallery.stores.sqlite.erasure.page_gaps import clear_gaps
from gallery.stores.sqlite.file.files import NO_ROOM


def check_replaceable(target: Path, replace: bool) -> None:
    """Check that a file may be written.

    Raises:
        FileExistsError: it exists, and ``replace`` is not set.
    """
    if target.exists() and not replace:
        raise FileExistsError(f"{target} exists already")


@contextmanager
def replacing(target: Path, replace: bool) -> Iterator[Path]:
    """Yield an empty file next to a target; it replaces the target at the end, or is deleted if the block raises.

    Raises:
        FileExistsError: the target exists, and ``replace`` is not set.
        StorageFull: the disk is full.
        StorageUnavailable: the file cannot be written.
    """
    with scratch(target) as (partial, descriptor):
        yield partial
        # A copy of a database that an earlier version wrote, or a process that died, has its traces.
        clear_gaps(descriptor)
        os.fsync(descriptor)
        check_replaceable(target, replace)
        partial.replace(target)
        sync_folder(target.parent)


@contextmanager
def scratch(target: Path) -> Iterator[tuple[Path, int]]:
    """Yield an empty file next to a target, and its descriptor; it is deleted at the end if it still has its name.

    Only its owner can read it. Its name is always the same, so that one that a dead process left is found again.

    Raises:
        StorageBusy: another process writes it.
        StorageFull: the disk is full.
        StorageUnavailable: the file cannot be written.
    """
    partial = _partial_path(target)
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageUnavailable(f"{partial} cannot be opened: {error.strerror}") from error
    try:
        _claim(descriptor, partial)
        os.fchmod(descriptor, 0o600)
        os.truncate(descriptor, 0)
        remove_log_files(partial)
        try:
            yield partial, descriptor
        finally:
            if _has_name(descriptor, partial):
                partial.unlink()
            remove_log_files(partial)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull(f"no room for {target}") from error
        raise StorageUnavailable(f"{target} cannot be written: {error.strerror}") from error
    finally:
        os.close(descriptor)


def remove_left_scratch(target: Path) -> None:
    """Remove the file of :func:`scratch` that a process left when it died; does nothing while another one writes it."""
    partial = _partial_path(target)
    with suppress(OSError, StorageBusy, StorageUnavailable):
        if partial.is_file() and not partial.is_symlink():
            with scratch(target):
                pass


def remove_log_files(database: Path) -> None:
    """Remove what SQLite keeps next to a database that nobody has open."""
    for suffix in ("-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _partial_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _has_name(descriptor: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _claim(descriptor: int, path: Path) -> None:
    """Check that no other process writes to a file or has just renamed it."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _has_name(descriptor, path):
            return
    raise StorageBusy(f"another process writes {path}")
