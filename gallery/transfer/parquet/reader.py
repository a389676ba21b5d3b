"""Reads and verifies the Parquet file of a gallery."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gallery.errors import InvalidImport
from gallery.transfer.manifest import MAX_BYTES, Manifest, from_json
from gallery.transfer.parquet.line_checks import CheckedLines, LineChecker
from gallery.transfer.parquet.page_sizes import RowGroup, row_groups
from gallery.transfer.parquet.schema import (
    MANIFEST_DIGEST_KEY,
    MANIFEST_KEY,
    MAX_CROP_BYTES,
    MAX_GROUP_BYTES,
    MAX_GROUP_LINES,
    MAX_TEXT_BYTES,
    ContentsDigest,
    schema,
    schema_of,
)

_MAGIC = b"PAR1"
_TAIL_BYTES = 8
_MAX_FOOTER_BYTES = 1 << 26
MIN_TAIL_BYTES = 1 << 19
MAX_TAIL_SHARE = 64
"""A footer takes 200 times its size in memory; that of an exported gallery is a five-hundredth of the file."""
_MAX_FOOTER_TEXT = 2 * MAX_BYTES
_MAX_VALUE_BYTES = {
    each.name: MAX_CROP_BYTES if each.name == "crop" else MAX_TEXT_BYTES
    for each in schema(1, has_terms=True)
    if pa.types.is_string(each.type) or pa.types.is_binary(each.type)
}
"""Maximum length of a value, for columns whose values vary in length."""


class ParquetReader:
    """Reads an exported gallery.

    Args:
        file: readable and seekable; it stays open.

    Attributes:
        manifest: the file's manifest. Its own digest is verified; what it says about the lines is not verified yet.

    Raises:
        InvalidImport: the file is not an exported gallery, is damaged, or has a newer version.
    """

    def __init__(self, file: BinaryIO) -> None:
        _check_is_parquet(file)
        plain = _opened(file)
        self.manifest = _manifest(plain.metadata.metadata or {})
        self._schema = schema_of(self.manifest)
        varying = [name for name in _MAX_VALUE_BYTES if name in self._schema.names]
        if not plain.schema_arrow.equals(self._schema):
            raise InvalidImport("the file has other columns than an exported gallery")
        # With dictionaries, a value that many lines share is in memory once, until its length is known.
        self._parquet = _opened(file, metadata=plain.metadata, read_dictionary=varying)
        if not self._parquet.schema_arrow.equals(_with_dictionaries(self._schema)):
            raise InvalidImport("the file has other columns than an exported gallery")
        values = [column.type.list_size if pa.types.is_fixed_size_list(column.type) else 1 for column in self._schema]
        self._groups = row_groups(file, values=values)

    def read(self) -> Iterator[CheckedLines]:
        """Read all lines, one row group at a time, and check each. They are verified only once all were read.

        Raises:
            InvalidImport: a line has an invalid field, or the file is damaged.
        """
        checker = LineChecker(self.manifest)
        digest = ContentsDigest()
        for number, group in enumerate(self._groups):
            for batch in self._read(number, group, checker.lines):
                lines = checker.check(batch)
                digest.update(batch)
                yield lines
        found = checker.lines, checker.subjects, checker.templates
        if found != (self.manifest.lines, self.manifest.subjects, self.manifest.templates):
            raise InvalidImport("the file does not have as many lines, subjects or templates as its manifest says")
        if digest.hexdigest() != self.manifest.contents_sha256:
            raise InvalidImport("the file is damaged: its contents do not have the SHA-256 in its manifest")

    def _read(self, number: int, group: RowGroup, lines_before: int) -> list[pa.RecordBatch]:
        """Read a row group as one batch, or as none if it has no lines."""
        if group.lines > MAX_GROUP_LINES or group.size > MAX_GROUP_BYTES:
            raise _too_large()
        if not group.lines:
            return []
        try:
            # Not read_row_group: it reads as many lines as each column has, not as many as the row group.
            batches = self._parquet.iter_batches(group.lines, row_groups=[number], use_threads=False)
            table = pa.Table.from_batches(batches, _with_dictionaries(self._schema)).combine_chunks()
            if table.num_rows != group.lines:
                raise InvalidImport(f"the file is damaged after line {lines_before}")
            return [self._without_dictionaries(batch, group.size, lines_before) for batch in table.to_batches()]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidImport(f"the file is damaged after line {lines_before}") from error

    def _without_dictionaries(self, batch: pa.RecordBatch, size: int, lines_before: int) -> pa.RecordBatch:
        """Return the lines with plain values, unless a value is too long or all of them together are."""
        for name in self._schema.names:
            if (most := _MAX_VALUE_BYTES.get(name)) is None:
                continue
            # The indices of a damaged file may be out of range: Arrow's take checks that.
            lengths = np.asarray(pc.binary_length(batch[name].dictionary).take(batch[name].indices).fill_null(0))
            if (is_long := lengths > most).any():
                line = lines_before + int(is_long.argmax()) + 1
                raise InvalidImport(f"must be at most {most} bytes", line=line, field=name)
            size += int(lengths.sum())
        if size > MAX_GROUP_BYTES:
            raise _too_large()
        columns = [
            batch[name].dictionary_decode() if name in _MAX_VALUE_BYTES else batch[name] for name in batch.schema.names
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _opened(file: BinaryIO, **options: Any) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            pa.PythonFile(file, "r"),
            pre_buffer=False,
            thrift_string_size_limit=_MAX_FOOTER_TEXT,
            page_checksum_verification=True,
            **options,
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidImport("the file's footer is damaged") from error


def _too_large() -> InvalidImport:
    return InvalidImport(f"a row group has more than {MAX_GROUP_LINES} lines or {MAX_GROUP_BYTES >> 20} MiB")


def _with_dictionaries(plain: pa.Schema) -> pa.Schema:
    """Return the columns as they are read: texts and crops as dictionaries."""
    return pa.schema(
        [
            each.with_type(pa.dictionary(pa.int32(), each.type)) if each.name in _MAX_VALUE_BYTES else each
            for each in plain
        ]
    )


def manifest_of_tail(tail: bytes) -> Manifest:
    """Return the manifest of an exported gallery.

    Args:
        tail: the end of the file: at least :data:`MIN_TAIL_BYTES`, and its size divided by :data:`MAX_TAIL_SHARE`.

    Raises:
        InvalidImport: it is not the end of an exported gallery.
    """
    return _manifest(_opened(io.BytesIO(tail)).metadata.metadata or {})


def _check_is_parquet(file: BinaryIO) -> None:
    """Refuse other files, and footers that are too large to be parsed."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(len(_MAGIC))
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read(_TAIL_BYTES)
    if size < len(_MAGIC) + _TAIL_BYTES or head != _MAGIC or not tail.endswith(_MAGIC):
        raise InvalidImport("the file is not a Parquet file, or is cut off")
    footer = int.from_bytes(tail[:4], "little")
    if footer > min(_MAX_FOOTER_BYTES, MIN_TAIL_BYTES + size // MAX_TAIL_SHARE, size):
        raise InvalidImport("the file's footer is damaged, or too large for the file")


def _manifest(metadata: dict[bytes, bytes]) -> Manifest:
    if MANIFEST_KEY not in metadata:
        raise InvalidImport("the file is not an exported gallery: it has no manifest")
    text = metadata[MANIFEST_KEY]
    if hashlib.sha256(text).hexdigest().encode() != metadata.get(MANIFEST_DIGEST_KEY):
        raise InvalidImport("the manifest is damaged: it does not have the SHA-256 in the file")
    return from_json(text)
