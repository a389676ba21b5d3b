"""The data keys of a database: open in memory, and wrapped in its key file."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gallery.encryption.key_file import KeyFileContents, WrappedKey, read_key_file, write_key_file
from gallery.encryption.master_keys import KEY_BYTES, MasterKeys
from gallery.encryption.values import KEY_ID_BYTES, DataKey
from gallery.errors import KeysUnusable

_ID_BYTES = 16


class Keyring:
    """The data keys of the galleries of one database. All methods are thread-safe.

    Every change is in the key file when a method returns. Who changes something owns the database, so that no other
    process changes the key file.

    Args:
        path: the key file.
        masters: the master keys.

    Attributes:
        path: the key file.
        keys: all data keys by their ids; replaced as a whole.

    Raises:
        KeysUnusable: the key file is missing or damaged, or a master key is missing that wraps one of its keys.
    """

    def __init__(self, path: Path, masters: MasterKeys) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._contents, self._written = read_key_file(path)
        self._masters = masters
        self._galleries = _unwrapped(path, self._contents, masters)
        self.keys = _by_id(self._galleries)

    @staticmethod
    def create(path: Path, masters: MasterKeys) -> Keyring:
        """Make the key file of a database that has none.

        Raises:
            StorageError: it cannot be written.
        """
        write_key_file(path, KeyFileContents(secrets.token_hex(_ID_BYTES)))
        return Keyring(path, masters)

    @property
    def database(self) -> str:
        """The id of the database that the key file belongs to."""
        return self._contents.database

    def has(self, uid: str) -> bool:
        """Whether a gallery has a data key here."""
        return uid in self._galleries

    def was_destroyed(self, uid: str) -> bool:
        """Whether a gallery was deleted, and its data keys destroyed."""
        return uid in self._contents.destroyed

    def newest(self, uid: str) -> DataKey:
        """Return the key that seals the values of a gallery from now on.

        Raises:
            KeysUnusable: the gallery has none.
        """
        keys = self._galleries.get(uid)
        if keys is None:
            raise KeysUnusable(f"the key file {self.path} has no data key of a gallery")
        return keys[-1]

    def add(self, count: int) -> list[str]:
        """Make data keys for new galleries, and return the ids of these galleries in the key file.

        Raises:
            StorageError: the key file cannot be written.
        """
        new = {secrets.token_hex(_ID_BYTES): (_new_key(),) for _ in range(count)}
        with self._lock:
            self._replace({**self._galleries, **new}, self._contents.destroyed, self._masters)
        return list(new)

    @staticmethod
    def make() -> tuple[str, DataKey]:
        """Make the id in the key file and the data key of a new gallery; :meth:`keep` puts them there."""
        return secrets.token_hex(_ID_BYTES), _new_key()

    def keep(self, uid: str, key: DataKey) -> None:
        """Put what :meth:`make` made into the key file.

        Raises:
            StorageError: the key file cannot be written.
        """
        with self._lock:
            self._replace({**self._galleries, uid: (key,)}, self._contents.destroyed, self._masters)

    def renew(self) -> int:
        """Give every gallery a new data key, which seals from now on; the old ones still open. Return how many.

        Raises:
            StorageError: the key file cannot be written.
        """
        with self._lock:
            renewed = {uid: (*keys, _new_key()) for uid, keys in self._galleries.items()}
            self._replace(renewed, self._contents.destroyed, self._masters)
            return len(renewed)

    def retire(self, uid: str) -> None:
        """Destroy all data keys of a gallery but the newest.

        Raises:
            StorageError: the key file cannot be written.
        """
        with self._lock:
            keys = self._galleries.get(uid, ())
            if len(keys) > 1:
                self._replace({**self._galleries, uid: keys[-1:]}, self._contents.destroyed, self._masters)

    def destroy(self, uid: str) -> None:
        """Destroy the data keys of a gallery: nothing that they sealed can be read again, wherever it is.

        Raises:
            StorageError: the key file cannot be written.
        """
        with self._lock:
            if uid in self._galleries:
                rest = {each: keys for each, keys in self._galleries.items() if each != uid}
                self._replace(rest, self._contents.destroyed | {uid}, self._masters)

    def use(self, masters: MasterKeys) -> int:
        """Wrap all data keys with the current master key, and return how many another one wrapped.

        Raises:
            KeysUnusable: a master key is missing that wraps one of them. Otherwise a wrong key file would replace the
                right one for good.
            StorageError: the key file cannot be written.
        """
        with self._lock:
            _check_complete(self.path, self._contents, masters)
            others = sum(key.master != masters.current.id for keys in self._contents.galleries.values() for key in keys)
            if others:
                self._replace(self._galleries, self._contents.destroyed, masters)
            self._masters = masters
            return others

    def check(self) -> None:
        """Check that the key file is the one that this process wrote last; one that was deleted is written again.

        Raises:
            KeysUnusable: it was replaced or damaged.
            StorageError: it cannot be written.
        """
        with self._lock:
            self._check_unchanged()
            if not self.path.exists():
                self._written = write_key_file(self.path, self._contents)

    def _replace(
        self, galleries: Mapping[str, tuple[DataKey, ...]], destroyed: frozenset[str], masters: MasterKeys
    ) -> None:
        """Write other keys into the key file, then have them in memory; keys that are wrapped already stay so."""
        self._check_unchanged()
        master, database = masters.current, self._contents.database
        before = {key.key_id: key for keys in self._contents.galleries.values() for key in keys}

        def wrapped(uid: str, key: DataKey) -> WrappedKey:
            found = before.get(key.key_id)
            if found is not None and found.master == master.id:
                return found
            context = _context(database, uid, key.key_id)
            return WrappedKey(key.key_id, master.id, master.wrap(key.key, context=context))

        all_wrapped = {uid: tuple(wrapped(uid, key) for key in keys) for uid, keys in galleries.items()}
        contents = replace(self._contents, galleries=all_wrapped, destroyed=destroyed)
        self._written = write_key_file(self.path, contents)
        self._contents, self._galleries, self.keys = contents, galleries, _by_id(galleries)

    def _check_unchanged(self) -> None:
        try:
            found = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise KeysUnusable(f"the key file {self.path} cannot be read: {error.strerror}") from error
        if found != self._written:
            raise KeysUnusable(
                f"the key file {self.path} was replaced while the database is open: put the one back that was there, "
                "or delete the new one, and this process writes its own again"
            )


def _unwrapped(path: Path, contents: KeyFileContents, masters: MasterKeys) -> Mapping[str, tuple[DataKey, ...]]:
    _check_complete(path, contents, masters)

    def unwrapped(uid: str, key: WrappedKey) -> DataKey:
        master = masters.find(key.master) or masters.current
        context = _context(contents.database, uid, key.key_id)
        return DataKey(key.key_id, master.unwrap(key.wrapped, context=context))

    try:
        return {uid: tuple(unwrapped(uid, key) for key in keys) for uid, keys in contents.galleries.items()}
    except KeysUnusable as error:
        raise KeysUnusable(f"{path}: {error}; put your copy of the key file back") from error


def _by_id(galleries: Mapping[str, tuple[DataKey, ...]]) -> Mapping[bytes, DataKey]:
    return {key.key_id: key for keys in galleries.values() for key in keys}


def _new_key() -> DataKey:
    return DataKey(os.urandom(KEY_ID_BYTES), os.urandom(KEY_BYTES))


def _check_complete(path: Path, contents: KeyFileContents, masters: MasterKeys) -> None:
    needed = {key.master for keys in contents.galleries.values() for key in keys}
    if missing := sorted(master for master in needed if masters.find(master) is None):
        given = ", ".join(key.id for key in masters.keys)
        raise KeysUnusable(
            f"master key {', '.join(missing)} wraps data keys in {path}, but {masters.source} has only {given}: put "
            "the missing key back; to rotate, put the new key first and keep the old one below it"
        )


def _context(database: str, uid: str, key_id: bytes) -> bytes:
    return f"facet data key\0{database}\0{uid}\0{key_id.hex()}".encode()
