"""Queries of the SQLite store, and the conversion of rows to records."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gallery.encryption.values import SEALED_TEXT
from gallery.errors import GalleryNotFound, SubjectNotFound, TemplateNotFound
from gallery.records.calibrations import Calibration
from gallery.records.galleries import Gallery
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.records.thresholds import ThresholdSource, infer_threshold_source
from gallery.stores.columns import (
    calibration_of,
    consent_of,
    embeddings_of,
    expiry_of,
    migration_of,
    retention_of,
    threshold_source_of,
    time_of,
)
from gallery.stores.sqlite.contract_keys import NO_MIGRATION, ContractKeys, contract_keys
from gallery.stores.sqlite.expiry import (
    COUNT_EXPIRED_SUBJECTS,
    COUNT_EXPIRED_TEMPLATES,
    LIVING_SUBJECT,
    LIVING_TEMPLATE,
)
from gallery.stores.sqlite.sealing.sealed_values import (
    CALIBRATION,
    CONSENT_REFERENCE,
    GALLERY_NAME,
    MIGRATION,
    SUBJECT_NAME,
    Opener,
)

_Row = tuple[Any, ...]

GALLERY = f"""
    SELECT gallery_id, display_name, threshold, mean_of_best, contract,
        subject_count - {COUNT_EXPIRED_SUBJECTS}, template_count - {COUNT_EXPIRED_TEMPLATES},
        create_time, update_time, etag, calibration, threshold_source,
        require_consent, subject_retention, template_retention, migration
    FROM galleries WHERE NOT hidden
"""  # noqa: S608
_COUNTED = f"(SELECT COUNT(*) FROM templates WHERE subject_key = subjects.key AND {LIVING_TEMPLATE})"  # noqa: S608
_SUBJECT_COLUMNS = """gallery_id, subject_id, subjects.display_name, {templates},
    subjects.create_time, subjects.update_time, subjects.etag,
    consent_basis, consent_reference, consent_time, subjects.expire_time"""
_SUBJECT_WIDTH = 11
_TEMPLATE_COLUMNS = """template_id, gallery_id, subject_id, picture_sha256, x1, y1, x2, y2, quality,
    templates.create_time, templates.expire_time,
    COALESCE((SELECT sha256 FROM models WHERE key = face_model), ''),
    COALESCE((SELECT sha256 FROM models WHERE key = embedding_model), ''),
    EXISTS (SELECT 1 FROM crops WHERE template_key = templates.key)"""
_IS_SEALED = f"picture_sha256 = char({ord(SEALED_TEXT)})"
SUBJECT = f"""
    SELECT {_SUBJECT_COLUMNS.format(templates=_COUNTED)} FROM subjects JOIN galleries ON galleries.key = gallery_key
    WHERE {LIVING_SUBJECT}
"""  # noqa: S608
TEMPLATE = f"""
    SELECT {_TEMPLATE_COLUMNS}, CASE WHEN {_IS_SEALED} THEN embedding END
    FROM templates JOIN subjects ON subjects.key = subject_key
        JOIN galleries ON galleries.key = templates.gallery_key
    WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE}
"""  # noqa: S608 - only the constants above are inserted
_CROP = "(SELECT png FROM crops WHERE template_key = templates.key)"
FACE = f"""
    SELECT {_SUBJECT_COLUMNS.format(templates=0)}, {_TEMPLATE_COLUMNS}, templates.embedding,
        {_CROP},
        templates.contract_key, second.contract_key, second.embedding
    FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
        LEFT JOIN templates ON templates.subject_key = subjects.key AND {LIVING_TEMPLATE}
        LEFT JOIN second_embeddings AS second ON second.template_key = templates.key
    WHERE {LIVING_SUBJECT}
"""  # noqa: S608
"""A subject, its templates not counted, with one of its templates, or without if it has none."""
FACE_WITHOUT_CROP = FACE.replace(_CROP, "NULL")
"""The same, without the crop."""
_EMBEDDED_COLUMNS = f"subject_id, subjects.display_name, template_id, embedding, {_IS_SEALED}"
EMBEDDED = f"""
    SELECT {_EMBEDDED_COLUMNS}
    FROM templates JOIN subjects ON subjects.key = subject_key JOIN galleries ON galleries.key = templates.gallery_key
    WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE}
