"""Writes the Parquet file of a gallery, one row group at a time, without seeking."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from gallery.records.templates import StoredFace
from gallery.transfer.manifest import Manifest, to_json
from gallery.transfer.parquet.records import batch_of
from gallery.transfer.parquet.schema import (
    EMBEDDING,
    MANIFEST_DIGEST_KEY,
    MANIFEST_KEY,
    OTHER_EMBEDDING,
    ContentsDigest,
    schema_of,
)

_REPEATING = ["subject_id", "display_name", "picture_sha256", "face_model", "embedding_model", "consent_reference"]
_INCOMPRESSIBLE = {
    EMBEDDING: f"{EMBEDDING}.list.element",
    OTHER_EMBEDDING: f"{OTHER_EMBEDDING}.list.element",
    "crop": "crop",
}
"""Columns, and where in the file their values are."""


class ParquetWriter:
    """Writes an exported gallery to memory, from which every method takes what it wrote.

    Args:
        manifest: the manifest; its counts and its digest are ignored.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = replace(manifest, lines=0, subjects=0, templates=0, contents_sha256="")
        self._schema = schema_of(manifest)
        self._digest = ContentsDigest()
        self._last_subject = ""
        self._sink = _Sink()
        compression = {
            _INCOMPRESSIBLE.get(name, name): "none" if name in _INCOMPRESSIBLE else "zstd"
            for name in self._schema.names
        }
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, "w"),
            self._schema,
            compression=compression,
            use_dictionary=[name for name in _REPEATING if name in self._schema.names],
            write_statistics=False,
            write_page_checksum=True,
        )

    @property
    def templates(self) -> int:
        """The number of templates written so far."""
        return self._manifest.templates

    @property
    def subjects(self) -> int:
        """The number of subjects written so far."""
        return self._manifest.subjects

    def write(self, faces: Sequence[StoredFace]) -> bytes:
        """Write a row group, and return its bytes.

        Args:
            faces: at least one, at most :data:`gallery.transfer.parquet.schema.MAX_GROUP_LINES`; they follow the
                earlier ones in the order of the file.
        """
        batch = batch_of(faces, self._schema)
        self._digest.update(batch)
        self._writer.write_batch(batch, row_group_size=len(faces))
        subject_ids = {face.subject.subject_id for face in faces}
        self._manifest = replace(
            self._manifest,
            lines=self._manifest.lines + len(faces),
            subjects=self._manifest.subjects + len(subject_ids - {self._last_subject}),
            templates=self._manifest.templates + sum(face.template is not None for face in faces),
        )
        self._last_subject = faces[-1].subject.subject_id
        return self._sink.take()

    def finish(self, distinct_pairs: Iterable[tuple[int, int]] = ()) -> bytes:
        """Write the manifest and the footer, and return their bytes.

        Args:
            distinct_pairs: see :class:`gallery.transfer.manifest.Manifest`; in any order.
        """
        pairs = tuple(sorted(distinct_pairs))
        text = to_json(replace(self._manifest, contents_sha256=self._digest.hexdigest(), distinct_pairs=pairs))
        digest = hashlib.sha256(text).hexdigest().encode()
        self._writer.add_key_value_metadata({MANIFEST_KEY: text, MANIFEST_DIGEST_KEY: digest})
        self._writer.close()
        return self._sink.take()


class _Sink:
    """The file that Arrow writes to: it only appends."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: everything is in memory."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken
