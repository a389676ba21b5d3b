"""Rows of the SQLite store: how they are found, and how they become records."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

from gallery.errors import GalleryNotFound, SubjectNotFound, TemplateNotFound
from gallery.records import Gallery, Subject, Template
from gallery.store import Request

_Row = tuple[Any, ...]

GALLERY = """
    SELECT gallery_id, display_name, threshold, contract,
        (SELECT COUNT(*) FROM subjects WHERE gallery_key = galleries.key),
        (SELECT COUNT(*) FROM templates WHERE gallery_key = galleries.key),
        create_time, update_time, etag
    FROM galleries
"""
SUBJECT = """
    SELECT gallery_id, subject_id, subjects.display_name,
        (SELECT COUNT(*) FROM templates WHERE subject_key = subjects.key),
        subjects.create_time, subjects.update_time, subjects.etag
    FROM subjects JOIN galleries ON galleries.key = gallery_key
"""
TEMPLATE = """
    SELECT template_id, gallery_id, subject_id, picture_sha256, x1, y1, x2, y2, quality, templates.create_time
    FROM templates JOIN subjects ON subjects.key = subject_key
        JOIN galleries ON galleries.key = templates.gallery_key
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def find_gallery(connection: sqlite3.Connection, gallery_id: str) -> Gallery:
    """The gallery; :class:`GalleryNotFound` where there is none."""
    row = connection.execute(GALLERY + "WHERE gallery_id = ?", (gallery_id,)).fetchone()
    if row is None:
        raise GalleryNotFound(gallery_id)
    return gallery_of(row)


def find_subject(connection: sqlite3.Connection, gallery_id: str, subject_id: str) -> Subject:
    """The subject; :class:`SubjectNotFound` where there is none."""
    key = subject_key_of(connection, gallery_id, subject_id)
    return subject_of(connection.execute(SUBJECT + "WHERE subjects.key = ?", (key,)).fetchone())


def gallery_key_of(connection: sqlite3.Connection, gallery_id: str) -> int:
    """The key of a gallery; :class:`GalleryNotFound` where there is none."""
    row = connection.execute("SELECT key FROM galleries WHERE gallery_id = ?", (gallery_id,)).fetchone()
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


def template_key_of(connection: sqlite3.Connection, template: Template) -> int:
    """The key of a template; :class:`TemplateNotFound` where there is none."""
    row = connection.execute(
        "SELECT key FROM templates WHERE gallery_key = ? AND template_id = ?",
        (gallery_key_of(connection, template.gallery_id), template.template_id),
    ).fetchone()
    if row is None:
        raise TemplateNotFound(template.gallery_id, template.subject_id, template.template_id)
    return int(row[0])


def insert_subject(connection: sqlite3.Connection, gallery_key: int, subject: Subject) -> None:
    """Add a subject."""
    connection.execute(
        """INSERT INTO subjects (gallery_key, subject_id, display_name, create_time, update_time, etag)
        VALUES (?, ?, ?, ?, ?, ?)""",
        (
            gallery_key,
            subject.subject_id,
            subject.display_name,
            microseconds(subject.create_time),
            microseconds(subject.update_time),
            subject.etag,
        ),
    )


def insert_request(
    connection: sqlite3.Connection, gallery_key: int, request: Request, template_key: int | None
) -> None:
    """Add a request."""
    connection.execute(
        "INSERT INTO requests (gallery_key, request_id, digest, template_key) VALUES (?, ?, ?, ?)",
        (gallery_key, request.request_id, request.digest, template_key),
    )


def gallery_of(row: _Row) -> Gallery:
    """From a row of :data:`GALLERY`."""
    gallery_id, display_name, threshold, contract, subjects, templates, created, updated, etag = row
    return Gallery(
        gallery_id,
        display_name,
        threshold,
        contract,
        subjects,
        templates,
        _datetime(created),
        _datetime(updated),
        etag,
    )


def subject_of(row: _Row) -> Subject:
    """From a row of :data:`SUBJECT`."""
    gallery_id, subject_id, display_name, templates, created, updated, etag = row
    return Subject(gallery_id, subject_id, display_name, templates, _datetime(created), _datetime(updated), etag)


def template_of(row: _Row) -> Template:
    """From a row of :data:`TEMPLATE`."""
    template_id, gallery_id, subject_id, picture_sha256, x1, y1, x2, y2, quality, created = row
    return Template(
        template_id,
        gallery_id,
        subject_id,
        picture_sha256,
        (x1, y1, x2, y2),
        quality,
        _datetime(created),
    )


def microseconds(time: datetime) -> int:
    """As times are stored: since 1970 in UTC."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def _datetime(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
