"""Queries of the PostgreSQL store, and the conversion of rows to records.

The queries take the time now as their parameter ``now``, in microseconds. They can be continued with ``AND``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gallery.errors import GalleryNotFound, SubjectNotFound, TemplateNotFound
from gallery.records.galleries import Gallery
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.records.thresholds import ThresholdSource
from gallery.stores.columns import (
    BadRow,
    calibration_of,
    consent_of,
    embeddings_of,
    expiry_of,
    migration_of,
    retention_of,
    threshold_source_of,
    time_of,
)
from gallery.stores.postgres.connection.database import Connection
from gallery.stores.postgres.expiry import (
    COUNT_EXPIRED_SUBJECTS,
    COUNT_EXPIRED_TEMPLATES,
    LIVING_SUBJECT,
    LIVING_TEMPLATE,
)
from gallery.stores.postgres.keys import gallery_key_of
from gallery.stores.postgres.notes import LATEST

_Row = tuple[Any, ...]

GALLERY = f"""
    SELECT gallery_id, display_name, threshold, mean_of_best,
        (SELECT contract FROM contracts WHERE contracts.key = contract_key),
        latest.subject_count - {COUNT_EXPIRED_SUBJECTS}, latest.template_count - {COUNT_EXPIRED_TEMPLATES},
        create_time, update_time, etag, calibration, threshold_source,
        require_consent, subject_retention, template_retention, migration
    FROM galleries CROSS JOIN LATERAL {LATEST} AS latest WHERE NOT is_hidden
"""  # noqa: S608 - only the constants above are inserted, as below
_COUNTED = f"(SELECT COUNT(*) FROM templates WHERE subject_key = subjects.key AND {LIVING_TEMPLATE})"  # noqa: S608
_SUBJECT_COLUMNS = """gallery_id, subject_id, subjects.display_name, {templates},
    subjects.create_time, subjects.update_time, subjects.etag,
    consent_basis, consent_reference, consent_time, subjects.expire_time"""
_SUBJECT_WIDTH = 11
_TEMPLATE_COLUMNS = """template_id, gallery_id, subject_id, picture_sha256, x1, y1, x2, y2, quality,
    templates.create_time, templates.expire_time,
    COALESCE((SELECT sha256 FROM models WHERE models.key = face_model), ''),
    COALESCE((SELECT sha256 FROM models WHERE models.key = embedding_model), ''),
    EXISTS (SELECT FROM crops WHERE template_key = templates.key)"""
SUBJECT = f"""
    SELECT {_SUBJECT_COLUMNS.format(templates=_COUNTED)}
    FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
    WHERE NOT is_hidden AND {LIVING_SUBJECT}
"""  # noqa: S608
TEMPLATE = f"""
    SELECT {_TEMPLATE_COLUMNS}
    FROM templates JOIN subjects ON subjects.key = subject_key JOIN galleries ON galleries.key = subjects.gallery_key
    WHERE NOT is_hidden AND {LIVING_SUBJECT} AND {LIVING_TEMPLATE}
"""  # noqa: S608
ANSWER = f"""
    SELECT {_TEMPLATE_COLUMNS}, digest, request_id
    FROM requests JOIN templates ON templates.key = requests.template_key JOIN subjects ON subjects.key = subject_key
        JOIN galleries ON galleries.key = requests.gallery_key
    WHERE NOT is_hidden AND {LIVING_SUBJECT} AND {LIVING_TEMPLATE}
"""  # noqa: S608
"""The template that a request was answered with, the request's digest, and its id."""
_CROP = "(SELECT png FROM crops WHERE template_key = templates.key)"
FACE = f"""
    SELECT {_SUBJECT_COLUMNS.format(templates=0)}, {_TEMPLATE_COLUMNS}, own.embedding, other.embedding,
        galleries.migration != '', {_CROP}
    FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
        LEFT JOIN templates ON templates.subject_key = subjects.key AND {LIVING_TEMPLATE}
        LEFT JOIN embeddings AS own
            ON own.template_key = templates.key AND own.contract_key = galleries.contract_key
        LEFT JOIN embeddings AS other
            ON other.template_key = templates.key AND other.contract_key = galleries.other_key
    WHERE {LIVING_SUBJECT}
"""  # noqa: S608
"""A subject, its templates not counted, with one of its templates, or without if it has none."""
FACE_WITHOUT_CROP = FACE.replace(_CROP, "NULL")
"""The same, without the crop."""
EMBEDDED_BY_AGE = f"""
    SELECT subject_id, subjects.display_name, template_id, embedding
    FROM templates JOIN subjects ON subjects.key = subject_key JOIN embeddings ON template_key = templates.key
        JOIN galleries ON galleries.key = templates.gallery_key
    WHERE {LIVING_SUBJECT} AND {LIVING_TEMPLATE}
"""  # noqa: S608
"""Templates with their embeddings; the contract and the order are to be added.

Which of its two columns joins the table of galleries decides which table's index is read in order.
"""
EMBEDDED_WITH_KEY = EMBEDDED_BY_AGE.replace("SELECT subject_id", "SELECT templates.key, subject_id")
"""The same, with the key of the template in front."""
OWNERS_OF_EMBEDDED = EMBEDDED_WITH_KEY.replace("template_id, embedding", "template_id")
"""The same, without the embeddings."""
OWNERS = OWNERS_OF_EMBEDDED.replace("JOIN embeddings ON template_key = templates.key", "")
"""The same of all templates: outside of a migration each has an embedding under the gallery's contract."""
EMBEDDED_BY_SUBJECT = EMBEDDED_BY_AGE.replace("= templates.gallery_key", "= subjects.gallery_key")
"""The same, to be read in the order of subjects."""
FOR_EACH_SUBJECT = """
    SELECT found.* FROM unnest(%(subjects)s::TEXT[]) AS asked (subject)
        CROSS JOIN LATERAL ({query} AND subject_id = asked.subject OFFSET 0) AS found
"""
"""A query for each of some subjects. ``OFFSET 0`` keeps the planner from reading the whole gallery instead, which it
prefers as long as it does not know how large that is."""
_SUBJECT_KEY = f"""
    SELECT subjects.key FROM subjects JOIN galleries ON galleries.key = subjects.gallery_key
    WHERE subjects.gallery_key = %(gallery)s AND subject_id = %(subject)s AND {LIVING_SUBJECT}
"""  # noqa: S608


