"""The columns of an exported gallery, and the digest of their values. docs/galleries.md describes the file."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gallery.transfer.manifest import Manifest

MANIFEST_KEY = b"facet.manifest"
MANIFEST_DIGEST_KEY = b"facet.manifest_sha256"

GROUP_LINES = 512
"""Lines of a row group that is written."""
MAX_GROUP_LINES = 1 << 14
"""Maximum lines of a row group that is read."""
MAX_GROUP_BYTES = 1 << 27
"""Maximum bytes of a row group that is read, uncompressed and without dictionaries."""
MAX_TEXT_BYTES = 1 << 10
"""Maximum bytes of a text in UTF-8: a name has at most 256 characters."""
MAX_CROP_BYTES = 1 << 16
"""Maximum bytes of an aligned face of 112 x 112 pixels."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

TEMPLATE_COLUMNS = (
    "template_id",
    "picture_sha256",
    "x1",
    "y1",
    "x2",
    "y2",
    "quality",
    "create_time",
    "face_model",
    "embedding_model",
)
"""The columns that are null in the line of a subject without templates, and only there. The crop may always be null."""

EMBEDDING, OTHER_EMBEDDING = "embedding", "other_embedding"
"""The columns of embeddings under the contract that searches, and under the other one of a migration. A template has at
least one of the two."""

CONSENT_COLUMNS = ("consent_basis", "consent_reference", "consent_time")
"""The columns that are null in the lines of a subject without a consent, and only there."""

_TIME = pa.timestamp("us", tz="UTC")


_TERMS = (
    pa.field("consent_basis", pa.string()),
    pa.field("consent_reference", pa.string()),
    pa.field("consent_time", _TIME),
    pa.field("subject_expire_time", _TIME),
    pa.field("expire_time", _TIME),
)


def schema(dimension: int, *, has_terms: bool = False, other_dimension: int | None = None) -> pa.Schema:
    """Return the columns.

    Args:
        dimension: values of an embedding.
        has_terms: with the columns of consents and expiries.
        other_dimension: values of an embedding of the other model of a migration; ``None`` without one.
    """
    values = pa.field("element", pa.float32(), nullable=False)
    other = () if other_dimension is None else (pa.field(OTHER_EMBEDDING, pa.list_(values, other_dimension)),)
    return pa.schema(
        [
            pa.field("subject_id", pa.string(), nullable=False),
            pa.field("display_name", pa.string(), nullable=False),
            pa.field("subject_create_time", _TIME, nullable=False),
            pa.field("subject_update_time", _TIME, nullable=False),
            pa.field("template_id", pa.string()),
            pa.field("picture_sha256", pa.string()),
            pa.field("x1", pa.float64()),
            pa.field("y1", pa.float64()),
            pa.field("x2", pa.float64()),
            pa.field("y2", pa.float64()),
            pa.field("quality", pa.float64()),
            pa.field("create_time", _TIME),
            pa.field("face_model", pa.string()),
            pa.field("embedding_model", pa.string()),
            pa.field(EMBEDDING, pa.list_(values, dimension)),
            pa.field("crop", pa.binary()),
            *(_TERMS if has_terms else ()),
            *other,
        ]
    )


def schema_of(manifest: Manifest) -> pa.Schema:
    """Return the columns of a file with this manifest."""
    return schema(manifest.dimension, has_terms=manifest.has_terms, other_dimension=manifest.other_dimension)


class ContentsDigest:
    """SHA-256 over all values, in a form that does not depend on Parquet's encoding.

    For every row group, and in it for every column in the order of the file: one byte for each line, 1 for a value and
    0 for null; for texts and crops, the lengths of the values in bytes, as little-endian 32-bit integers; the values,
    concatenated. Numbers are little-endian, times are 64-bit microseconds since 1970, texts are UTF-8. A null has
    neither length nor value.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def update(self, batch: pa.RecordBatch) -> None:
        """Add a row group."""
        for column in batch.columns:
            self._digest.update(_bytes(column.is_valid().cast(pa.uint8()), "u1"))
            values = column.drop_null()
            if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
                self._digest.update(_bytes(pc.binary_length(values), "<u4"))
                self._digest.update(_concatenated(values))
            elif pa.types.is_fixed_size_list(column.type):
                self._digest.update(_bytes(values.flatten(), "<f4"))
            elif pa.types.is_timestamp(column.type):
                self._digest.update(_bytes(values.cast(pa.int64()), "<i8"))
            else:
                self._digest.update(_bytes(values, "<f8"))

    def hexdigest(self) -> str:
        """Return the digest of the row groups added so far."""
        return self._digest.hexdigest()


def _bytes(values: pa.Array, kind: str) -> memoryview:
    return np.asarray(values).astype(kind, copy=False).data


def _concatenated(values: pa.Array) -> memoryview:
    """Return the bytes of strings or binaries without nulls."""
    _, ends, data = values.buffers()
    if not len(values) or data is None:
        return memoryview(b"")
    offsets = np.frombuffer(ends, np.int32)[values.offset : values.offset + len(values) + 1]
    return memoryview(data)[offsets[0] : offsets[-1]]
