"""The key file beside a database: the data keys of its galleries, wrapped by a master key."""

from __future__ import annotations

import base64
import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gallery.errors import KeysUnusable, StorageFull, StorageUnavailable
from gallery.folders import sync_folder

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORMAT = "facet data keys"
_VERSION = 1
_ID = re.compile("[0-9a-f]{32}")
_KEY_ID = re.compile("[0-9a-f]{16}")
_MOST_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key that a master key encrypted.

    Attributes:
        key_id: the id of the data key, 8 bytes.
        master: the id of the master key.
        wrapped: the nonce, and the encrypted data key.
    """

    key_id: bytes
    master: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class KeyFileContents:
    """What a key file says.

    Attributes:
        database: the id of the database that it belongs to, 32 hexadecimal digits.
        galleries: the data keys of each gallery, at least one, the newest last; by the gallery's id in this file.
        destroyed: the ids of galleries whose data keys were destroyed, because the galleries were deleted.
    """

    database: str
    galleries: dict[str, tuple[WrappedKey, ...]] = field(default_factory=dict)
    destroyed: frozenset[str] = frozenset()


def key_path(database: Path) -> Path:
    """Return the key file of a database.

    Links are resolved: a file that replaced the link would leave destroyed keys where the link led.
    """
    return Path(os.path.realpath(database.with_name(f"{database.name}.keys")))


def read_key_file(path: Path) -> tuple[KeyFileContents, bytes]:
    """Read a key file; returns also its bytes.

    Raises:
        KeysUnusable: it is missing, is damaged, or was written by a newer version.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except FileNotFoundError as error:
        raise KeysUnusable(
            f"the key file {path} is missing: put your copy of it back; nobody can decrypt the database without it"
        ) from error
    except OSError as error:
        raise KeysUnusable(f"the key file {path} cannot be read: {error.strerror}") from error
    try:
        return _contents(json.loads(data)), data
    except _TooNewError as error:
        raise KeysUnusable(f"a newer version of Facet wrote the key file {path}: install that version") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # The cause would quote the file.
        raise KeysUnusable(f"the key file {path} is damaged: put your copy of it back") from error


def write_key_file(path: Path, contents: KeyFileContents) -> bytes:
    """Replace a key file, so that it is the old one or the new one at any moment; returns its bytes.

    The old one is overwritten with zeros once the new one is on disk, because it may have keys that were destroyed.
    What an interrupted write left is removed first.

    Raises:
        StorageFull: the disk is full.
        StorageUnavailable: it cannot be written.
    """
    data = json.dumps(_plain(contents), indent=1).encode() + b"\n"
    partial = _partial_path(path)
    remove_left_partial(path)
    try:
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with _then_overwriting(path):
                partial.replace(path)
                sync_folder(path.parent)
        except OSError:
            with suppress(StorageUnavailable):
                remove_left_partial(path)
            raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(f"no room for the key file {path}") from error
        raise StorageUnavailable(f"the key file {path} cannot be written: {error.strerror}") from error
    return data


def remove_left_partial(path: Path) -> None:
    """Remove what an interrupted write of a key file left, with the data keys in it. Only the database's owner may.

    Raises:
        StorageUnavailable: it cannot be removed.
    """
    partial = _partial_path(path)
    try:
        with suppress(FileNotFoundError), _then_overwriting(partial):
            partial.unlink()
            sync_folder(path.parent)
    except OSError as error:
        raise StorageUnavailable(f"{partial} has data keys and cannot be removed: {error.strerror}") from error


class _TooNewError(ValueError):
    pass


def _partial_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _contents(plain: Any) -> KeyFileContents:
    if plain["format"] != _FORMAT:
        raise ValueError
    if plain["version"] != _VERSION:
        raise _TooNewError
    galleries = {_matching(_ID, uid): tuple(_wrapped(key) for key in keys) for uid, keys in plain["galleries"].items()}
    if not all(galleries.values()):
        raise ValueError
    destroyed = frozenset(_matching(_ID, uid) for uid in plain["destroyed"])
    return KeyFileContents(_matching(_ID, plain["database"]), galleries, destroyed)


def _wrapped(plain: Any) -> WrappedKey:
    key_id = bytes.fromhex(_matching(_KEY_ID, plain["id"]))
    return WrappedKey(key_id, _matching(_KEY_ID, plain["master"]), base64.b64decode(plain["wrapped"], validate=True))


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError
    return text


def _plain(contents: KeyFileContents) -> dict[str, Any]:
    galleries = {
        uid: [
            {"id": key.key_id.hex(), "master": key.master, "wrapped": base64.b64encode(key.wrapped).decode()}
            for key in keys
        ]
        for uid, keys in contents.galleries.items()
    }
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "database": contents.database,
        "galleries": galleries,
        "destroyed": sorted(contents.destroyed),
    }


@contextmanager
def _then_overwriting(path: Path) -> Iterator[None]:
    """Overwrite a file with zeros at the end, if the block replaced or deleted it, and it has no other name."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield
        return
    try:
        yield
        with suppress(OSError):
            found = os.fstat(descriptor)
            if not found.st_nlink:
                os.pwrite(descriptor, bytes(found.st_size), 0)
                os.fsync(descriptor)
    finally:
        os.close(descriptor)
