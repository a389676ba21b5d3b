"""Rows of the SQLite store: how they are found, and how they become records."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.calibration import serialization as calibration_json
from gallery.calibration.serialization import InvalidCalibration
from gallery.errors import GalleryNotFound, SubjectNotFound, TemplateNotFound
from gallery.records.calibrations import Calibration
from gallery.records.records import EmbeddedTemplates, Gallery, StoredFace, Subject, Template

_Row = tuple[Any, ...]

GALLERY = """
    SELECT gallery_id, display_name, threshold, mean_of_best, contract, subject_count, template_count,
        create_time, update_time, etag, calibration
    FROM galleries WHERE NOT hidden
"""
_COUNTED = "(SELECT COUNT(*) FROM templates WHERE subject_key = subjects.key)"
_SUBJECT_COLUMNS = """gallery_id, subject_id, subjects.display_name, {templates},
    subjects.create_time, subjects.update_time, subjects.etag"""
_TEMPLATE_COLUMNS = """template_id, gallery_id, subject_id, picture_sha256, x1, y1, x2, y2, quality,
    templates.create_time,
    COALESCE((SELECT sha256 FROM models WHERE key = face_model), ''),
    COALESCE((SELECT sha256 FROM models WHERE key = embedding_model), ''),
    EXISTS (SELECT 1 FROM crops WHERE template_key = templates.key)"""
SUBJECT = f"""
    SELECT {_SUBJECT_COLUMNS.format(templates=_COUNTED)} FROM subjects JOIN galleries ON galleries.key = gallery_key
"""  # noqa: S608
TEMPLATE = f"""
    SELECT {_TEMPLATE_COLUMNS} FROM templates JOIN subjects ON subjects.key = subject_key
        JOIN galleries ON galleries.key = templates.gallery_key
"""  # noqa: S608 - nothing but the constants above is put together
FACE = f"""
    SELECT {_SUBJECT_COLUMNS.format(templates=0)}, {_TEMPLATE_COLUMNS}, embedding,
        (SELECT png FROM crops WHERE template_key = templates.key)
    FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
        LEFT JOIN templates ON templates.subject_key = subjects.key
"""  # noqa: S608
"""A subject, its templates not counted, with one of them; without, where it has none."""
EMBEDDED = """
    SELECT subject_id, display_name, template_id, embedding
    FROM templates JOIN subjects ON subjects.key = subject_key
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_LENGTH_TOLERANCE = 1e-3


class BadRow(Exception):
    """A row is not as it was written."""


def find_gallery(connection: sqlite3.Connection, gallery_id: str) -> Gallery:
    """The gallery; :class:`GalleryNotFound` where there is none."""
    row = connection.execute(GALLERY + "AND gallery_id = ?", (gallery_id,)).fetchone()
    if row is None:
        raise GalleryNotFound(gallery_id)
    return gallery_of(row)


def find_subject(connection: sqlite3.Connection, gallery_id: str, subject_id: str) -> Subject:
    """The subject; :class:`SubjectNotFound` where there is none."""
    key = subject_key_of(connection, gallery_id, subject_id)
    return subject_of(connection.execute(SUBJECT + "WHERE subjects.key = ?", (key,)).fetchone())


def gallery_key_of(connection: sqlite3.Connection, gallery_id: str) -> int:
    """The key of a gallery; :class:`GalleryNotFound` where there is none."""
    row = connection.execute("SELECT key FROM galleries WHERE gallery_id = ? AND NOT hidden", (gallery_id,)).fetchone()
    if row is None:
        raise GalleryNotFound(gallery_id)
    return int(row[0])


def subject_key_of(connection: sqlite3.Connection, gallery_id: str, subject_id: str) -> int:
    """The key of a subject; :class:`SubjectNotFound` where there is none."""
    row = connection.execute(
        "SELECT key FROM subjects WHERE gallery_key = ? AND subject_id = ?",
        (gallery_key_of(connection, gallery_id), subject_id),
    ).fetchone()
    if row is None:
        raise SubjectNotFound(gallery_id, subject_id)
    return int(row[0])


