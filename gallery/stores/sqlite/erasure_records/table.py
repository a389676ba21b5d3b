"""The table of erasures in the SQLite store."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gallery.records.erasures import Erasure, ErasureCause, ErasureOutcome
from gallery.times import from_microseconds, to_microseconds

_COLUMNS = """erasure_id, gallery_id, subject_hash, cause, subjects, templates, crops, requests, erase_time, gone_time,
    outcome, values_searched, values_kept, bytes_searched, bytes_present, other_files, key_destroyed"""


@dataclass(frozen=True, slots=True)
class Check:
    """What a search of the files found; see :class:`gallery.records.erasures.Erasure`."""

    outcome: ErasureOutcome
    values_searched: int = 0
    values_kept: int = 0
    bytes_searched: int = 0
    bytes_present: int = 0
    other_files: int = 0


def subject_hash(connection: sqlite3.Connection, gallery_id: str, subject_id: str) -> str:
    """Return the keyed hash of a subject, hexadecimal."""
    (secret,) = connection.execute("SELECT secret FROM erasure_key").fetchone()
    return hmac.new(secret, f"{gallery_id}\0{subject_id}".encode(), hashlib.sha256).hexdigest()


def insert(connection: sqlite3.Connection, erasure: Erasure, *, gallery_key: int | None = None) -> None:
    """Insert a record; ``gallery_key`` is that of a hidden gallery whose rows are still to be removed."""
    connection.execute(
        """INSERT INTO erasures (erasure_id, gallery_id, subject_hash, cause, subjects, templates, crops, requests,
            erase_time, gallery_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            erasure.erasure_id,
            erasure.gallery_id,
            erasure.subject_hash,
            erasure.cause.value,
            erasure.subjects,
            erasure.templates,
            erasure.crops,
            erasure.requests,
            to_microseconds(erasure.erase_time),
            gallery_key,
        ),
    )


def add_counts(connection: sqlite3.Connection, erasure_id: str, *, crops: int, requests: int) -> None:
    """Add to the counts of a gallery that is being removed."""
    connection.execute(
        "UPDATE erasures SET crops = crops + ?, requests = requests + ? WHERE erasure_id = ?",
        (crops, requests, erasure_id),
    )


def incomplete(connection: sqlite3.Connection) -> list[tuple[str, int | None]]:
    """Return the ids of incomplete records, each with the key of the hidden gallery that it is about, if any."""
    return list(connection.execute("SELECT erasure_id, gallery_key FROM erasures WHERE outcome = ''"))


def complete(connection: sqlite3.Connection, erasure_id: str, gone_time: datetime, check: Check) -> Erasure | None:
    """Complete a record and return it; ``None`` if its transaction was rolled back."""
    connection.execute(
        """UPDATE erasures SET gone_time = ?, outcome = ?, values_searched = ?, values_kept = ?, bytes_searched = ?,
            bytes_present = ?, other_files = ?, gallery_key = NULL WHERE erasure_id = ?""",
        (
            to_microseconds(gone_time),
            check.outcome.value,
            check.values_searched,
            check.values_kept,
            check.bytes_searched,
            check.bytes_present,
            check.other_files,
            erasure_id,
        ),
    )
    row = connection.execute(f"SELECT {_COLUMNS} FROM erasures WHERE erasure_id = ?", (erasure_id,)).fetchone()  # noqa: S608 - a constant
    return None if row is None else _erasure_of(row)


def select(
    connection: sqlite3.Connection, gallery_id: str, subject: str, *, since: datetime, after: str, limit: int
) -> Sequence[Erasure]:
    """List records by id, after an id.

    Args:
        connection: the database.
        gallery_id: only those of this gallery; empty for all.
        subject: only those of the subject with this hash; empty for all.
        since: only erasures since then.
        after: an id; empty for the first.
        limit: the most records.
    """
    rows = connection.execute(
        f"""SELECT {_COLUMNS} FROM erasures
        WHERE erasure_id > ?1 AND (?2 = '' OR gallery_id = ?2) AND (?3 = '' OR subject_hash = ?3) AND erase_time >= ?4
        ORDER BY erasure_id LIMIT ?5""",  # noqa: S608 - a constant
        (after, gallery_id, subject, to_microseconds(since), limit),
    )
    return [_erasure_of(row) for row in rows]


def delete_before(connection: sqlite3.Connection, time: datetime) -> None:
    """Delete complete records of erasures before a time."""
    connection.execute("DELETE FROM erasures WHERE outcome != '' AND erase_time < ?", (to_microseconds(time),))


def _erasure_of(row: tuple[Any, ...]) -> Erasure:
    erasure_id, gallery_id, subject, cause, subjects, templates, crops, requests, erased, gone, outcome, *rest = row
    values_searched, values_kept, bytes_searched, bytes_present, other_files, key_destroyed = rest
    return Erasure(
        erasure_id,
        gallery_id,
        subject,
        ErasureCause(cause),
        subjects,
        templates,
        crops,
        requests,
        from_microseconds(erased),
        None if gone is None else from_microseconds(gone),
        ErasureOutcome(outcome),
        values_searched,
        values_kept,
        bytes_searched,
        bytes_present,
        other_files,
        key_destroyed=bool(key_destroyed),
    )