"""  # noqa: S608
EMBEDDED_BY_SUBJECT = f"""
    SELECT {_EMBEDDED_COLUMNS}
    FROM galleries CROSS JOIN subjects ON subjects.gallery_key = galleries.key
        CROSS JOIN templates ON templates.subject_key = subjects.key
    WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE}
"""  # noqa: S608
"""The same, read in the order of subjects: a cross join keeps the order of its tables."""


_SUBJECT_KEY = f"""
    SELECT subjects.key FROM subjects JOIN galleries ON galleries.key = gallery_key WHERE {LIVING_SUBJECT}
"""  # noqa: S608


def find_gallery(connection: sqlite3.Connection, gallery_id: str, opener: Opener) -> Gallery:
    """Return a gallery.

    Raises:
        GalleryNotFound: it does not exist.
    """
    row = connection.execute(GALLERY + "AND gallery_id = ?", (gallery_id,)).fetchone()
    if row is None:
        raise GalleryNotFound(gallery_id)
    return gallery_of(row, opener)


def find_subject(connection: sqlite3.Connection, gallery_id: str, subject_id: str, opener: Opener) -> Subject:
    """Return a subject.

    Raises:
        SubjectNotFound: it does not exist, or has expired.
    """
    key = subject_key_of(connection, gallery_id, subject_id)
    return subject_of(connection.execute(SUBJECT + "AND subjects.key = ?", (key,)).fetchone(), opener)


def gallery_key_of(connection: sqlite3.Connection, gallery_id: str) -> int:
    """Return the key of a gallery.

    Raises:
        GalleryNotFound: it does not exist.
    """
    row = connection.execute("SELECT key FROM galleries WHERE gallery_id = ? AND NOT hidden", (gallery_id,)).fetchone()
    if row is None:
        raise GalleryNotFound(gallery_id)
    return int(row[0])


def subject_key_of(connection: sqlite3.Connection, gallery_id: str, subject_id: str) -> int:
    """Return the key of a subject.

    Raises:
        SubjectNotFound: it does not exist, or has expired.
    """
    row = connection.execute(
        _SUBJECT_KEY + "AND subjects.gallery_key = ? AND subject_id = ?",
        (gallery_key_of(connection, gallery_id), subject_id),
    ).fetchone()
    if row is None:
        raise SubjectNotFound(gallery_id, subject_id)
    return int(row[0])


def template_key_of(connection: sqlite3.Connection, gallery_id: str, subject_id: str, template_id: str) -> int:
    """Return the key of a template; the subject id only goes into the error.

    Raises:
        TemplateNotFound: it does not exist.
    """
    row = connection.execute(
        "SELECT key FROM templates WHERE gallery_key = ? AND template_id = ?",
        (gallery_key_of(connection, gallery_id), template_id),
    ).fetchone()
    if row is None:
        raise TemplateNotFound(gallery_id, subject_id, template_id)
    return int(row[0])


def gallery_of(row: _Row, opener: Opener) -> Gallery:
    """Convert a row of :data:`GALLERY`."""
    *columns, created, updated, etag, calibration_text, source, require_consent, of_subjects, of_templates, moving = row
    gallery_id, display_name, threshold, mean_of_best, contract, subject_count, template_count = columns
    calibration = calibration_of(opener.text(calibration_text, CALIBRATION))
    return Gallery(
        gallery_id=gallery_id,
        display_name=opener.text(display_name, GALLERY_NAME),
        threshold=threshold,
        mean_of_best=mean_of_best,
        contract=contract,
        subject_count=subject_count,
        template_count=template_count,
        create_time=time_of(created),
        update_time=time_of(updated),
        etag=etag,
        calibration=calibration,
        threshold_source=_threshold_source(source, threshold, calibration),
        policy=GalleryPolicy(bool(require_consent), retention_of(of_subjects), retention_of(of_templates)),
        migration=migration_of(opener.text(moving, MIGRATION)),
    )


def subject_of(row: _Row, opener: Opener) -> Subject:
    """Convert a row of :data:`SUBJECT`."""
    gallery_id, subject_id, display_name, templates, created, updated, etag, basis, reference, given, expires = row
    return Subject(
        gallery_id,
        subject_id,
        opener.text(display_name, SUBJECT_NAME, subject_id),
        templates,
        time_of(created),
        time_of(updated),
        etag,
        consent=consent_of(basis, opener.text(reference, CONSENT_REFERENCE, subject_id), given),
        expire_time=expiry_of(expires),
    )


def template_of(row: _Row, opener: Opener) -> Template:
    """Convert a row of :data:`TEMPLATE`."""
    *columns, sealed = row
    template_id, _, subject_id, picture, *_ = columns
    if sealed is not None:
        _, picture = opener.template(sealed, picture, subject_id, template_id)
    return _template(columns, picture)


def _template(row: Sequence[Any], picture: str) -> Template:
    template_id, gallery_id, subject_id, _, x1, y1, x2, y2, quality, *times, face, embedding, has_crop = row
    created, expires = times
    return Template(
        template_id,
        gallery_id,
        subject_id,
        picture,
        (x1, y1, x2, y2),
        quality,
        time_of(created),
        face_model=face,
        embedding_model=embedding,
        has_crop=bool(has_crop),
        expire_time=expiry_of(expires),
    )


def faces_of(rows: Sequence[_Row], opener: Opener, keys: ContractKeys = NO_MIGRATION) -> list[StoredFace]:
    """Convert rows of :data:`FACE`.

    Args:
        rows: the rows.
        opener: opens sealed values.
        keys: of the gallery's contracts.

    Raises:
        BadRow: an embedding is not as it was written.
    """
    opened = [_opened_template(row, opener, keys) for row in rows]
    own = iter(embeddings_of([each.own for each in opened if each is not None and each.own is not None]))
    other = iter(embeddings_of([each.other for each in opened if each is not None and each.other is not None]))
    return [
        StoredFace(subject_of(row[:_SUBJECT_WIDTH], opener), None, None, None)
        if each is None
        else StoredFace(
            subject_of(row[:_SUBJECT_WIDTH], opener),
            each.template,
            None if each.own is None else next(own),
            each.crop,
            None if each.other is None else next(other),
        )
        for row, each in zip(rows, opened, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _OpenedTemplate:
    """A template of a row of :data:`FACE`, with the bytes of its embeddings under the gallery's contracts."""

    template: Template
    crop: bytes | None
    own: bytes | None
    other: bytes | None