def template_key_of(connection: sqlite3.Connection, gallery_id: str, subject_id: str, template_id: str) -> int:
    """The key of a template; :class:`TemplateNotFound` where there is none. The subject is for the error only."""
    row = connection.execute(
        "SELECT key FROM templates WHERE gallery_key = ? AND template_id = ?",
        (gallery_key_of(connection, gallery_id), template_id),
    ).fetchone()
    if row is None:
        raise TemplateNotFound(gallery_id, subject_id, template_id)
    return int(row[0])


def gallery_of(row: _Row) -> Gallery:
    """From a row of :data:`GALLERY`."""
    gallery_id, display_name, threshold, mean_of_best, contract, subjects, templates, created, updated, etag, text = row
    return Gallery(
        gallery_id,
        display_name,
        threshold,
        mean_of_best,
        contract,
        subjects,
        templates,
        _datetime(created),
        _datetime(updated),
        etag,
        _calibration(text),
    )


def subject_of(row: _Row) -> Subject:
    """From a row of :data:`SUBJECT`."""
    gallery_id, subject_id, display_name, templates, created, updated, etag = row
    return Subject(gallery_id, subject_id, display_name, templates, _datetime(created), _datetime(updated), etag)


def template_of(row: _Row) -> Template:
    """From a row of :data:`TEMPLATE`."""
    template_id, gallery_id, subject_id, picture, x1, y1, x2, y2, quality, created, face, embedding, has_crop = row
    return Template(
        template_id,
        gallery_id,
        subject_id,
        picture,
        (x1, y1, x2, y2),
        quality,
        _datetime(created),
        face_model=face,
        embedding_model=embedding,
        has_crop=bool(has_crop),
    )


def faces_of(rows: Sequence[_Row]) -> list[StoredFace]:
    """From rows of :data:`FACE`; :class:`BadRow` for an embedding that is not as it was written."""
    embedded = iter(embeddings_of([row[-2] for row in rows if row[7] is not None]))
    return [
        StoredFace(subject_of(row[:7]), template_of(row[7:-2]), next(embedded), row[-1])
        if row[7] is not None
        else StoredFace(subject_of(row[:7]), None, None, None)
        for row in rows
    ]


def embedded_of(rows: Sequence[_Row]) -> EmbeddedTemplates:
    """From rows of :data:`EMBEDDED`; :class:`BadRow` for an embedding that is not as it was written."""
    subject_ids, display_names, template_ids, blobs = zip(*rows, strict=True) if rows else ((), (), (), ())
    return EmbeddedTemplates(subject_ids, display_names, template_ids, embeddings_of(blobs))


def microseconds(time: datetime) -> int:
    """As times are stored: since 1970 in UTC."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def embeddings_of(blobs: Sequence[Any]) -> NDArray[np.float32]:
    """From their bytes, shape ``(n, dimension)``; :class:`BadRow` where they are not as they were written."""
    if not blobs:
        return np.empty((0, 0), np.float32)
    if not all(isinstance(blob, bytes) for blob in blobs):
        raise BadRow("an embedding is not there")
    if len(set(map(len, blobs))) > 1 or len(blobs[0]) % 4:
        raise BadRow("embeddings differ in length")
    embeddings = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), -1).astype(np.float32, copy=False)
    squares = np.einsum("ij,ij->i", embeddings, embeddings)
    # Told from the good side, which a NaN is not on.
    if not (np.abs(squares - 1.0) <= _UNIT_LENGTH_TOLERANCE).all():
        raise BadRow("an embedding is not of unit length")
    return embeddings


def _calibration(text: str) -> Calibration | None:
    try:
        return calibration_json.from_text(text)
    except InvalidCalibration as error:
        raise BadRow(f"a calibration is not as it was written: {error}") from error


def _datetime(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except (OverflowError, TypeError) as error:
        raise BadRow(f"{microseconds!r} is no time") from error
