"""The data keys of a database: open in memory, and wrapped in its key file."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gallery.encryption.key_file import KeyFileContents, WrappedKey, read_key_file, write_key_file
from gallery.encryption.master_keys import KEY_BYTES, MasterKeys
from gallery.encryption.values import GalleryCipher
from gallery.errors import KeysUnusable

_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class KeyringStatus:
    """What a key file holds, without keys.

    Attributes:
        database: the id of the database.
        galleries: the number of galleries that have data keys.
        destroyed: the number of deleted galleries, whose data keys were destroyed.
        masters: how many data keys each master key wraps, by its id.
    """

    database: str
    galleries: int
    destroyed: int
    masters: Mapping[str, int]


class Keyring:
    """The data keys of the galleries of one database. All methods are thread-safe.

    Every change is in the key file when a method returns. The caller owns the database, so that no other process
    changes the key file.

    Args:
        path: the key file.
        masters: the master keys.

    Attributes:
        path: the key file.

    Raises:
        KeysUnusable: the key file is missing or damaged, or a master key is missing that wraps one of its keys.
    """

    def __init__(self, path: Path, masters: MasterKeys) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._contents, self._written = read_key_file(path)
        self._keys = _unwrapped(path, self._contents, masters)
        self._masters = masters
        self._ciphers: dict[str, GalleryCipher] = {}
        self.use(masters)

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

    def status(self) -> KeyringStatus:
        """Return what the key file holds."""
        with self._lock:
            contents = self._contents
        wrapping = [key.master for keys in contents.galleries.values() for key in keys.values()]
        counts = {master: wrapping.count(master) for master in sorted(set(wrapping))}
        return KeyringStatus(contents.database, len(contents.galleries), len(contents.destroyed), counts)

    def has(self, uid: str) -> bool:
        """Whether a gallery has a data key here."""
        return uid in self._keys

    def was_destroyed(self, uid: str) -> bool:
        """Whether a gallery was deleted, and its data keys destroyed."""
        return uid in self._contents.destroyed

    def cipher(self, uid: str) -> GalleryCipher:
        """Return what seals and opens the values of a gallery.

        Raises:
            KeysUnusable: it has no data key.
        """
        cipher = self._ciphers.get(uid)
        if cipher is None:
            keys = self._keys.get(uid)
            if keys is None:
                raise KeysUnusable(f"the key file {self.path} has no data key of a gallery")
            cipher = self._ciphers[uid] = GalleryCipher(uid, keys)
        return cipher

    def add(self, count: int) -> list[str]:
        """Make data keys for new galleries, and return the ids of these galleries in the key file.

        Raises:
            StorageError: the key file cannot be written.
        """
        new = {secrets.token_hex(_ID_BYTES): {1: os.urandom(KEY_BYTES)} for _ in range(count)}
        with self._lock:
            self._replace(self._keys | new, self._contents.destroyed, self._masters)
        return list(new)

    def renew(self, uids: Iterable[str]) -> None:
        """Give galleries a new data key each, which seals from now on; the old ones still open.

        Raises:
            StorageError: the key file cannot be written.
        """
        with self._lock:
            renewed = {
                uid: self._keys[uid] | {max(self._keys[uid]) + 1: os.urandom(KEY_BYTES)}
                for uid in uids
                if uid in self._keys
            }
            self._replace(self._keys | renewed, self._contents.destroyed, self._masters)

    def retire(self, uid: str) -> None:
        """Destroy all data keys of a gallery but the newest.

        Raises:
            StorageError: the key file cannot be written.
        """
        with self._lock:
            keys = self._keys.get(uid, {})
            if len(keys) > 1:
                newest = max(keys)
                self._replace(self._keys | {uid: {newest: keys[newest]}}, self._contents.destroyed, self._masters)

    def destroy(self, uid: str) -> None:
        """Destroy the data keys of a gallery: nothing that they sealed can be read again, wherever it is.

        Raises:
            StorageError: the key file cannot be written.
        """
        with self._lock:
            if uid and uid not in self._contents.destroyed:
                rest = {each: keys for each, keys in self._keys.items() if each != uid}
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
            others = sum(
                key.master != masters.current.id for keys in self._contents.galleries.values() for key in keys.values()
            )
            if others:
                self._replace(self._keys, self._contents.destroyed, masters)
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

    def _replace(self, keys: dict[str, dict[int, bytes]], destroyed: frozenset[str], masters: MasterKeys) -> None:
        """Write other keys into the key file, then have them in memory; keys that are wrapped already stay so."""
        self._check_unchanged()
        database, wrapped = self._contents.database, self._contents.galleries
        galleries: dict[str, dict[int, WrappedKey]] = {}
        for uid, numbered in keys.items():
            galleries[uid] = {}
            for number, key in numbered.items():
                found = wrapped.get(uid, {}).get(number)
                if found is None or found.master != masters.current.id:
                    context = _context(database, uid, number)
                    found = WrappedKey(masters.current.id, masters.current.wrap(key, context=context))
                galleries[uid][number] = found
        contents = replace(self._contents, galleries=galleries, destroyed=destroyed)
        self._written = write_key_file(self.path, contents)
        self._contents = contents
        for uid in [uid for uid in self._ciphers if self._keys.get(uid) != keys.get(uid)]:
            del self._ciphers[uid]
        self._keys = keys

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


def _unwrapped(path: Path, contents: KeyFileContents, masters: MasterKeys) -> dict[str, dict[int, bytes]]:
    _check_complete(path, contents, masters)
    keys: dict[str, dict[int, bytes]] = {}
    for uid, wrapped in contents.galleries.items():
        keys[uid] = {}
        for number, key in wrapped.items():
            master = masters.find(key.master) or masters.current
            try:
                keys[uid][number] = master.unwrap(key.wrapped, context=_context(contents.database, uid, number))
            except KeysUnusable as error:
                raise KeysUnusable(f"{path}: {error}; put your copy of the key file back") from error
    return keys


def _check_complete(path: Path, contents: KeyFileContents, masters: MasterKeys) -> None:
    needed = {key.master for keys in contents.galleries.values() for key in keys.values()}
    if missing := sorted(master for master in needed if masters.find(master) is None):
        given = ", ".join(key.id for key in masters.keys)
        raise KeysUnusable(
            f"master key {', '.join(missing)} wraps data keys in {path}, but {masters.source} has only {given}: put "
            "the missing key back; to rotate, put the new key first and keep the old one below it"
        )


def _context(database: str, uid: str, number: int) -> bytes:
    return f"facet data key\0{database}\0{uid}\0{number}".encode()