def find_gallery(connection: Connection, gallery_id: str, now: int) -> Gallery:
    """Return a gallery.

    Raises:
        GalleryNotFound: it does not exist.
    """
    query = f"{GALLERY} AND gallery_id = %(gallery)s"
    row = connection.execute(query.encode(), {"gallery": gallery_id, "now": now}).fetchone()
    if row is None:
        raise GalleryNotFound(gallery_id)
    return gallery_of(row)


def find_subject(connection: Connection, gallery_id: str, subject_id: str, now: int) -> Subject:
    """Return a subject.

    Raises:
        GalleryNotFound: its gallery does not exist.
        SubjectNotFound: it does not exist, or has expired.
    """
    query = f"{SUBJECT} AND gallery_id = %(gallery)s AND subject_id = %(subject)s"
    wanted = {"gallery": gallery_id, "subject": subject_id, "now": now}
    row = connection.execute(query.encode(), wanted).fetchone()
    if row is None:
        gallery_key_of(connection, gallery_id)
        raise SubjectNotFound(gallery_id, subject_id)
    return subject_of(row)


def subject_key_of(connection: Connection, gallery_key: int, gallery_id: str, subject_id: str, now: int) -> int:
    """Return the key of a subject.

    Raises:
        SubjectNotFound: it does not exist, or has expired.
    """
    wanted = {"gallery": gallery_key, "subject": subject_id, "now": now}
    row = connection.execute(_SUBJECT_KEY.encode(), wanted).fetchone()
    if row is None:
        raise SubjectNotFound(gallery_id, subject_id)
    return int(row[0])


def template_key_of(connection: Connection, gallery_key: int, template: Template) -> int:
    """Return the key of a template, also of one that has expired.

    Raises:
        TemplateNotFound: it does not exist.
    """
    query = "SELECT key FROM templates WHERE gallery_key = %s AND template_id = %s"
    row = connection.execute(query, (gallery_key, template.template_id)).fetchone()
    if row is None:
        raise TemplateNotFound(template.gallery_id, template.subject_id, template.template_id)
    return int(row[0])


def gallery_of(row: _Row) -> Gallery:
    """Convert a row of :data:`GALLERY`.

    Raises:
        BadRow: it is not as it was written, as below.
    """
    *columns, created, updated, etag, calibration, source, require_consent, of_subjects, of_templates, moving = row
    gallery_id, display_name, threshold, mean_of_best, contract, subject_count, template_count = columns
    return Gallery(
        gallery_id=gallery_id,
        display_name=display_name,
        threshold=threshold,
        mean_of_best=mean_of_best,
        contract=contract,
        subject_count=subject_count,
        template_count=template_count,
        create_time=time_of(created),
        update_time=time_of(updated),
        etag=etag,
        calibration=calibration_of(calibration),
        threshold_source=threshold_source_of(source) or ThresholdSource.CALLER,
        policy=GalleryPolicy(require_consent, retention_of(of_subjects), retention_of(of_templates)),
        migration=migration_of(moving),
    )


def subject_of(row: _Row) -> Subject:
    """Convert a row of :data:`SUBJECT`."""
    gallery_id, subject_id, display_name, templates, created, updated, etag, basis, reference, given, expires = row
    return Subject(
        gallery_id,
        subject_id,
        display_name,
        templates,
        time_of(created),
        time_of(updated),
        etag,
        consent=consent_of(basis, reference, given),
        expire_time=expiry_of(expires),
    )


def template_of(row: _Row) -> Template:
    """Convert a row of :data:`TEMPLATE`."""
    template_id, gallery_id, subject_id, picture, x1, y1, x2, y2, quality, *times, face, embedding, has_crop = row
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
        has_crop=has_crop,
        expire_time=expiry_of(expires),
    )


def faces_of(rows: Sequence[_Row]) -> list[StoredFace]:
    """Convert rows of :data:`FACE`."""
    own = iter(embeddings_of([row[-4] for row in rows if row[-4] is not None]))
    other = iter(embeddings_of([row[-3] for row in rows if row[-3] is not None]))
    return [
        StoredFace(
            subject_of(row[:_SUBJECT_WIDTH]),
            None if row[_SUBJECT_WIDTH] is None else template_of(row[_SUBJECT_WIDTH:-4]),
            None if row[-4] is None else next(own),
            row[-1],
            None if row[-3] is None else next(other),
        )
        for row in map(_checked, rows)
    ]


def _checked(row: _Row) -> _Row:
    embedding, _, is_migrating, _ = row[-4:]
    if row[_SUBJECT_WIDTH] is not None and embedding is None and not is_migrating:
        raise BadRow("an embedding is missing")
    return row


def embedded_of(rows: Sequence[_Row]) -> EmbeddedTemplates:
    """Convert rows of :data:`EMBEDDED_BY_AGE`."""
    columns: Sequence[Sequence[Any]] = tuple(zip(*rows, strict=True)) if rows else ((),) * 4
    subject_ids, names, template_ids, embeddings = columns
    return EmbeddedTemplates(subject_ids, names, template_ids, embeddings_of(embeddings))
