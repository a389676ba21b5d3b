"""Rows of a Milvus, and the records that they stand for."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gallery.calibration import serialization as calibration_json
from gallery.calibration.serialization import InvalidCalibration
from gallery.errors import StorageUnavailable
from gallery.records.calibrations import Calibration
from gallery.records.records import Gallery, Subject, Template
from gallery.stores.base import Request
from gallery.stores.milvus.connection import Row
from gallery.stores.milvus.schema import VECTOR, fields_of, with_no_vector

GALLERY_FIELDS = fields_of("galleries")
SUBJECT_FIELDS = fields_of("subjects")
TEMPLATE_FIELDS = fields_of("templates")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEPARATOR = ":"


def new_gallery_key() -> int:
    """A key that no gallery had before, for all that chance can do: 62 bits."""
    return secrets.randbits(62)


def row_id(gallery: int, of_row: str) -> str:
    """The id of a row that belongs to a gallery; in the order of what it is of."""
    return f"{gallery:016x}{_SEPARATOR}{of_row}"


def id_of(row: Row) -> str:
    """What a row is of."""
    return str(row["id"]).partition(_SEPARATOR)[2]


def gallery_row(gallery: Gallery, key: int) -> Row:
    """The row of a gallery; its counts are not kept."""
    return with_no_vector(
        {
            "id": gallery.gallery_id,
            "gallery": key,
            "display_name": gallery.display_name,
            "threshold": gallery.threshold,
            "mean_of_best": gallery.mean_of_best,
            "contract": gallery.contract,
            "created": microseconds(gallery.create_time),
            "updated": microseconds(gallery.update_time),
            "etag": gallery.etag,
            "calibration": calibration_json.to_text(gallery.calibration),
        }
    )


def gallery_of(row: Row, *, subjects: int, templates: int) -> Gallery:
    """The gallery of a row, with its counts."""
    return Gallery(
        gallery_id=row["id"],
        display_name=row["display_name"],
        threshold=row["threshold"],
        mean_of_best=row["mean_of_best"],
        contract=row["contract"],
        subject_count=subjects,
        template_count=templates,
        create_time=_time(row["created"]),
        update_time=_time(row["updated"]),
        etag=row["etag"],
        calibration=_calibration(row),
    )


def subject_row(subject: Subject, gallery: int) -> Row:
    """The row of a subject; its count is not kept."""
    return with_no_vector(
        {
            "id": row_id(gallery, subject.subject_id),
            "gallery": gallery,
            "subject": subject.subject_id,
            "display_name": subject.display_name,
            "created": microseconds(subject.create_time),
            "updated": microseconds(subject.update_time),
            "etag": subject.etag,
        }
    )


def subject_of(row: Row, gallery_id: str, *, templates: int) -> Subject:
    """The subject of a row, with its count."""
    return Subject(
        gallery_id=gallery_id,
        subject_id=row["subject"],
        display_name=row["display_name"],
        template_count=templates,
        create_time=_time(row["created"]),
        update_time=_time(row["updated"]),
        etag=row["etag"],
    )


def template_row(template: Template, gallery: int, embedding: NDArray[np.float32], request: Request | None) -> Row:
    """The row of a template, with the request that it was made for."""
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
        "created": microseconds(template.create_time),
        "face_model": template.face_model,
        "embedding_model": template.embedding_model,
        "has_crop": template.has_crop,
        "request": request.request_id if request else "",
        "digest": request.digest if request else "",
        VECTOR: np.asarray(embedding, np.float32),
    }


def template_of(row: Row, gallery_id: str) -> Template:
    """The template of a row."""
    return Template(
        template_id=id_of(row),
        gallery_id=gallery_id,
        subject_id=row["subject"],
        picture_sha256=row["picture"],
        box=(row["x1"], row["y1"], row["x2"], row["y2"]),
        quality=row["quality"],
        create_time=_time(row["created"]),
        face_model=row["face_model"],
        embedding_model=row["embedding_model"],
        has_crop=row["has_crop"],
    )


def crop_row(template: Template, gallery: int, png: bytes) -> Row:
    """The row of a template's aligned face."""
    text = base64.b64encode(png).decode()
    return with_no_vector({"id": row_id(gallery, template.template_id), "gallery": gallery, "png": text})


def crop_of(row: Row) -> bytes:
    """The aligned face of a row, as PNG."""
    return base64.b64decode(row["png"])


def request_row(template: Template, gallery: int, request: Request) -> Row:
    """The row of a request that was answered with a template that was there before."""
    return with_no_vector(
        {
            "id": row_id(gallery, request.request_id),
            "gallery": gallery,
            "template": row_id(gallery, template.template_id),
            "digest": request.digest,
        }
    )


def microseconds(time: datetime) -> int:
    """As times are stored: since 1970 in UTC."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def _calibration(row: Row) -> Calibration | None:
    try:
        return calibration_json.from_text(row["calibration"])
    except InvalidCalibration as error:
        raise StorageUnavailable(
            f"the calibration of gallery {row['id']!r} is not as it was written: {error}"
        ) from error


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
