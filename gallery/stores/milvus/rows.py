"""Conversion between records and rows in Milvus."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gallery.errors import StorageUnavailable
from gallery.records import calibration_json
from gallery.records.calibration_json import InvalidCalibration
from gallery.records.calibrations import Calibration
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.galleries import Gallery
from gallery.records.migrations import Migration
from gallery.records.policies import NO_POLICY, GalleryPolicy
from gallery.records.subjects import Subject
from gallery.records.templates import Template
from gallery.records.thresholds import ThresholdSource, infer_threshold_source
from gallery.stores.base import EnrollmentRequest
from gallery.stores.milvus.connection import Row
from gallery.stores.milvus.schema import VECTOR, with_no_vector
from gallery.times import LATEST, from_microseconds, microseconds_of, to_microseconds

_SEPARATOR = ":"
_LINE = "\n"
"""No contract has one."""
NEVER = to_microseconds(LATEST) + 1
"""When what has no expiry expires."""


def new_gallery_key() -> int:
    """Return a random key of 62 bits, which no other gallery has."""
    return secrets.randbits(62)


def row_id(gallery: int, of_row: str) -> str:
    """Return the id of a row of a gallery; sorted by what the row is of."""
    return f"{gallery:016x}{_SEPARATOR}{of_row}"


def id_of(row: Row) -> str:
    """Return the id of what a row is of."""
    return str(row["id"]).partition(_SEPARATOR)[2]


def contract_text(contract: str, migration_row: str) -> str:
    """Return the text that a gallery's row has for its contract, and for its migration if it has one.

    One write changes both. A version that knows no migrations takes it for a contract that no server has, and leaves
    the gallery alone.

    Args:
        contract: the embedding contract that searches.
        migration_row: names the row of the migration; empty for none.
    """
    return f"{contract}{_LINE}{migration_row}" if migration_row else contract


def contract_of(row: Row) -> tuple[str, str]:
    """Return the two arguments of :func:`contract_text` for the row of a gallery."""
    contract, _, migration_row = str(row["contract"]).partition(_LINE)
    return contract, migration_row


def contracts_of(gallery: Gallery) -> tuple[str, ...]:
    """Return the contracts of a gallery's templates, the one that searches first."""
    if gallery.migration is None:
        return (gallery.contract,)
    return gallery.contract, gallery.migration.other_model(gallery.contract).contract


def gallery_row(gallery: Gallery, key: int, fields: Collection[str], *, migration_row: str) -> Row:
    """Convert a gallery to a row with these fields; its counts are not stored.

    Args:
        gallery: the gallery.
        key: the key of its rows.
        fields: the fields.
        migration_row: names the row of its migration; empty for none.
    """
    values = {
        "gallery": key,
        "display_name": gallery.display_name,
        "threshold": gallery.threshold,
        "mean_of_best": gallery.mean_of_best,
        "contract": contract_text(gallery.contract, migration_row),
        "created": to_microseconds(gallery.create_time),
        "updated": to_microseconds(gallery.update_time),
        "etag": gallery.etag,
        "calibration": calibration_json.to_text(gallery.calibration),
        "threshold_source": gallery.threshold_source.value,
        "require_consent": gallery.policy.require_consent,
        "subject_retention": _retention(gallery.policy.subject_retention),
        "template_retention": _retention(gallery.policy.template_retention),
    }
    return with_no_vector({"id": gallery.gallery_id} | {field: values[field] for field in fields})


def gallery_of(
    row: Row, migration: Migration | None, *, subjects: int, templates: int, default_threshold: float | None
) -> Gallery:
    """Convert the row of a gallery.

    Args:
        row: the row.
        migration: the gallery's migration.
        subjects: the number of subjects.
        templates: the number of templates.
        default_threshold: the server's default threshold, to infer the source of a threshold that has none.

    Raises:
        StorageUnavailable: a value is not as it was written.
    """
    calibration = _calibration(row)
    return Gallery(
        gallery_id=row["id"],
        display_name=row["display_name"],
        threshold=row["threshold"],
        mean_of_best=row["mean_of_best"],
        contract=contract_of(row)[0],
        subject_count=subjects,
        template_count=templates,
        create_time=from_microseconds(row["created"]),
        update_time=from_microseconds(row["updated"]),
        etag=row["etag"],
        calibration=calibration,
        threshold_source=_threshold_source(row)
        or infer_threshold_source(row["threshold"], calibration, default_threshold=default_threshold),
        policy=policy_of(row),
        migration=migration,
    )


def policy_of(row: Row) -> GalleryPolicy:
    """Return the policy in the row of a gallery; none if the collection was created by a version without policies."""
    if "require_consent" not in row:
        return NO_POLICY
    subjects, templates = (
        timedelta(microseconds=row[field]) if row[field] else None
        for field in ("subject_retention", "template_retention")
    )
    return GalleryPolicy(row["require_consent"], subjects, templates)


