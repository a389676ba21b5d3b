"""Conversion between records of a gallery and the columns of an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gallery.records.consents import Consent, ConsentBasis
from gallery.records.subjects import Subject
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.times import from_microseconds
from gallery.transfer.parquet.line_checks import CheckedLines, EmbeddedLines
from gallery.transfer.parquet.schema import EMBEDDING, OTHER_EMBEDDING

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
    embeddings = {
        EMBEDDING: [face.embedding for face in faces],
        OTHER_EMBEDDING: [face.other_embedding for face in faces],
    }
    arrays = [
        _embeddings(embeddings[column.name], column.type)
        if column.name in embeddings
        else pa.array(values[column.name], column.type)
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def faces_of(lines: CheckedLines, gallery_id: str, etag: str) -> list[StoredFace]:
    """Convert lines to records of a gallery; their subjects get this etag."""
    subjects = _subjects(lines, gallery_id, etag)
    crops = lines.batch["crop"].to_pylist()
    templates = _templates(lines, gallery_id, [subject.subject_id for subject in subjects])
    embeddings = (_each(lines.embedded), _each(lines.other_embedded))
    return [
        StoredFace(subject, template, embedding, crop, other)
        for subject, template, crop, embedding, other in zip(subjects, templates, crops, *embeddings, strict=True)
    ]


def embedded_of(lines: CheckedLines, embedded: EmbeddedLines) -> EmbeddedTemplates:
    """Convert the templates that have embeddings of one model to what an index takes."""
    batch = lines.batch.filter(pa.array(embedded.has_embedding))
    return EmbeddedTemplates(
        batch["subject_id"].to_pylist(),
        batch["display_name"].to_pylist(),
        batch["template_id"].to_pylist(),
        embedded.embeddings,
    )


def _each(embedded: EmbeddedLines) -> list[NDArray[np.float32] | None]:
    """Return the embedding of each line."""
    embeddings = iter(embedded.embeddings)
    return [next(embeddings) if has_one else None for has_one in embedded.has_embedding]


def _embeddings(embeddings: Sequence[NDArray[np.float32] | None], column: pa.DataType) -> pa.Array:
    matrix = np.zeros((len(embeddings), column.list_size), np.float32)
    missing = np.zeros(len(embeddings), np.bool_)
    for row, embedding in enumerate(embeddings):
        if embedding is None:
            missing[row] = True
        else:
            matrix[row] = embedding
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
