"""The records of erasures in the SQLite store, from the erasing transaction to the proof that the bytes are gone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gallery.records.erasures import Erasure, ErasureCause, MadeCopy
from gallery.records.expired import Expired
from gallery.stores.sqlite.erasure_records import table
from gallery.stores.sqlite.erasure_records.checker import ErasureChecker, GoneErasure
from gallery.stores.sqlite.erasure_records.evidence import Evidence
from gallery.stores.sqlite.erasure_records.made_copies import note_copy, read_copies
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.times import new_id, now

_MOST_VALUES = 256
"""Values of one erased gallery that are searched for."""


@dataclass(frozen=True, slots=True)
class _Erasing:
    erasure_id: str
    evidence: Evidence | None


class ErasureLedger:
    """Records every erasure in the transaction that erases, and completes the record when the bytes are gone.

    A record is written with the deletion, so no crash separates them. The thread that deletes holds it until it has
    removed the rows from the index, too, and calls :meth:`release`. As soon as the files have no traces of anything, a
    thread of the ledger's own searches them for the bytes, and completes the record. Records that an earlier process
    left incomplete are completed without a search: their bytes are not known any more.

    Args:
        database: the open database.
        removing: the keys of hidden galleries whose rows are still to be removed.
        keep: how long records are kept.

    Attributes:
        on_checked: called with each completed record, on the ledger's thread; may be replaced.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        removing: Iterable[int],
        *,
        keep: timedelta,
    ) -> None:
        self._database = database
        self._keep = keep
        self._lock = threading.Lock()
        self._held: dict[int, list[_Erasing]] = {}
        self._released: list[_Erasing] = []
        self._galleries: dict[int, _Erasing] = {}
        self.on_checked: Callable[[Erasure], None] = _no_note
        self._checker = ErasureChecker(database, lambda erasure: self.on_checked(erasure))
        left = set(removing)
        with database.reading() as connection:
            for erasure_id, gallery_key in table.incomplete(connection):
                if gallery_key in left:
                    self._galleries[gallery_key] = _Erasing(erasure_id, None)
                else:
                    self._released.append(_Erasing(erasure_id, None))
        database.run_every_round(self.settle)

    def note_subject(
        self, connection: sqlite3.Connection, cause: ErasureCause, gallery_id: str, subject_id: str, subject_key: int
    ) -> None:
        """Record the erasure of a subject, in the transaction that deletes it, and before that."""
        self._note_subject(connection, cause, gallery_id, subject_id, subject_key)
        table.delete_before(connection, now() - self._keep)

    def note_template(
        self, connection: sqlite3.Connection, cause: ErasureCause, gallery_id: str, subject_id: str, template_key: int
    ) -> None:
        """Record the erasure of a template, in the transaction that deletes it, and before that."""
        self._note(connection, Evidence(), cause, gallery_id, subject_id, [template_key], subjects=0)
        table.delete_before(connection, now() - self._keep)

    def note_expired(self, connection: sqlite3.Connection, gallery_id: str, gallery_key: int, expired: Expired) -> None:
        """Record the erasure of what has expired, in the transaction that deletes it, and before that."""
        query = "SELECT key FROM templates WHERE gallery_key = ? AND template_id = ?"
        for subject_id, template_id in expired.templates:
            for key in _keys(connection, query, gallery_key, template_id):
                self._note(
                    connection, Evidence(), ErasureCause.TEMPLATE_EXPIRED, gallery_id, subject_id, [key], subjects=0
                )
        query = "SELECT key FROM subjects WHERE gallery_key = ? AND subject_id = ?"
        for subject_id in expired.subject_ids:
            for key in _keys(connection, query, gallery_key, subject_id):
                self._note_subject(connection, ErasureCause.SUBJECT_EXPIRED, gallery_id, subject_id, key)
        # Once for all of them: it reads all records.
        table.delete_before(connection, now() - self._keep)

    def note_gallery(self, connection: sqlite3.Connection, gallery_id: str, gallery_key: int) -> None:
        """Record the erasure of a gallery, in the transaction that hides it; its rows are removed later."""
        query = "SELECT subject_count, template_count FROM galleries WHERE key = ?"
        subjects, templates = connection.execute(query, (gallery_key,)).fetchone()
        erasing = _Erasing(new_id(), Evidence())
        cause = ErasureCause.GALLERY_DELETED
        record = Erasure(erasing.erasure_id, gallery_id, "", cause, subjects, templates, 0, 0, now())
        table.insert(connection, record, gallery_key=gallery_key)
        table.delete_before(connection, now() - self._keep)
        with self._lock:
            self._galleries[gallery_key] = erasing

    def removing(self, connection: sqlite3.Connection, gallery_key: int, template_keys: Sequence[int]) -> None:
        """Take note of some templates of a hidden gallery, in the transaction that removes them, and before that."""
        with self._lock:
            erasing = self._galleries.get(gallery_key)
        if erasing is None:
            return  # the remains of an import
        crops, requests = _counts(connection, template_keys)
        table.add_counts(connection, erasing.erasure_id, crops=crops, requests=requests)
        if erasing.evidence is not None and len(erasing.evidence.values) < _MOST_VALUES:
            erasing.evidence.add_templates(connection, template_keys)

    def removed(self, gallery_key: int) -> None:
        """Take note that all rows of a hidden gallery are removed."""
        with self._lock:
            erasing = self._galleries.pop(gallery_key, None)
            if erasing is not None:
                self._released.append(erasing)

    def release(self) -> None:
        """Take note that what this thread has erased is in no index any more."""
        with self._lock:
            self._released += self._held.pop(threading.get_ident(), [])

    def settle(self) -> None:
        """Have the erasures checked that were released, if the files have no traces of them any more."""
        with self._lock:
            released = tuple(self._released)
        # Read afterwards: their transactions are over, so the traces of all of them are gone if there are none.
        if not released or self._database.has_traces:
            return
        gone_time = now()
        with self._lock:
            still_released = {each.erasure_id for each in self._released}
            gone = [each for each in released if each.erasure_id in still_released]
            gone_ids = {each.erasure_id for each in gone}
            self._released = [each for each in self._released if each.erasure_id not in gone_ids]
        self._checker.check([GoneErasure(each.erasure_id, each.evidence, gone_time) for each in gone])

    def records(
        self, gallery_id: str, subject_id: str, *, since: datetime, after: str, limit: int
    ) -> Sequence[Erasure]:
        """See :meth:`gallery.stores.logs.ErasureLog.records`."""
        with self._database.reading() as connection:
            subject = table.subject_hash(connection, gallery_id, subject_id) if subject_id else ""
            since = max(since, now() - self._keep)
            return table.select(connection, gallery_id, subject, since=since, after=after, limit=limit)

    def copies(self) -> Sequence[MadeCopy]:
        """See :meth:`gallery.stores.logs.ErasureLog.copies`."""
        return read_copies(self._database.path)

    def note_copy(self, kind: str, gallery_id: str) -> None:
        """See :meth:`gallery.stores.logs.ErasureLog.note_copy`."""
        note_copy(self._database.path, kind, gallery_id)

    def close(self) -> None:
        """Complete the records of what is gone; the next process completes the others."""
        self.settle()
        self._checker.close()

    def _note_subject(
        self, connection: sqlite3.Connection, cause: ErasureCause, gallery_id: str, subject_id: str, subject_key: int
    ) -> None:
        keys = _keys(connection, "SELECT key FROM templates WHERE subject_key = ? ORDER BY key", subject_key)
        evidence = Evidence()
        evidence.add_subject(connection, subject_key)
        self._note(connection, evidence, cause, gallery_id, subject_id, keys, subjects=1)

    def _note(
        self,
        connection: sqlite3.Connection,
        evidence: Evidence,
        cause: ErasureCause,
        gallery_id: str,
        subject_id: str,
        template_keys: Sequence[int],
        *,
        subjects: int,
    ) -> None:
        evidence.add_templates(connection, template_keys)
        crops, requests = _counts(connection, template_keys)
        erasing = _Erasing(new_id(), evidence)
        subject = table.subject_hash(connection, gallery_id, subject_id)
        templates = len(template_keys)
        record = Erasure(erasing.erasure_id, gallery_id, subject, cause, subjects, templates, crops, requests, now())
        table.insert(connection, record)
        with self._lock:
            self._held.setdefault(threading.get_ident(), []).append(erasing)


def _no_note(_: Erasure) -> None:
    """Take no note."""


def _keys(connection: sqlite3.Connection, query: str, *parameters: int | str) -> list[int]:
    return [key for (key,) in connection.execute(query, parameters)]


def _counts(connection: sqlite3.Connection, template_keys: Sequence[int]) -> tuple[int, int]:
    """Return the number of crops and of requests of templates."""
    counts = []
    for kind in ("crops", "requests"):
        query = f"SELECT COUNT(*) FROM {kind} WHERE template_key = ?"  # noqa: S608 - one of the two above
        counts.append(sum(connection.execute(query, (key,)).fetchone()[0] for key in template_keys))
    crops, requests = counts
    return crops, requests
