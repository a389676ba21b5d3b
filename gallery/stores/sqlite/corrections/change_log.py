"""Corrections of who is who in the SQLite store; each is one transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from gallery.records.changes import Rearrangement, StoredChange
from gallery.records.templates import StoredFace
from gallery.stores.sqlite.corrections.distinct_pairs import delete_pairs, insert_pairs, subject_keys
from gallery.stores.sqlite.corrections.moving import move_templates
from gallery.stores.sqlite.inserts import add_to_counts, face_rows, update_subject
from gallery.stores.sqlite.rows import TEMPLATE, gallery_key_of, subject_key_of
from gallery.stores.sqlite.sealing.encryption import DatabaseEncryption
from gallery.stores.sqlite.sealing.sealed_values import CHANGE, Sealer
from gallery.times import from_microseconds, to_microseconds

_COLUMNS = """change_id, request_id, undo_until, text,
    (SELECT subject_id FROM subjects WHERE key = one_key), (SELECT subject_id FROM subjects WHERE key = other_key)"""

Transactions = Callable[..., AbstractContextManager[sqlite3.Connection]]


class SqliteChangeLog:
    """See :class:`gallery.stores.logs.ChangeLog`.

    Args:
        reading: gives the connection for reading.
        writing: runs a transaction; with ``erases``, its traces are erased later.
        encryption: seals and opens values.
    """

    keeps_template_ids = True

    def __init__(self, reading: Transactions, writing: Transactions, encryption: DatabaseEncryption) -> None:
        self._reading = reading
        self._writing = writing
        self._encryption = encryption
        self._made: Counter[int] = Counter()
        """Corrections and undoings by gallery key, since the file was opened: no other process makes any."""

    def change(self, gallery_id: str, change_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.logs.ChangeLog.change`."""
        return self._find(gallery_id, "change_id", change_id)

    def change_of_request(self, gallery_id: str, request_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.logs.ChangeLog.change_of_request`."""
        return self._find(gallery_id, "request_id", request_id) if request_id else None

    def changes(self, gallery_id: str, *, before: str = "", limit: int | None = None) -> Sequence[StoredChange]:
        """See :meth:`gallery.stores.logs.ChangeLog.changes`."""
        query = f"""SELECT {_COLUMNS} FROM changes WHERE gallery_key = ? AND text != '' AND (? = '' OR change_id < ?)
            ORDER BY change_id DESC LIMIT ?"""  # noqa: S608 - a constant
        with self._reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            rows = connection.execute(query, (gallery_key, before, before, -1 if limit is None else limit)).fetchall()
            return [self._stored(row) for row in rows]

    def replace(self, gallery_id: str, change: StoredChange) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.replace`."""
        with self._writing(erases=True) as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            sealer = self._encryption.sealer_of(connection, gallery_key)
            connection.execute(
                "UPDATE changes SET undo_until = ?, text = ? WHERE gallery_key = ? AND change_id = ?",
                (
                    to_microseconds(change.undo_until),
                    sealer.text(change.text, CHANGE, change.change_id),
                    gallery_key,
                    change.change_id,
                ),
            )

    def holders_of_changes(self, gallery_id: str, subject_id: str) -> Mapping[str, tuple[str, ...]]:
        """See :meth:`gallery.stores.logs.ChangeLog.holders_of_changes`."""
        with self._reading() as connection:
            key = subject_key_of(connection, gallery_id, subject_id)
            query = f"SELECT {_COLUMNS} FROM changes WHERE one_key = ?1 OR other_key = ?1"  # noqa: S608 - a constant
            rows = connection.execute(query, (key,)).fetchall()
        return {change_id: _holders(one, other) for change_id, _, _, _, one, other in rows}

    def subjects_of_templates(self, gallery_id: str, template_ids: Sequence[str]) -> Mapping[str, str]:
        """See :meth:`gallery.stores.logs.ChangeLog.subjects_of_templates`."""
        found: dict[str, str] = {}
        with self._reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            for template_id in template_ids:
                row = connection.execute(
                    TEMPLATE + "AND templates.gallery_key = ? AND template_id = ?", (gallery_key, template_id)
                ).fetchone()
                if row is not None:
                    found[template_id] = row[2]
        return found

    def mark(self, gallery_id: str) -> str:
        """See :meth:`gallery.stores.logs.ChangeLog.mark`."""
        with self._reading() as connection:  # which waits for the end of a transaction
            return str(self._made[gallery_key_of(connection, gallery_id)])

    def rearrange(self, gallery_id: str, wanted: Rearrangement) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.rearrange`."""
        with self._writing(erases=True) as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            sealer = self._encryption.sealer_of(connection, gallery_key)
            if wanted.created is not None:
                created = StoredFace(wanted.created, None, None, None)
                add_to_counts(
                    connection, gallery_key, subjects=face_rows(gallery_key, [created], sealer).insert(connection)
                )
            keys = subject_keys(connection, gallery_key, (wanted.from_subject_id, wanted.into_subject_id))
            from_key, into_key = keys[wanted.from_subject_id], keys[wanted.into_subject_id]
            move_templates(
                connection,
                (from_key, into_key),
                (wanted.from_subject_id, wanted.into_subject_id),
                wanted.moved,
                opener=self._encryption.opener,
                sealer=sealer,
                all_of_them=wanted.is_removed,
            )
            if wanted.updated is not None:
                update_subject(connection, keys[wanted.updated.subject_id], wanted.updated, sealer)
            insert_pairs(connection, gallery_key, wanted.added_pairs)
            delete_pairs(connection, gallery_key, wanted.removed_pairs)
            for change_id, holders in wanted.holders.items():
                _hold(connection, gallery_key, change_id, holders)
            if wanted.is_removed:
                connection.execute("DELETE FROM subjects WHERE key = ?", (from_key,))
                add_to_counts(connection, gallery_key, subjects=-1)
            _write_change(connection, gallery_key, wanted.change, sealer)
            self._made[gallery_key] += 1

    def finish(
        self,
        gallery_id: str,  # noqa: ARG002 - nothing dies halfway
        subject_ids: Sequence[str] = (),  # noqa: ARG002 - as above
        *,
        change_id: str = "",  # noqa: ARG002 - as above
    ) -> tuple[()]:
        """See :meth:`gallery.stores.logs.ChangeLog.finish`: a correction is one transaction."""
        return ()

    def erase_old(self, gallery_id: str, *, until: datetime) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.erase_old`."""
        old = "gallery_key = ? AND undo_until <= ? AND text != ''"
        with self._reading() as connection:
            wanted = gallery_key_of(connection, gallery_id), to_microseconds(until)
            is_none = connection.execute(f"SELECT 1 FROM changes WHERE {old}", wanted).fetchone() is None  # noqa: S608
        if is_none:
            return
        with self._writing(erases=True) as connection:
            connection.execute(f"UPDATE changes SET text = '', request_id = '' WHERE {old}", wanted)  # noqa: S608

    def _find(self, gallery_id: str, column: str, value: str) -> StoredChange | None:
        with self._reading() as connection:
            query = f"SELECT {_COLUMNS} FROM changes WHERE gallery_key = ? AND {column} = ?"  # noqa: S608 - constants
            row = connection.execute(query, (gallery_key_of(connection, gallery_id), value)).fetchone()
            return None if row is None else self._stored(row)

    def _stored(self, row: tuple[str, str, int, str, str | None, str | None]) -> StoredChange:
        change_id, request_id, until, text, one, other = row
        opened = self._encryption.opener.text(text, CHANGE, change_id)
        return StoredChange(change_id, request_id, _holders(one, other), from_microseconds(until), opened)


def _write_change(connection: sqlite3.Connection, gallery_key: int, change: StoredChange, sealer: Sealer) -> None:
    keys = subject_keys(connection, gallery_key, change.holders)
    one, other = (*(keys[subject_id] for subject_id in change.holders), None)[:2]
    connection.execute(
        """INSERT INTO changes (gallery_key, change_id, request_id, one_key, other_key, undo_until, text)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gallery_key, change_id) DO UPDATE SET
            one_key = excluded.one_key, other_key = excluded.other_key, text = excluded.text""",
        (
            gallery_key,
            change.change_id,
            change.request_id,
            one,
            other,
            to_microseconds(change.undo_until),
            sealer.text(change.text, CHANGE, change.change_id),
        ),
    )


def _hold(connection: sqlite3.Connection, gallery_key: int, change_id: str, holders: Sequence[str]) -> None:
    """Let a change depend on other subjects; it goes if none of them exists."""
    keys = list(subject_keys(connection, gallery_key, holders).values())
    one, other = (*keys, None, None)[:2]
    if one is None:
        connection.execute("DELETE FROM changes WHERE gallery_key = ? AND change_id = ?", (gallery_key, change_id))
    else:
        connection.execute(
            "UPDATE changes SET one_key = ?, other_key = ? WHERE gallery_key = ? AND change_id = ?",
            (one, other, gallery_key, change_id),
        )


def _holders(*subject_ids: str | None) -> tuple[str, ...]:
    return tuple(each for each in subject_ids if each is not None)