def _opened_template(row: _Row, opener: Opener, keys: ContractKeys) -> _OpenedTemplate | None:
    *columns, embedding, png, contract, second_contract, second = row[_SUBJECT_WIDTH:]
    template_id, _, subject_id, stored_picture, *_ = columns
    if template_id is None:
        return None
    opened, picture = opener.template(embedding, stored_picture, subject_id, template_id)
    template = _template(columns, picture)
    crop = opener.crop(png, stored_picture, subject_id, template_id)
    if not keys.is_migrating:
        return _OpenedTemplate(template, crop, opened, None)
    found = {contract: opened}
    if second is not None:
        is_sealed = stored_picture == SEALED_TEXT
        found[second_contract] = opener.second_embedding(second, subject_id, template_id) if is_sealed else second
    return _OpenedTemplate(template, crop, found.get(keys.own), found.get(keys.other))


def embedded_of(rows: Sequence[_Row], opener: Opener) -> EmbeddedTemplates:
    """Convert rows of :data:`EMBEDDED`.

    Raises:
        BadRow: an embedding is not as it was written.
    """
    columns: Sequence[Sequence[Any]] = tuple(zip(*rows, strict=True)) if rows else ((),) * 5
    subject_ids, names, template_ids, stored, are_sealed = columns
    # While a gallery is being encrypted, names are sealed before templates.
    if any(name.startswith(SEALED_TEXT) for name in names):
        names = opener.names(names, subject_ids)
    if any(are_sealed):
        stored = opener.embeddings(stored, are_sealed, subject_ids, template_ids)
    return EmbeddedTemplates(subject_ids, names, template_ids, embeddings_of(stored))


def stored_keys(
    connection: sqlite3.Connection, gallery_key: int, opener: Opener, *, create: bool = False
) -> ContractKeys:
    """Return the keys of a gallery's contracts; see :func:`.contract_keys.contract_keys`."""
    contract, moving = connection.execute(
        "SELECT contract, migration FROM galleries WHERE key = ?", (gallery_key,)
    ).fetchone()
    migration = migration_of(opener.text(moving, MIGRATION))
    return contract_keys(connection, gallery_key, contract, migration, create=create)


def _threshold_source(text: str, threshold: float, calibration: Calibration | None) -> ThresholdSource:
    # Not known only if the process that migrated the database did not know the server's default threshold.
    return threshold_source_of(text) or infer_threshold_source(threshold, calibration, default_threshold=None)
