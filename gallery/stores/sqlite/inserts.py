"""Inserts into the SQLite store: one template for an enrolment, thousands for an import."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gallery.records import calibration_json, migration_json
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace
from gallery.stores.base import EnrollmentRequest
from gallery.stores.columns import expiry_column, policy_columns
from gallery.stores.sqlite.contract_keys import NO_MIGRATION, ContractKeys
from gallery.stores.sqlite.sealing.sealed_values import (
    CALIBRATION,
    CONSENT_REFERENCE,
    GALLERY_NAME,
    MIGRATION,
    REQUEST_DIGEST,
    SUBJECT_NAME,
    Sealer,
)
from gallery.times import to_microseconds


@dataclass(frozen=True, slots=True)
class FaceRows:
    """The rows of templates and their subjects; made before the transaction, and written by :meth:`insert`."""

    subjects: Sequence[tuple[Any, ...]]
    models: Sequence[tuple[str]]
    templates: Sequence[tuple[Any, ...]]
    crops: Sequence[tuple[bytes, int, str]]
    second: Sequence[tuple[bytes, int | None, int, str]] = ()

    def insert(self, connection: sqlite3.Connection) -> int:
        """Insert the rows; existing subjects are left as they are. Return the number of new subjects."""
        new = connection.executemany(
            """INSERT INTO subjects (gallery_key, subject_id, display_name, create_time, update_time, etag,
                consent_basis, consent_reference, consent_time, expire_time)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (gallery_key, subject_id) DO NOTHING""",
            self.subjects,
        ).rowcount
        connection.executemany("INSERT INTO models (sha256) VALUES (?) ON CONFLICT DO NOTHING", self.models)
        connection.executemany(
            """INSERT INTO templates (gallery_key, subject_key, template_id, picture_sha256, x1, y1, x2, y2, quality,
                create_time, expire_time, face_model, embedding_model, embedding, contract_key)
            VALUES (?1, (SELECT key FROM subjects WHERE gallery_key = ?1 AND subject_id = ?2), ?3, ?4, ?5, ?6, ?7, ?8,
                ?9, ?10, ?11, (SELECT key FROM models WHERE sha256 = ?12), (SELECT key FROM models WHERE sha256 = ?13),
                ?14, ?15)""",
            self.templates,
        )
        connection.executemany(
            """INSERT INTO second_embeddings (embedding, contract_key, template_key, gallery_key)
            SELECT ?1, ?2, key, gallery_key FROM templates WHERE gallery_key = ?3 AND template_id = ?4""",
            self.second,
        )
        connection.executemany(
            """INSERT INTO crops (png, template_key)
            SELECT ?, key FROM templates WHERE gallery_key = ? AND template_id = ?""",
            self.crops,
        )
        return max(0, new)


def face_rows(
    gallery_key: int, faces: Sequence[StoredFace], sealer: Sealer, keys: ContractKeys = NO_MIGRATION
) -> FaceRows:
    """Make the rows of templates and of their subjects in a gallery; ``keys`` are those of its contracts."""
    subjects = {face.subject.subject_id: face.subject for face in faces}
    models: set[str] = set()
    templates: list[tuple[Any, ...]] = []
    crops: list[tuple[bytes, int, str]] = []
    second: list[tuple[bytes, int | None, int, str]] = []
    for face in faces:
        template = face.template
        embedded = [
            (each.astype("<f4").tobytes(), key)
            for each, key in ((face.embedding, keys.own), (face.other_embedding, keys.other))
            if each is not None
        ]
        if template is None or not embedded:
            continue
        ids = face.subject.subject_id, template.template_id
        (plain, contract), *further = embedded
        embedding, picture = sealer.template(plain, template.picture_sha256, *ids)
        second += [
            (sealer.second_embedding(other, *ids), key, gallery_key, template.template_id) for other, key in further
        ]
        models |= {template.face_model, template.embedding_model}
        templates.append(
            (
                gallery_key,
                *ids,
                picture,
                *template.box,
                template.quality,
                to_microseconds(template.create_time),
                expiry_column(template.expire_time),
                template.face_model,
                template.embedding_model,
                embedding,
                contract,
            )
        )
        if face.crop is not None:
            crops.append((sealer.crop(face.crop, *ids), gallery_key, template.template_id))
    return FaceRows(
        [_subject_row(gallery_key, subject, sealer) for subject in subjects.values()],
        [(model,) for model in sorted(models - {""})],
        templates,
        crops,
        second,
    )


def insert_gallery(connection: sqlite3.Connection, gallery: Gallery, sealer: Sealer, *, hidden_as: str = "") -> int:
    """Insert an empty gallery, and return its key; ``hidden_as`` is the id of a hidden one."""
    inserted = connection.execute(
        """INSERT INTO galleries (gallery_id, display_name, threshold, threshold_source, mean_of_best, contract,
            create_time, update_time, etag, calibration, hidden, require_consent, subject_retention,
            template_retention, data_keys, sealed_under, first_contract, migration)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            hidden_as or gallery.gallery_id,
            sealer.text(gallery.display_name, GALLERY_NAME),
            gallery.threshold,
            gallery.threshold_source.value,
            gallery.mean_of_best,
            gallery.contract,
            to_microseconds(gallery.create_time),
            to_microseconds(gallery.update_time),
            gallery.etag,
            sealer.text(calibration_json.to_text(gallery.calibration), CALIBRATION),
            bool(hidden_as),
            *policy_columns(gallery.policy),
            sealer.uid,
            sealer.key_id,
            gallery.contract,
            sealer.text(migration_json.to_text(gallery.migration), MIGRATION),
        ),
    )
    return int(inserted.lastrowid or 0)


