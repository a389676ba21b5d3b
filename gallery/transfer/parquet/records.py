"""Conversion between records of a gallery and the columns of an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from gallery.records.consents import Consent, ConsentBasis
from gallery.records.subjects import Subject
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.times import from_microseconds
from gallery.transfer.parquet.line_checks import CheckedLines

_OF_TEMPLATES = (
    "template_id",
    "picture_sha256",
    "quality",
    "create_time",
    "face_model",
    "embedding_model",
    "expire_time",
)


def batch_of(faces: Sequence[StoredFace], columns: pa.Schema) -> pa.RecordBatch:
    """Convert records to lines of an exported gallery with these columns."""
    subjects = [face.subject for face in faces]
    templates = [face.template for face in faces]
    values: dict[str, Sequence[object]] = {
        "subject_id": [each.subject_id for each in subjects],
        "display_name": [each.display_name for each in subjects],
        "subject_create_time": [each.create_time for each in subjects],
        "subject_update_time": [each.update_time for each in subjects],
        "crop": [face.crop for face in faces],
        "consent_basis": [each.consent and each.consent.basis.value for each in subjects],
        "consent_reference": [each.consent and each.consent.reference for each in subjects],
        "consent_time": [each.consent and each.consent.time for each in subjects],
        "subject_expire_time": [each.expire_time for each in subjects],
    }
    for name in _OF_TEMPLATES:
        values[name] = [each and getattr(each, name) for each in templates]
    for corner, name in enumerate(("x1", "y1", "x2", "y2")):
        values[name] = [each and each.box[corner] for each in templates]
    dimension = columns.field("embedding").type.list_size
    arrays = [
        _embeddings(faces, column.type, dimension)
        if column.name == "embedding"
        else pa.array(values[column.name], column.type)
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def faces_of(lines: CheckedLines, gallery_id: str, etag: str) -> list[StoredFace]:
    """Convert lines to records of a gallery; their subjects get this etag."""
    subjects = _subjects(lines, gallery_id, etag)
    crops = lines.batch["crop"].to_pylist()
    templates = _templates(lines, gallery_id, [subject.subject_id for subject in subjects])
    embeddings = iter(lines.embeddings)
    return [
        StoredFace(subject, template, None if template is None else next(embeddings), crop)
        for subject, template, crop in zip(subjects, templates, crops, strict=True)
    ]


def embedded_of(lines: CheckedLines) -> EmbeddedTemplates:
    """Convert the templates of lines to what an index takes."""
    batch = lines.batch.filter(pa.array(lines.has_template))
    return EmbeddedTemplates(
        batch["subject_id"].to_pylist(),
        batch["display_name"].to_pylist(),
        batch["template_id"].to_pylist(),
        lines.embeddings,
    )


def _embeddings(faces: Sequence[StoredFace], column: pa.DataType, dimension: int) -> pa.Array:
    matrix = np.zeros((len(faces), dimension), np.float32)
    missing = np.zeros(len(faces), np.bool_)
    for row, face in enumerate(faces):
        if face.embedding is None:
            missing[row] = True
        else:
            matrix[row] = face.embedding
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), type=column, mask=pa.array(missing))


def _subjects(lines: CheckedLines, gallery_id: str, etag: str) -> list[Subject]:
    batch = lines.batch
    columns = (
        batch["subject_id"].to_pylist(),
        batch["display_name"].to_pylist(),
        _times(batch["subject_create_time"]),
        _times(batch["subject_update_time"]),
        _consents(batch),
        _optional_times(batch, "subject_expire_time"),
    )
    return [
        Subject(gallery_id, subject_id, display_name, 0, created, updated, etag, consent=consent, expire_time=expires)
        for subject_id, display_name, created, updated, consent, expires in zip(*columns, strict=True)
    ]


def _templates(lines: CheckedLines, gallery_id: str, subject_ids: Sequence[str]) -> list[Template | None]:
    batch = lines.batch
    columns = (
        batch["template_id"].to_pylist(),
        subject_ids,
        batch["picture_sha256"].to_pylist(),
        zip(*(batch[corner].to_pylist() for corner in ("x1", "y1", "x2", "y2")), strict=True),
        batch["quality"].to_pylist(),
        _times(batch["create_time"]),
        batch["face_model"].to_pylist(),
        batch["embedding_model"].to_pylist(),
        np.asarray(batch["crop"].is_valid()).tolist(),
        _optional_times(batch, "expire_time"),
    )
    return [
        None if template_id is None else Template(template_id, gallery_id, *rest)
        for template_id, *rest in zip(*columns, strict=True)
    ]


def _consents(batch: pa.RecordBatch) -> list[Consent | None]:
    if "consent_basis" not in batch.schema.names:
        return [None] * len(batch)
    columns = (
        batch["consent_basis"].to_pylist(),
        batch["consent_reference"].to_pylist(),
        _times(batch["consent_time"]),
    )
    return [
        None if basis is None else Consent(ConsentBasis(basis), reference, time)
        for basis, reference, time in zip(*columns, strict=True)
    ]


def _optional_times(batch: pa.RecordBatch, name: str) -> list[datetime | None]:
    """Return times in UTC; ``None`` for null, and in files without the column."""
    if name not in batch.schema.names:
        return [None] * len(batch)
    column = batch[name]
    is_set = np.asarray(column.is_valid()).tolist()
    return [time if valid else None for time, valid in zip(_times(column), is_set, strict=True)]


def _times(column: pa.Array) -> list[datetime]:
    """Return times in UTC; 1970 for null."""
    return [from_microseconds(each) for each in column.cast(pa.int64()).fill_null(0).to_pylist()]
