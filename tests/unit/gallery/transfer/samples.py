"""Galleries to export and to import, and the lines of exported files."""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gallery.galleries import Galleries
from gallery.records.distinct_pairs import Pair
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 4
CONTRACT = "c"
START = datetime(2025, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FACE_MODEL, EMBEDDING_MODEL = "a" * 64, "b" * 64


def subject_of(subject_id: str, **fields: Any) -> Subject:
    """Make a subject."""
    return replace(Subject("g", subject_id, f"name of {subject_id}", 0, START, START + timedelta(1), "e"), **fields)


def face_of(number: int, subject: Subject, crop: bytes | None = None) -> StoredFace:
    """Make a subject's face with a template of this number."""
    values = np.random.default_rng(number).standard_normal(DIMENSION)
    template = Template(
        template_id=str(uuid.UUID(int=number)),
        gallery_id="g",
        subject_id=subject.subject_id,
        picture_sha256=f"{number:064x}",
        box=(0.1, -2.0, 30.25, 40.5),
        quality=0.625,
        create_time=START + timedelta(microseconds=number),
        face_model=FACE_MODEL,
        embedding_model=EMBEDDING_MODEL,
        has_crop=crop is not None,
    )
    return StoredFace(subject, template, (values / np.linalg.norm(values)).astype(np.float32), crop)


def people(count: int, *, templates: int = 2) -> list[StoredFace]:
    """Make faces of this many subjects."""
    numbers = iter(range(1, count * templates + 1))
    return [
        face_of(next(numbers), subject)
        for subject in (subject_of(f"s{number:05}") for number in range(count))
        for _ in range(templates)
    ]


def store_gallery(store: SqliteStore, faces: Sequence[StoredFace], pairs: Sequence[Pair] = ()) -> Gallery:
    """Store the gallery "g" with these faces, and these subjects told apart, without opening it."""
    gallery = Gallery("g", "Gallery", 0.5, 2, CONTRACT, 0, 0, START, START, "e")
    importing = store.begin_import(gallery)
    importing.add(faces)
    importing.add_distinct(pairs)
    return importing.commit()


def exported_from(galleries: Galleries) -> bytes:
    """Export the gallery "g"."""
    return b"".join(piece.data for piece in galleries.transfer.export_gallery("g"))


def import_into(galleries: Galleries, data: bytes, gallery_id: str = "copy", **options: Any) -> Gallery:
    """Import a file."""
    return galleries.transfer.import_gallery(io.BytesIO(data), gallery_id, check=lambda: None, **options)


def lines_of(store: SqliteStore, gallery_id: str) -> list[Any]:
    """Return everything that is stored of a gallery except etags and the gallery id."""
    after, found = ("", ""), list[Any]()
    while faces := store.faces(gallery_id, after=after, limit=1000):
        found += faces
        last = faces[-1]
        after = last.subject.subject_id, last.template.template_id if last.template else ""
    return [
        (
            replace(face.subject, gallery_id="", etag="", template_count=0),
            face.template and replace(face.template, gallery_id=""),
            None if face.embedding is None else face.embedding.tobytes(),
            face.crop,
        )
        for face in found
    ]


def lines_in(data: bytes) -> pa.Table:
    """Read the lines of a file."""
    return pq.read_table(io.BytesIO(data))


def with_value(lines: pa.Table, field: str, line: int, value: object) -> pa.Table:
    """Replace one value of a line."""
    column = lines.schema.field(field)
    values = lines[field].cast(pa.int64()) if pa.types.is_timestamp(column.type) else lines[field]
    plain = values.to_pylist()
    plain[line - 1] = value
    if field == "embedding":
        rows, missing = (
            np.array([each or [0.0] * DIMENSION for each in plain]),
            np.array([each is None for each in plain]),
        )
        flat = pa.array(rows.ravel(), pa.float32())
        changed = pa.FixedSizeListArray.from_arrays(flat, type=column.type, mask=pa.array(missing))
    else:
        changed = pa.array(plain, values.type).cast(column.type)
    return lines.set_column(lines.schema.get_field_index(field), column, changed)
