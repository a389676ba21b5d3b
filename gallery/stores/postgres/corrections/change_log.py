"""Corrections of who is who in the PostgreSQL store; each is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gallery.records.changes import MovedTemplate, Rearrangement, StoredChange
from gallery.stores.columns import expiry_column
from gallery.stores.postgres.connection.database import Connection, PostgresDatabase
from gallery.stores.postgres.corrections.distinct_pairs import delete_pairs, insert_pairs, subject_keys
from gallery.stores.postgres.inserts import insert_subject, update_subject
from gallery.stores.postgres.keys import gallery_key_of, locked_gallery_key
from gallery.stores.postgres.notes import GALLERY_ITSELF, note_change
from gallery.stores.postgres.rows import TEMPLATE, subject_key_of
from gallery.times import Clock, from_microseconds, to_microseconds

_CHANGE = """
    SELECT change_id, request_id, undo_until, text,
        (SELECT subject_id FROM subjects WHERE key = one_key), (SELECT subject_id FROM subjects WHERE key = other_key)
    FROM changes
"""
_WRITE = """
    INSERT INTO changes (gallery_key, change_id, request_id, one_key, other_key, undo_until, text)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (gallery_key, change_id) DO UPDATE SET
        one_key = EXCLUDED.one_key, other_key = EXCLUDED.other_key, text = EXCLUDED.text
"""
_MOVE = """
    UPDATE templates SET subject_key = %s, expire_time = moved.expire_time
    FROM unnest(%s::TEXT[], %s::BIGINT[]) AS moved (template_id, expire_time)
    WHERE templates.subject_key = %s AND templates.template_id = moved.template_id
