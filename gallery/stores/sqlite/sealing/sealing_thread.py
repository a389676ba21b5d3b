"""The thread that seals what is not sealed yet, and that follows the master keys."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import MasterKeySource
from gallery.encryption.values import CannotOpen
from gallery.errors import StorageError
from gallery.log import Log
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.sealing.resealing import GalleryGone, Resealing

_WATCH_SECONDS = 0.3
_RETRY_SECONDS = 10.0
_REPORT_SECONDS = 10.0
_PATIENCE = 10.0
_GALLERIES = """
    SELECT key, gallery_id, data_keys, sealed_under, template_count FROM galleries
    WHERE data_keys != '' AND NOT hidden ORDER BY key"""


class SealingThread:
    """Seals an encrypted database in the background, and wraps its data keys anew when the master key changes.

    Args:
        database: the database.
        keyring: its data keys.
        source: where the master keys come from.
        version: what :meth:`MasterKeySource.version` said before they were read.
        log: gets the progress. It names galleries, and neither people nor keys.
    """

    def __init__(
        self, database: SqliteDatabase, keyring: Keyring, source: MasterKeySource, version: object, log: Log
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._source = source
        self._version = self._seen = self._failed = version
        self._retry_at = 0.0
        self._log = log
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sqlite-sealing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the transaction that is running."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._seal_and_follow()
            except Exception as error:
                # The message may quote anything. Master keys must be followed all the same.
                self._log.error("encryption goes on after an unexpected error", problem=type(error).__name__)
                self._closing.wait(_RETRY_SECONDS)

    def _seal_and_follow(self) -> None:
        is_done, retry_at = False, 0.0
        while not self._closing.is_set():
            if not is_done and time.monotonic() >= retry_at:
                try:
                    is_done = self._seal_all()
                except (StorageError, CannotOpen) as error:
                    if not self._closing.is_set():
                        self._log.error("encryption was interrupted", problem=str(error))
                retry_at = time.monotonic() + _RETRY_SECONDS
            self._follow_master_keys()
            self._closing.wait(_WATCH_SECONDS)

    def _seal_all(self) -> bool:
        """Seal all galleries; return whether nothing is left to do."""
        with self._database.reading() as connection:
            galleries = connection.execute(_GALLERIES).fetchall()
        galleries = [each for each in galleries if self._keyring.has(each[2])]
        pending = [each for each in galleries if each[3] != self._keyring.newest(each[2]).key_id.hex()]
        for number, (key, gallery_id, uid, _, templates) in enumerate(pending, start=1):
            self._log.info("encrypting", gallery=gallery_id, templates=templates, number=number, of=len(pending))
            with suppress(GalleryGone):
                self._seal(key, gallery_id, uid, templates)
            if self._closing.is_set():
                return False
        # Until nothing is left of what was plain, and before old keys are destroyed.
        self._database.erase_traces(patience=_PATIENCE)
        for _, _, uid, *_ in galleries:
            self._keyring.retire(uid)
        self._log.info("encrypted", galleries=len(galleries))
        return True

    def _seal(self, key: int, gallery_id: str, uid: str, templates: int) -> None:
        done, report_at = 0, time.monotonic() + _REPORT_SECONDS
        for count in Resealing(self._database, self._keyring, key, uid).run():
            done += count
            self._follow_master_keys()
            if self._closing.is_set():
                return
            if time.monotonic() >= report_at:
                report_at += _REPORT_SECONDS
                self._log.info("encrypting", gallery=gallery_id, done=done, templates=templates)

    def _follow_master_keys(self) -> None:
        version, seen = self._source.version(), self._seen
        self._seen = version
        # A file that has just changed may still be written.
        if version in (self._version, None) or version != seen:
            return
        is_repeated = version == self._failed
        if is_repeated and time.monotonic() < self._retry_at:
            return
        try:
            masters = self._source.read()
            wrapped = self._keyring.use(masters)
        except StorageError as error:
            # The disk may be full for a while, so the same file is tried again.
            self._failed, self._retry_at = version, time.monotonic() + _RETRY_SECONDS
            if not is_repeated:
                self._log.error("the master keys that were read last stay in use", problem=str(error))
        else:
            self._version = version
            self._log.info("master keys", current=masters.current.id, data_keys_wrapped=wrapped)