def update_gallery(connection: sqlite3.Connection, gallery: Gallery, sealer: Sealer) -> None:
    """Write what can change in a gallery."""
    connection.execute(
        """UPDATE galleries SET display_name = ?, threshold = ?, threshold_source = ?, mean_of_best = ?,
            calibration = ?, contract = ?, migration = ?, require_consent = ?, subject_retention = ?,
            template_retention = ?, etag = ?, update_time = ? WHERE gallery_id = ?""",
        (
            sealer.text(gallery.display_name, GALLERY_NAME),
            gallery.threshold,
            gallery.threshold_source.value,
            gallery.mean_of_best,
            sealer.text(calibration_json.to_text(gallery.calibration), CALIBRATION),
            gallery.contract,
            sealer.text(migration_json.to_text(gallery.migration), MIGRATION),
            *policy_columns(gallery.policy),
            gallery.etag,
            to_microseconds(gallery.update_time),
            gallery.gallery_id,
        ),
    )


def update_subject(connection: sqlite3.Connection, subject_key: int, subject: Subject, sealer: Sealer) -> None:
    """Write what can change in a subject; merging changes when it was created."""
    connection.execute(
        """UPDATE subjects SET display_name = ?, consent_basis = ?, consent_reference = ?, consent_time = ?,
            expire_time = ?, etag = ?, create_time = ?, update_time = ? WHERE key = ?""",
        (
            sealer.text(subject.display_name, SUBJECT_NAME, subject.subject_id),
            *_terms(subject, sealer),
            subject.etag,
            to_microseconds(subject.create_time),
            to_microseconds(subject.update_time),
            subject_key,
        ),
    )


def insert_request(
    connection: sqlite3.Connection, gallery_key: int, request: EnrollmentRequest, template_key: int, sealer: Sealer
) -> None:
    """Insert an enrolment request, or replace one that was answered with a template that has expired."""
    connection.execute(
        "INSERT OR REPLACE INTO requests (gallery_key, request_id, digest, template_key) VALUES (?, ?, ?, ?)",
        (
            gallery_key,
            request.request_id,
            sealer.text(request.digest, REQUEST_DIGEST, request.request_id),
            template_key,
        ),
    )


def add_to_counts(connection: sqlite3.Connection, gallery_key: int, *, subjects: int = 0, templates: int = 0) -> None:
    """Add to a gallery's counts; negative numbers subtract."""
    connection.execute(
        """UPDATE galleries SET subject_count = subject_count + ?, template_count = template_count + ?
        WHERE key = ?""",
        (subjects, templates, gallery_key),
    )


def _subject_row(gallery_key: int, subject: Subject, sealer: Sealer) -> tuple[Any, ...]:
    return (
        gallery_key,
        subject.subject_id,
        sealer.text(subject.display_name, SUBJECT_NAME, subject.subject_id),
        to_microseconds(subject.create_time),
        to_microseconds(subject.update_time),
        subject.etag,
        *_terms(subject, sealer),
    )


def _terms(subject: Subject, sealer: Sealer) -> tuple[Any, ...]:
    """Return the columns of a subject's consent and expiry."""
    consent = subject.consent
    if consent is None:
        return "", "", None, expiry_column(subject.expire_time)
    return (
        consent.basis.value,
        sealer.text(consent.reference, CONSENT_REFERENCE, subject.subject_id),
        to_microseconds(consent.time),
        expiry_column(subject.expire_time),
    )
