"""Conversion between records and rows in Milvus."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from gallery.errors import StorageUnavailable
from gallery.records import calibration_json
from gallery.records.calibration_json import InvalidCalibration
from gallery.records.calibrations import Calibration
from gallery.records.galleries import Gallery, ThresholdSource, infer_threshold_source
from gallery.records.subjects import Subject
from gallery.records.templates import Template
from gallery.stores.base import EnrollmentRequest
from gallery.stores.milvus.connection import Row
from gallery.stores.milvus.schema import VECTOR, fields_of, with_no_vector
from gallery.times import from_microseconds, to_microseconds

SUBJECT_FIELDS = fields_of("subjects")
TEMPLATE_FIELDS = fields_of("templates")

_SEPARATOR = ":"


def new_gallery_key() -> int:
    """Return a random key of 62 bits, which no other gallery has."""
    return secrets.randbits(62)


def row_id(gallery: int, of_row: str) -> str:
    """Return the id of a row of a gallery; sorted by what the row is of."""
    return f"{gallery:016x}{_SEPARATOR}{of_row}"


def id_of(row: Row) -> str:
    """Return the id of what a row is of."""
    return str(row["id"]).partition(_SEPARATOR)[2]


def gallery_row(gallery: Gallery, key: int, fields: Collection[str]) -> Row:
    """Convert a gallery to a row with these fields; its counts are not stored."""
    values = {
        "gallery": key,
        "display_name": gallery.display_name,
        "threshold": gallery.threshold,
        "mean_of_best": gallery.mean_of_best,
        "contract": gallery.contract,
        "created": to_microseconds(gallery.create_time),
        "updated": to_microseconds(gallery.update_time),
        "etag": gallery.etag,
        "calibration": calibration_json.to_text(gallery.calibration),
        "threshold_source": gallery.threshold_source.value,
    }
    return with_no_vector({"id": gallery.gallery_id} | {field: values[field] for field in fields})


def gallery_of(row: Row, *, subjects: int, templates: int, default_threshold: float | None) -> Gallery:
    """Convert the row of a gallery.

    Args:
        row: the row.
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
        contract=row["contract"],
        subject_count=subjects,
        template_count=templates,
        create_time=from_microseconds(row["created"]),
        update_time=from_microseconds(row["updated"]),
        etag=row["etag"],
        calibration=calibration,
        threshold_source=_threshold_source(row)
        or infer_threshold_source(row["threshold"], calibration, default_threshold=default_threshold),
    )


def subject_row(subject: Subject, gallery: int) -> Row:
    """Convert a subject to a row; its count is not stored."""
    return with_no_vector(
        {
            "id": row_id(gallery, subject.subject_id),
            "gallery": gallery,
            "subject": subject.subject_id,
            "display_name": subject.display_name,
            "created": to_microseconds(subject.create_time),
            "updated": to_microseconds(subject.update_time),
            "etag": subject.etag,
        }
    )


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
    )


def template_row(
    template: Template, gallery: int, embedding: NDArray[np.float32], request: EnrollmentRequest | None
) -> Row:
    """Convert a template to a row, with the request that it answers."""
    x1, y1, x2, y2 = template.box
    return {
        "id": row_id(gallery, template.template_id),
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
        VECTOR: np.asarray(embedding, np.float32),
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
        embedding_model=row["embedding_model"],
        has_crop=row["has_crop"],
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