"""


class PostgresChangeLog:
    """See :class:`gallery.stores.logs.ChangeLog`.

    Args:
        database: the open database.
        clock: tells what has expired.
    """

    keeps_template_ids = True

    def __init__(self, database: PostgresDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def change(self, gallery_id: str, change_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.logs.ChangeLog.change`."""
        return self._find(gallery_id, "change_id = %(value)s", change_id)

    def change_of_request(self, gallery_id: str, request_id: str) -> StoredChange | None:
        """See :meth:`gallery.stores.logs.ChangeLog.change_of_request`."""
        return self._find(gallery_id, "request_id = %(value)s AND request_id != ''", request_id)

    def changes(self, gallery_id: str, *, before: str = "", limit: int | None = None) -> Sequence[StoredChange]:
        """See :meth:`gallery.stores.logs.ChangeLog.changes`."""
        query = f"""{_CHANGE} WHERE gallery_key = %(gallery)s AND text != ''
            AND (%(before)s = '' OR change_id < %(before)s) ORDER BY change_id DESC LIMIT %(limit)s"""
        with self._database.reading() as connection:
            wanted = {"gallery": gallery_key_of(connection, gallery_id), "before": before, "limit": limit}
            return [_stored(row) for row in connection.execute(query.encode(), wanted)]

    def replace(self, gallery_id: str, change: StoredChange) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.replace`."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE changes SET undo_until = %s, text = %s WHERE gallery_key = %s AND change_id = %s",
                (
                    to_microseconds(change.undo_until),
                    change.text,
                    locked_gallery_key(connection, gallery_id),
                    change.change_id,
                ),
            )

    def holders_of_changes(self, gallery_id: str, subject_id: str) -> Mapping[str, tuple[str, ...]]:
        """See :meth:`gallery.stores.logs.ChangeLog.holders_of_changes`."""
        with self._database.reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            key = subject_key_of(connection, gallery_key, gallery_id, subject_id, self._now())
            query = f"{_CHANGE} WHERE one_key = %(key)s OR other_key = %(key)s"
            rows = connection.execute(query.encode(), {"key": key}).fetchall()
        return {change_id: _holders(one, other) for change_id, _, _, _, one, other in rows}

    def subjects_of_templates(self, gallery_id: str, template_ids: Sequence[str]) -> Mapping[str, str]:
        """See :meth:`gallery.stores.logs.ChangeLog.subjects_of_templates`."""
        query = f"{TEMPLATE} AND templates.gallery_key = %(gallery)s AND template_id = ANY(%(templates)s)"
        with self._database.reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            wanted = {"gallery": gallery_key, "templates": list(template_ids), "now": self._now()}
            return {row[0]: row[2] for row in connection.execute(query.encode(), wanted)}

    def mark(self, gallery_id: str) -> str:
        """See :meth:`gallery.stores.logs.ChangeLog.mark`."""
        with self._database.reading() as connection:
            key = gallery_key_of(connection, gallery_id)
            row = connection.execute("SELECT corrections FROM galleries WHERE key = %s", (key,)).fetchone()
        return "" if row is None else str(row[0])

    def rearrange(self, gallery_id: str, wanted: Rearrangement) -> None:
        """See :meth:`gallery.stores.logs.ChangeLog.rearrange`."""
        with self._database.writing() as connection:
            gallery_key = locked_gallery_key(connection, gallery_id)
            subjects = insert_subject(connection, gallery_key, wanted.created) if wanted.created is not None else 0
            keys = subject_keys(connection, gallery_key, (wanted.from_subject_id, wanted.into_subject_id))
            from_key, into_key = keys[wanted.from_subject_id], keys[wanted.into_subject_id]
            _move(connection, from_key, into_key, wanted.moved)
            if wanted.updated is not None:
                update_subject(connection, keys[wanted.updated.subject_id], wanted.updated)
            insert_pairs(connection, gallery_key, wanted.added_pairs)
            delete_pairs(connection, gallery_key, wanted.removed_pairs)
            for change_id, holders in wanted.holders.items():
                _hold(connection, gallery_key, change_id, holders)
            if wanted.is_removed:
                # What has expired and is not erased yet goes with the rest.
                connection.execute("UPDATE templates SET subject_key = %s WHERE subject_key = %s", (into_key, from_key))
                connection.execute("DELETE FROM subjects WHERE key = %s", (from_key,))
                subjects -= 1
            _write_change(connection, gallery_key, wanted.change)
            connection.execute("UPDATE galleries SET corrections = corrections + 1 WHERE key = %s", (gallery_key,))
            changed = (wanted.from_subject_id, wanted.into_subject_id, GALLERY_ITSELF)
            note_change(connection, gallery_key, self._now(), changed, subjects=subjects)

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
        old = "gallery_key = %s AND undo_until <= %s AND text != ''"
        with self._database.reading() as connection:
            wanted = gallery_key_of(connection, gallery_id), to_microseconds(until)
            is_none = connection.execute(f"SELECT FROM changes WHERE {old}".encode(), wanted).fetchone() is None
        if not is_none:
            with self._database.writing() as connection:
                locked_gallery_key(connection, gallery_id)
                connection.execute(f"UPDATE changes SET text = '', request_id = '' WHERE {old}".encode(), wanted)  # noqa: S608

    def _find(self, gallery_id: str, condition: str, value: str) -> StoredChange | None:
        with self._database.reading() as connection:
            wanted = {"gallery": gallery_key_of(connection, gallery_id), "value": value}
            query = f"{_CHANGE} WHERE gallery_key = %(gallery)s AND {condition}"
            row = connection.execute(query.encode(), wanted).fetchone()
            return None if row is None else _stored(row)

    def _now(self) -> int:
        return to_microseconds(self._clock())


def _move(connection: Connection, from_key: int, into_key: int, moved: Sequence[MovedTemplate]) -> None:
    """Move templates to another subject, with the times at which they expire."""
    ids = [each.template_id for each in moved]
    connection.execute(_MOVE, (into_key, ids, [expiry_column(each.expire_time) for each in moved], from_key))


def _write_change(connection: Connection, gallery_key: int, change: StoredChange) -> None:
    keys = subject_keys(connection, gallery_key, change.holders)
    one, other = (*(keys[subject_id] for subject_id in change.holders), None)[:2]
    until = to_microseconds(change.undo_until)
    connection.execute(_WRITE, (gallery_key, change.change_id, change.request_id, one, other, until, change.text))


def _hold(connection: Connection, gallery_key: int, change_id: str, holders: Sequence[str]) -> None:
    """Let a change depend on other subjects; it goes if none of them exists."""
    keys = list(subject_keys(connection, gallery_key, holders).values())
    one, other = (*keys, None, None)[:2]
    if one is None:
        connection.execute("DELETE FROM changes WHERE gallery_key = %s AND change_id = %s", (gallery_key, change_id))
    else:
        connection.execute(
            "UPDATE changes SET one_key = %s, other_key = %s WHERE gallery_key = %s AND change_id = %s",
            (one, other, gallery_key, change_id),
        )


def _stored(row: tuple[Any, ...]) -> StoredChange:
    change_id, request_id, until, text, one, other = row
    return StoredChange(change_id, request_id, _holders(one, other), from_microseconds(until), text)


def _holders(*subject_ids: str | None) -> tuple[str, ...]:
    return tuple(each for each in subject_ids if each is not None)
