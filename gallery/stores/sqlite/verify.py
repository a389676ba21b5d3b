"""What is wrong with an SQLite database of galleries, if anything: all of it is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gallery.calibration import serialization as calibration_json
from gallery.calibration.serialization import InvalidCalibration
from gallery.errors import SchemaTooNew, StorageError
from gallery.stores.sqlite.files import connect_to_read, integrity_problems
from gallery.stores.sqlite.rows import BadRow, embeddings_of, microseconds
from gallery.stores.sqlite.schema import schema_version

_READ_AT_ONCE = 4096
_OLDEST, _NEWEST = (microseconds(time.replace(tzinfo=UTC)) for time in (datetime.min, datetime.max))

# What is read as text is found to be text, or not.
_TEXTS_OF_SUBJECTS = "SELECT subject_id, display_name, etag FROM subjects WHERE gallery_key = ?"
_TEXTS_OF_TEMPLATES = "SELECT template_id, picture_sha256, embedding FROM templates WHERE gallery_key = ?"
_TIMES = """
    WITH times AS (
        SELECT create_time AS one, update_time AS other FROM galleries WHERE key = :key
        UNION ALL SELECT create_time, update_time FROM subjects WHERE gallery_key = :key
        UNION ALL SELECT create_time, create_time FROM templates WHERE gallery_key = :key
    )
    SELECT MIN(one), MAX(one), MIN(other), MAX(other) FROM times
"""


@dataclass(frozen=True, slots=True)
class StoredGallery:
    """A gallery as a database has it.

    Attributes:
        gallery_id: the gallery.
        contract: the embedding contract that its templates are of.
        dimension: how many values its embeddings have; 0 without any.
        subjects: how many it holds.
        templates: how many it holds.
    """

    gallery_id: str
    contract: str
    dimension: int
    subjects: int
    templates: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        schema_version: of the database; 0 where it could not be read.
        size: of the file, bytes.
        galleries: by id; those that could be read.
        unfinished: how many galleries an import has not finished, or a deletion has not removed, yet.
        problems: what is wrong; empty where nothing is.
    """

    schema_version: int
    size: int
    galleries: tuple[StoredGallery, ...]
    unfinished: int
    problems: tuple[str, ...]


def verify(path: Path) -> Verification:
    """Read a database, whether a server has it open or not, and say what is wrong with it.

    SQLite checks its structure (``PRAGMA integrity_check``) and its references; the embeddings must be of unit length,
    and of one dimension in all galleries of a contract; the counts of every gallery must be right, and its calibration
    readable.

    Raises:
        StorageUnavailable: there is no such file.
        StorageBusy: another process holds SQLite's own lock.
        SchemaTooNew: a newer version wrote it, so that this one does not know what is right.
    """
    found: list[StoredGallery] = []
    problems: list[str] = []
    version = unfinished = 0
    size = path.stat().st_size if path.is_file() else 0
    try:
        with connect_to_read(path) as connection:
            version = schema_version(connection, path)
            problems += integrity_problems(connection)
            unfinished, keys = _galleries(connection, version)
            for key in keys:
                gallery, wrong = _look_at(connection, key, version)
                found.append(gallery)
                problems += wrong
            problems += _of_contracts(found)
    except SchemaTooNew:
        raise
    except StorageError as error:
        if not size:
            raise
        problems.append(str(error))
    return Verification(version, size, tuple(found), unfinished, tuple(problems))


def _galleries(connection: sqlite3.Connection, version: int) -> tuple[int, list[int]]:
    """How many are hidden, and the keys of those that are not."""
    hidden = "hidden" if version > 1 else "0"
    rows = connection.execute(f"SELECT key, {hidden} FROM galleries ORDER BY gallery_id").fetchall()  # noqa: S608
    return sum(is_hidden for _, is_hidden in rows), [key for key, is_hidden in rows if not is_hidden]


def _look_at(connection: sqlite3.Connection, key: int, version: int) -> tuple[StoredGallery, list[str]]:
    problems: list[str] = []
    gallery_id, contract = connection.execute(
        "SELECT gallery_id, contract FROM galleries WHERE key = ?", (key,)
    ).fetchone()
    problems += _misdated(connection, key, gallery_id)
    if version > 2:
        problems += _miscalibrated(connection, key, gallery_id)
    subjects = sum(1 for _ in connection.execute(_TEXTS_OF_SUBJECTS, (key,)))
    templates, dimensions = 0, set()
    for blobs in _embeddings(connection, key):
        templates += len(blobs)
        try:
            dimensions.add(embeddings_of(blobs).shape[1])
        except BadRow as error:
            problems.append(f"gallery {gallery_id!r}: {error}")
            break
    else:
        if version > 1:
            problems += _miscounted(connection, key, subjects, templates)
    if len(dimensions) > 1:
        problems.append(f"gallery {gallery_id!r}: embeddings differ in length")
    return StoredGallery(gallery_id, contract, max(dimensions, default=0), subjects, templates), problems


def _embeddings(connection: sqlite3.Connection, key: int) -> Iterator[list[bytes]]:
    rows = connection.execute(_TEXTS_OF_TEMPLATES, (key,))
    while found := rows.fetchmany(_READ_AT_ONCE):
        yield [blob for *_, blob in found]


def _misdated(connection: sqlite3.Connection, key: int, gallery_id: str) -> list[str]:
    times = connection.execute(_TIMES, {"key": key}).fetchone()
    return [] if all(_OLDEST <= time <= _NEWEST for time in times) else [f"gallery {gallery_id!r}: a time is none"]


def _miscalibrated(connection: sqlite3.Connection, key: int, gallery_id: str) -> list[str]:
    (text,) = connection.execute("SELECT calibration FROM galleries WHERE key = ?", (key,)).fetchone()
    try:
        calibration_json.from_text(text)
    except InvalidCalibration as error:
        return [f"gallery {gallery_id!r}: its calibration is not as it was written: {error}"]
    return []


def _miscounted(connection: sqlite3.Connection, key: int, subjects: int, templates: int) -> list[str]:
    gallery_id, *said = connection.execute(
        "SELECT gallery_id, subject_count, template_count FROM galleries WHERE key = ?", (key,)
    ).fetchone()
    if said == [subjects, templates]:
        return []
    return [
        f"gallery {gallery_id!r} is said to hold {said[0]} subjects and {said[1]} templates, "
        f"and holds {subjects} and {templates}"
    ]


def _of_contracts(galleries: list[StoredGallery]) -> list[str]:
    problems = []
    for contract in sorted({gallery.contract for gallery in galleries}):
        of_contract = [gallery for gallery in galleries if gallery.contract == contract and gallery.dimension]
        dimensions = sorted({gallery.dimension for gallery in of_contract})
        if len(dimensions) > 1:
            problems.append(f"galleries of contract {contract!r} differ in dimension: {dimensions}")
    return problems
