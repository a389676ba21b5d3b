"""A gallery into a Parquet file, a row group at a time, without seeking in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from gallery.records.records import StoredFace
from gallery.transfer.manifest import Manifest, to_json
from gallery.transfer.parquet_format import MANIFEST_DIGEST_KEY, MANIFEST_KEY, ContentsDigest, schema
from gallery.transfer.parquet_records import batch_of

_REPEATING = ["subject_id", "display_name", "picture_sha256", "face_model", "embedding_model"]
_INCOMPRESSIBLE = ("embedding.list.element", "crop")


class Writer:
    """Writes an exported gallery into memory that is taken from it piece by piece.

    Args:
        manifest: what is known before: all but the counts and the digest.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = replace(manifest, lines=0, subjects=0, templates=0, contents_sha256="")
        self._schema = schema(manifest.dimension)
        self._digest = ContentsDigest()
        self._last_subject = ""
        self._sink = _Sink()
        compression = dict.fromkeys(set(self._schema.names) - {"embedding"}, "zstd")
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, "w"),
            self._schema,
            compression=compression | dict.fromkeys(_INCOMPRESSIBLE, "none"),
            use_dictionary=_REPEATING,
            write_statistics=False,
            write_page_checksum=True,
        )

    @property
    def templates(self) -> int:
        """How many templates have been written."""
        return self._manifest.templates

    def write(self, faces: Sequence[StoredFace]) -> bytes:
        """Write a row group of lines that follow those before; what came of it.

        Args:
            faces: at least one, at most :data:`gallery.transfer.parquet_format.MAX_GROUP_LINES`.
        """
        batch = batch_of(faces, self._manifest.dimension)
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

    def finish(self) -> bytes:
        """Write the manifest and the footer; the end of the file."""
        text = to_json(replace(self._manifest, contents_sha256=self._digest.hexdigest()))
        digest = hashlib.sha256(text).hexdigest().encode()
        self._writer.add_key_value_metadata({MANIFEST_KEY: text, MANIFEST_DIGEST_KEY: digest})
        self._writer.close()
        return self._sink.take()


class _Sink:
    """What Arrow writes to: it appends, and asks for nothing else."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken
