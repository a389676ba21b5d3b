"""The encryption of an open database: what opens its values, what seals them, and who looks after its keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gallery.encryption.master_keys import MasterKeySource
from gallery.log import Log
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.sealing.database_keys import open_keyring
from gallery.stores.sqlite.sealing.sealed_values import Opener, Sealer
from gallery.stores.sqlite.sealing.sealing_thread import SealingThread


class DatabaseEncryption:
    """The encryption of an open database; without master keys, values are stored and read as they are.

    Args:
        database: the database.
        source: where the master keys come from; ``None`` if the database is not encrypted.
        log: gets the progress of the thread that seals what is not sealed yet.

    Attributes:
        opener: opens values.

    Raises:
        KeysUnusable: see :func:`gallery.stores.sqlite.sealing.database_keys.open_keyring`.
        StorageError: something cannot be read or written.
    """

    def __init__(self, database: SqliteDatabase, source: MasterKeySource | None, log: Log) -> None:
        self._database = database
        self._source = source
        self._version = None if source is None else source.version()
        self._log = log
        self._keyring = open_keyring(database, None if source is None else source.read())
        self.opener = Opener(self._keyring)
        self._thread: SealingThread | None = None

    @property
    def is_on(self) -> bool:
        """Whether the database is encrypted."""
        return self._keyring is not None

    def destroyed(self, connection: sqlite3.Connection) -> list[int]:
        """Return the keys of galleries whose data keys were destroyed: a restored backup still has their rows."""
        if self._keyring is None:
            return []
        rows = connection.execute("SELECT key, gallery_id, data_keys FROM galleries WHERE NOT hidden").fetchall()
        found = [(key, gallery_id) for key, gallery_id, uid in rows if self._keyring.was_destroyed(uid)]
        for _, gallery_id in found:
            self._log.info("removing a gallery that was deleted after the backup was made", gallery=gallery_id)
        return [key for key, _ in found]

    def start(self) -> None:
        """Seal what is not sealed yet, and follow the master keys, in a thread."""
        if self._keyring is not None and self._source is not None:
            self._thread = SealingThread(self._database, self._keyring, self._source, self._version, self._log)

    def sealer_of(self, connection: sqlite3.Connection, gallery_key: int) -> Sealer:
        """Return what seals the values of a gallery."""
        if self._keyring is None:
            return Sealer()
        (uid,) = connection.execute("SELECT data_keys FROM galleries WHERE key = ?", (gallery_key,)).fetchone()
        return Sealer(uid, self._keyring.newest(uid))

    def new_sealer(self) -> Sealer:
        """Make a data key for a new gallery, and return what seals its values; :meth:`keep` puts it in the key file."""
        return Sealer() if self._keyring is None else Sealer(*self._keyring.make())

    def keep(self, sealer: Sealer) -> None:
        """Put the data key of a new gallery, whose hidden row names it, into the key file.

        A crash before the row is there would leave the key for ever, because backups of the database may need it.

        Raises:
            StorageError: the key file cannot be written.
        """
        if self._keyring is not None and sealer.key is not None:
            self._keyring.keep(sealer.uid, sealer.key)

    def destroy(self, uids: Sequence[str]) -> None:
        """Destroy the data keys of deleted galleries; empty ids are ignored.

        Raises:
            StorageError: the key file cannot be written.
        """
        if self._keyring is not None:
            for uid in uids:
                self._keyring.destroy(uid)

    def check(self) -> None:
        """Check that the key file can be read after a restart; see :meth:`gallery.encryption.keyring.Keyring.check`.

        Raises:
            StorageError: it cannot.
        """
        if self._keyring is not None:
            self._keyring.check()

    def close(self) -> None:
        """Stop the thread."""
        if self._thread is not None:
            self._thread.close()
