"""An exported gallery read back: the file as a whole is verified here, its lines by :mod:`gallery.parquet_lines`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from gallery.errors import InvalidImport
from gallery.manifest import Manifest, from_json
from gallery.parquet_format import (
    MANIFEST_DIGEST_KEY,
    MANIFEST_KEY,
    MAX_FOOTER_BYTES,
    MAX_GROUP_BYTES,
    MAX_GROUP_LINES,
    ContentsDigest,
    schema,
)
from gallery.parquet_lines import Lines, LinesChecker

_MAGIC = b"PAR1"
_TAIL_BYTES = 8


class Reader:
    """Reads an exported gallery.

    Args:
        file: can be read and sought in; stays open.

    Attributes:
        manifest: what the file says of itself; its own digest was verified, what it says of the lines not yet.

    Raises:
        InvalidImport: it is not an exported gallery, or is damaged, or of a newer version.
    """

    def __init__(self, file: BinaryIO) -> None:
        _need_parquet(file)
        try:
            self._parquet = pq.ParquetFile(pa.PythonFile(file, "r"), page_checksum_verification=True)
            found = self._parquet.schema_arrow
            metadata = self._parquet.metadata
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidImport("the file's footer is damaged") from error
        self.manifest = _manifest(metadata.metadata or {})
        if not found.equals(schema(self.manifest.dimension)):
            raise InvalidImport("the file has other columns than an exported gallery")
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        if any(group.num_rows > MAX_GROUP_LINES or group.total_byte_size > MAX_GROUP_BYTES for group in groups):
            raise InvalidImport(f"a row group has more than {MAX_GROUP_LINES} lines or {MAX_GROUP_BYTES >> 20} MiB")
        self._groups = len(groups)

    def read(self) -> Iterator[Lines]:
        """All lines, a row group at a time, every one checked; they hold only once this has come to its end.

        Raises:
            InvalidImport: a line has a bad field, or the file is damaged.
        """
        checker = LinesChecker(self.manifest.dimension)
        digest = ContentsDigest()
        for number in range(self._groups):
            for batch in self._group(number, checker.lines):
                lines = checker.check(batch)
                digest.update(batch)
                yield lines
        found = checker.lines, checker.subjects, checker.templates
        if found != (self.manifest.lines, self.manifest.subjects, self.manifest.templates):
            raise InvalidImport("the file has not as many lines, subjects or templates as its manifest says")
        if digest.hexdigest() != self.manifest.contents_sha256:
            raise InvalidImport("the file is damaged: its contents have not the SHA-256 that its manifest says")

    def _group(self, number: int, before: int) -> list[pa.RecordBatch]:
        """A row group, as one batch or, where it has no lines, none."""
        try:
            table = self._parquet.read_row_group(number, use_threads=False)
            if table.num_rows != self._parquet.metadata.row_group(number).num_rows:
                raise InvalidImport(f"the file is damaged behind line {before}")
            batches: list[pa.RecordBatch] = table.combine_chunks().to_batches()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidImport(f"the file is damaged behind line {before}") from error
        return batches


def _need_parquet(file: BinaryIO) -> None:
    """Refuse other files, and footers that are too large to be looked at."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(len(_MAGIC))
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read(_TAIL_BYTES)
    if size < len(_MAGIC) + _TAIL_BYTES or head != _MAGIC or not tail.endswith(_MAGIC):
        raise InvalidImport("the file is no Parquet file, or is cut off")
    if int.from_bytes(tail[:4], "little") > min(MAX_FOOTER_BYTES, size):
        raise InvalidImport("the file's footer is damaged")


def _manifest(metadata: dict[bytes, bytes]) -> Manifest:
    if MANIFEST_KEY not in metadata:
        raise InvalidImport("the file is no exported gallery: it has no manifest")
    text = metadata[MANIFEST_KEY]
    if hashlib.sha256(text).hexdigest().encode() != metadata.get(MANIFEST_DIGEST_KEY):
        raise InvalidImport("the manifest is damaged: it has not the SHA-256 that the file says")
    return from_json(text)