def subject_row(subject: Subject, gallery: int, fields: Collection[str]) -> Row:
    """Convert a subject to a row with these fields; its count is not stored."""
    consent = subject.consent
    since = subject.create_time if consent is None else max(subject.create_time, consent.time)
    values = {
        "gallery": gallery,
        "subject": subject.subject_id,
        "display_name": subject.display_name,
        "created": to_microseconds(subject.create_time),
        "updated": to_microseconds(subject.update_time),
        "etag": subject.etag,
        "consent_basis": consent.basis.value if consent else "",
        "consent_reference": consent.reference if consent else "",
        "consent_time": to_microseconds(consent.time) if consent else 0,
        "since": to_microseconds(since),
        "expires": expires(subject.expire_time),
    }
    return with_no_vector({"id": row_id(gallery, subject.subject_id)} | {field: values[field] for field in fields})


def subject_of(row: Row, gallery_id: str, *, templates: int) -> Subject:
    """Convert the row of a subject with this many templates."""
    return Subject(
        gallery_id=gallery_id,
        subject_id=row["subject"],
        display_name=row["display_name"],
        template_count=templates,
        create_time=from_microseconds(row["created"]),
        update_time=from_microseconds(row["updated"]),
        etag=row["etag"],
        consent=_consent(row),
        expire_time=_expire_time(row),
    )


def template_row(
    template: Template,
    gallery: int,
    embedding: NDArray[np.float32],
    request: EnrollmentRequest | None,
    fields: Collection[str],
) -> Row:
    """Convert a template to a row with these fields, with the request that it answers."""
    x1, y1, x2, y2 = template.box
    values = {
        "gallery": gallery,
        "subject": template.subject_id,
        "picture": template.picture_sha256,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "quality": template.quality,
        "created": to_microseconds(template.create_time),
        "face_model": template.face_model,
        "embedding_model": template.embedding_model,
        "has_crop": template.has_crop,
        "request": request.request_id if request else "",
        "digest": request.digest if request else "",
        "expires": expires(template.expire_time),
    }
    return {"id": row_id(gallery, template.template_id), VECTOR: np.asarray(embedding, np.float32)} | {
        field: values[field] for field in fields
    }


def template_of(row: Row, gallery_id: str) -> Template:
    """Convert the row of a template."""
    return Template(
        template_id=id_of(row),
        gallery_id=gallery_id,
        subject_id=row["subject"],
        picture_sha256=row["picture"],
        box=(row["x1"], row["y1"], row["x2"], row["y2"]),
        quality=row["quality"],
        create_time=from_microseconds(row["created"]),
        face_model=row["face_model"],
        # Without what tells the second row of a template during a migration.
        embedding_model=row["embedding_model"].partition(" ")[0],
        has_crop=row["has_crop"],
        expire_time=_expire_time(row),
    )


def crop_row(template: Template, gallery: int, png: bytes) -> Row:
    """Convert a template's aligned face to a row."""
    text = base64.b64encode(png).decode()
    return with_no_vector({"id": row_id(gallery, template.template_id), "gallery": gallery, "png": text})


def crop_of(row: Row) -> bytes:
    """Return the aligned face of a row, as PNG."""
    return base64.b64decode(row["png"])


def request_row(template: Template, gallery: int, request: EnrollmentRequest) -> Row:
    """Convert a request that was answered with an existing template to a row."""
    return with_no_vector(
        {
            "id": row_id(gallery, request.request_id),
            "gallery": gallery,
            "template": row_id(gallery, template.template_id),
            "digest": request.digest,
        }
    )


def _consent(row: Row) -> Consent | None:
    if not row.get("consent_basis"):
        return None
    try:
        basis = ConsentBasis(row["consent_basis"])
    except ValueError as error:
        raise StorageUnavailable(f"the consent of row {row['id']!r} is not as it was written") from error
    return Consent(basis, row["consent_reference"], from_microseconds(row["consent_time"]))


def expires(moment: datetime | None) -> int:
    """Convert the time at which something expires."""
    return NEVER if moment is None else to_microseconds(moment)


def _expire_time(row: Row) -> datetime | None:
    expires = row.get("expires", NEVER)
    return None if expires == NEVER else from_microseconds(expires)


def _retention(duration: timedelta | None) -> int:
    return 0 if duration is None else microseconds_of(duration)


def _calibration(row: Row) -> Calibration | None:
    try:
        return calibration_json.from_text(row["calibration"])
    except InvalidCalibration as error:
        raise StorageUnavailable(
            f"the calibration of gallery {row['id']!r} is not as it was written: {error}"
        ) from error


def _threshold_source(row: Row) -> ThresholdSource | None:
    """Return the stored source; ``None`` if the collection was created by a version that stored none."""
    text = row.get("threshold_source")
    try:
        return ThresholdSource(text) if text else None
    except ValueError as error:
        raise StorageUnavailable(
            f"the threshold's source of gallery {row['id']!r} is not as it was written: {text!r}"
        ) from error
