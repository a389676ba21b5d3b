"""Files of rows that survive the end of the process: every row is there once, and the next run continues."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from facet.batch.rows import SCHEMA, Row
from facet.terminal import private_files

PART_ROWS = 10_000
PART_BYTES = 64 << 20
"""A Parquet file is written after this many rows, or bytes of them as JSON."""

SUFFIXES = (".parquet", ".jsonl")
"""How the name of an output ends."""
_NEEDED = ("path", "query", "faces.list.element.decision", "error")
_FIELDS = frozenset(SCHEMA.names)
_PART = re.compile(r"part-\d{6}\.parquet")
_START = b'{"path": '


class OutputError(Exception):
    """The output cannot be used: another process writes to it, or it is not the output of a batch."""


class Output(Protocol):
    """An output of rows that can be read back and continued."""

    def rows(self) -> Iterator[Row]:
        """Read what was written before: at least the path, query, error and the faces' decisions of each row.

        Raises:
            OutputError: there is something that a batch does not write.
        """

    def add(self, row: Row) -> None:
        """Write a row. Once this returns, the row survives the end of this process."""

    def close(self) -> None:
        """Write the rows in their final form, and release the output."""


def open_output(path: Path) -> Output:
    """Open an output: a folder of Parquet files if its name ends in ``.parquet``, else a file of JSON lines.

    Raises:
        OutputError: another process writes to it, or it is not the output of a batch.
        OSError: it cannot be written.
    """
    return Dataset(path) if path.suffix.lower() == ".parquet" else Lines(path)


class Lines:
    """A file of JSON lines. Opening it cuts off a last line that is incomplete.

    Raises:
        OutputError: another process writes to it, or it is not the output of a batch.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = private_files.open_descriptor(path, os.O_RDWR | os.O_APPEND)
        try:
            _lock(self._file, path)
            self._cut_incomplete_line()
        except BaseException:
            os.close(self._file)
            raise

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return os.fstat(self._file).st_size

    def rows(self) -> Iterator[Row]:
        """See :meth:`Output.rows`; the rows are complete."""
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield self._row(number, line)

    def add(self, row: Row) -> None:
        """See :meth:`Output.add`."""
        line = memoryview(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        while line:
            line = line[os.write(self._file, line) :]

    def clear(self) -> None:
        """Delete all rows."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """See :meth:`Output.close`."""
        os.fsync(self._file)
        os.close(self._file)

    def _row(self, number: int, line: bytes) -> Row:
        try:
            row: Row = json.loads(line)
            if row.keys() == _FIELDS:
                return row
        except (ValueError, AttributeError):
            pass
        raise OutputError(f"{self._path}, line {number} was not written by a batch")

    def _cut_incomplete_line(self) -> None:
        """Cut off an incomplete last line."""
        with self._path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            tail = b""
            while end and b"\n" not in tail:
                begin = max(0, end - (1 << 20))
                file.seek(begin)
                tail, end = file.read(end - begin) + tail, begin
        torn = tail[tail.rfind(b"\n") + 1 :]
        if not torn.startswith(_START[: len(torn)]):
            raise OutputError(f"{self._path} was not written by a batch")
        os.ftruncate(self._file, self.size - len(torn))


class Dataset:
    """A folder of Parquet files, and a file of JSON lines with the rows of the next one.

    A Parquet file appears when it is complete and on disk. Only then its rows are deleted from the JSON lines.

    Raises:
        OutputError: another process writes to it, or it is not the output of a batch.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        private_files.make_folder(folder)
        self._folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(self._descriptor, folder)
            self._parts = self._find_parts()
            self._pending = Lines(folder / "_pending.jsonl")
            self._delete_written()
            self._count = sum(1 for _ in self._pending.rows())
        except BaseException:
            os.close(self._descriptor)
            raise

    def rows(self) -> Iterator[Row]:
        """See :meth:`Output.rows`."""
        for part in self._parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(columns=list(_NEEDED)):
                    yield from batch.to_pylist()
        yield from self._pending.rows()

    def add(self, row: Row) -> None:
        """See :meth:`Output.add`."""
        self._pending.add(row)
        self._count += 1
        if self._count >= PART_ROWS or self._pending.size >= PART_BYTES:
            self._write_part()

    def close(self) -> None:
        """See :meth:`Output.close`."""
        if self._count:
            self._write_part()
        self._pending.close()
        (self._folder / "_pending.jsonl").unlink()
        os.close(self._descriptor)

    def _find_parts(self) -> list[Path]:
        for torn in self._folder.glob(".part-*.partial"):
            torn.unlink()
        parts = sorted(self._folder.glob("*.parquet"))
        for part in parts:
            try:
                is_ours = pq.read_schema(part).equals(SCHEMA)
            except pa.ArrowInvalid:
                is_ours = False
            if not is_ours or not _PART.fullmatch(part.name):
                raise OutputError(f"{part} was not written by a batch, or by another version: use another --out")
        return parts

    def _delete_written(self) -> None:
        """Delete lines that are in the last file, too: a run was killed before it deleted them."""
        first = next(self._pending.rows(), None)
        if first and self._parts and first["path"] in pq.read_table(self._parts[-1], columns=["path"])[0].to_pylist():
            self._pending.clear()

    def _write_part(self) -> None:
        number = 1 + max((int(part.stem.rpartition("-")[2]) for part in self._parts), default=0)
        part = self._folder / f"part-{number:06}.parquet"
        torn = self._folder / f".{part.name}.partial"
        with os.fdopen(private_files.open_descriptor(torn, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            pq.write_table(pa.Table.from_pylist(list(self._pending.rows()), SCHEMA), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        torn.rename(part)
        os.fsync(self._descriptor)
        self._parts.append(part)
        self._pending.clear()
        self._count = 0


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"another process writes to {path}") from error
