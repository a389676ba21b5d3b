"""Inserts into the PostgreSQL store, and changes of its rows."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.records import calibration_json, migration_json
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import Template
from gallery.stores.base import EnrollmentRequest
from gallery.stores.columns import expiry_column, policy_columns
from gallery.stores.postgres.connection.database import Connection
from gallery.stores.postgres.keys import contract_key_of
from gallery.stores.postgres.notes import note_beginning
from gallery.times import to_microseconds

_GALLERY = """
    INSERT INTO galleries (gallery_id, display_name, threshold, threshold_source, mean_of_best, contract_key, other_key,
        create_time, update_time, etag, calibration, migration, require_consent, subject_retention,
        template_retention, is_hidden)
    VALUES (%(id)s, %(display_name)s, %(threshold)s, %(threshold_source)s, %(mean_of_best)s, %(contract_key)s,
        %(other_key)s, %(create_time)s, %(update_time)s, %(etag)s, %(calibration)s, %(migration)s,
        %(require_consent)s, %(subject_retention)s, %(template_retention)s, %(is_hidden)s)
    ON CONFLICT (gallery_id) DO NOTHING RETURNING key
"""
_UPDATE_GALLERY = """
    UPDATE galleries SET display_name = %(display_name)s, threshold = %(threshold)s,
        threshold_source = %(threshold_source)s, mean_of_best = %(mean_of_best)s, contract_key = %(contract_key)s,
        other_key = %(other_key)s, update_time = %(update_time)s, etag = %(etag)s, calibration = %(calibration)s,
        migration = %(migration)s, require_consent = %(require_consent)s, subject_retention = %(subject_retention)s,
        template_retention = %(template_retention)s,
        epoch = CASE
            WHEN other_key IS NULL AND %(other_key)s::INTEGER IS NOT NULL THEN gen_random_uuid() ELSE epoch
        END
    WHERE key = %(key)s
"""
_HIDE = "UPDATE galleries SET gallery_id = %s, display_name = '', is_hidden = TRUE WHERE key = %s"
_SHOW = """
    UPDATE galleries SET gallery_id = %(id)s, is_hidden = FALSE
    WHERE key = %(key)s AND NOT EXISTS (SELECT FROM galleries WHERE gallery_id = %(id)s)
"""
_SUBJECT = """
    INSERT INTO subjects (gallery_key, subject_id, display_name, create_time, update_time, etag, consent_basis,
        consent_reference, consent_time, expire_time)
    VALUES (%(gallery)s, %(subject_id)s, %(display_name)s, %(create_time)s, %(update_time)s, %(etag)s,
        %(consent_basis)s, %(consent_reference)s, %(consent_time)s, %(expire_time)s)
    ON CONFLICT DO NOTHING
"""
_UPDATE_SUBJECT = """
    UPDATE subjects SET display_name = %(display_name)s, create_time = %(create_time)s, update_time = %(update_time)s,
        etag = %(etag)s, consent_basis = %(consent_basis)s, consent_reference = %(consent_reference)s,
        consent_time = %(consent_time)s, expire_time = %(expire_time)s
    WHERE key = %(key)s
"""
_REQUEST = """
    INSERT INTO requests (gallery_key, request_id, digest, template_key) VALUES (%s, %s, %s, %s)
    ON CONFLICT (gallery_key, request_id) DO UPDATE
        SET digest = EXCLUDED.digest, template_key = EXCLUDED.template_key
"""


def insert_gallery(connection: Connection, gallery: Gallery, *, is_hidden: bool = False) -> int | None:
    """Insert an empty gallery, and return its key; ``None`` if its id is taken. A hidden one gets a random id."""
    created = to_microseconds(gallery.create_time)
    values = {"id": hidden_id() if is_hidden else gallery.gallery_id, "is_hidden": is_hidden, "create_time": created}
    row = connection.execute(_GALLERY, values | _gallery_values(connection, gallery)).fetchone()
    if row is None:
        return None
    note_beginning(connection, row[0], created)
    return int(row[0])


def update_gallery(connection: Connection, gallery_key: int, gallery: Gallery) -> None:
    """Write what can change in a gallery."""
    connection.execute(_UPDATE_GALLERY, _gallery_values(connection, gallery) | {"key": gallery_key})


def hide_gallery(connection: Connection, gallery_key: int) -> None:
    """Hide a gallery: its id becomes free, while its rows stay."""
    connection.execute(_HIDE, (hidden_id(), gallery_key))


def show_gallery(connection: Connection, gallery_key: int, gallery_id: str) -> bool:
    """Show a hidden gallery under an id; return whether that was free."""
    return connection.execute(_SHOW, {"key": gallery_key, "id": gallery_id}).rowcount == 1


def hidden_id() -> str:
    """Return a new id of a hidden gallery; no other gallery can have it."""
    return f"hidden {uuid.uuid4()}"


def insert_subject(connection: Connection, gallery_key: int, subject: Subject) -> int:
    """Insert a subject without templates, and return how many there are more; one of its id stays as it is."""
    return connection.execute(_SUBJECT, subject_values(subject) | {"gallery": gallery_key}).rowcount


def update_subject(connection: Connection, subject_key: int, subject: Subject) -> None:
    """Write what can change in a subject; merging changes when it was created."""
    connection.execute(_UPDATE_SUBJECT, subject_values(subject) | {"key": subject_key})


def insert_request(connection: Connection, gallery_key: int, request: EnrollmentRequest, template_key: int) -> None:
    """Insert an enrolment request, or replace one that was answered with a template that has expired."""
    connection.execute(_REQUEST, (gallery_key, request.request_id, request.digest, template_key))


def subject_values(subject: Subject) -> dict[str, Any]:
    """Return the columns of a subject, by name, without its keys."""
    consent = subject.consent
    return {
        "subject_id": subject.subject_id,
        "display_name": subject.display_name,
        "create_time": to_microseconds(subject.create_time),
        "update_time": to_microseconds(subject.update_time),
        "etag": subject.etag,
        "consent_basis": consent.basis.value if consent else "",
        "consent_reference": consent.reference if consent else "",
        "consent_time": to_microseconds(consent.time) if consent else None,
        "expire_time": expiry_column(subject.expire_time),
    }


def template_values(template: Template) -> dict[str, Any]:
    """Return the columns of a template, by name, without its keys and those of its models."""
    x1, y1, x2, y2 = template.box
    return {
        "template_id": template.template_id,
        "picture_sha256": template.picture_sha256,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "quality": template.quality,
        "create_time": to_microseconds(template.create_time),
        "expire_time": expiry_column(template.expire_time),
    }


def embedding_bytes(embedding: NDArray[np.float32]) -> bytes:
    """Return the column of an embedding."""
    return embedding.astype("<f4").tobytes()


def _gallery_values(connection: Connection, gallery: Gallery) -> dict[str, Any]:
    require_consent, subject_retention, template_retention = policy_columns(gallery.policy)
    own, *others = (contract_key_of(connection, contract, create=True) for contract in gallery.contracts)
    return {
        "display_name": gallery.display_name,
        "threshold": gallery.threshold,
        "threshold_source": gallery.threshold_source.value,
        "mean_of_best": gallery.mean_of_best,
        "contract_key": own,
        "other_key": others[0] if others else None,
        "update_time": to_microseconds(gallery.update_time),
        "etag": gallery.etag,
        "calibration": calibration_json.to_text(gallery.calibration),
        "migration": migration_json.to_text(gallery.migration),
        "require_consent": require_consent,
        "subject_retention": subject_retention,
        "template_retention": template_retention,
    }
