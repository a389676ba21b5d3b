"""Where batch.py writes its rows, so that whatever ends it, each that was written is there once, and it can go on."""

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

PART_ROWS = 10_000
PART_BYTES = 64 << 20
"""So many rows, or bytes of them as JSON, become a file of a Parquet data set."""

_NEEDED = ("path", "query", "faces.list.element.decision", "error")
_FIELDS = frozenset(SCHEMA.names)
_PART = re.compile(r"part-\d{6}\.parquet")
_START = b'{"path": '


class OutputError(Exception):
    """The output cannot be written, or holds something else."""


class Output(Protocol):
    """Rows that were written, and those that are to be."""

    def rows(self) -> Iterator[Row]:
        """What was written before: of each row at least its path, query, error and the faces' decisions.

        Raises:
            OutputError: there is something that batch.py does not write.
        """

    def add(self, row: Row) -> None:
        """Write a row. Once this returns, the end of this process does not lose it."""

    def close(self) -> None:
        """Bring what was written into its last form, and let go."""


def open_output(path: Path) -> Output:
    """The output of a name: a folder of Parquet files where it ends in ``.parquet``, else a file of JSON lines.

    Raises:
        OutputError: another process writes to it, or it holds something else.
        OSError: it cannot be written.
    """
    return Dataset(path) if path.suffix.lower() == ".parquet" else Lines(path)


class Lines:
    """A file of JSON lines. A last line that was torn is cut off when it is opened.

    Raises:
        OutputError: another process writes to it, or it holds something else.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            _lock(self._file, path)
            self._cut()
        except BaseException:
            os.close(self._file)
            raise

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._file).st_size

    def rows(self) -> Iterator[Row]:
        """See :meth:`Output.rows`; the rows are whole."""
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield self._row(number, line)

    def add(self, row: Row) -> None:
        """See :meth:`Output.add`."""
        line = memoryview(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        while line:
            line = line[os.write(self._file, line) :]

    def clear(self) -> None:
        """Give up all rows."""
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
        raise OutputError(f"{self._path}, line {number} is not of batch.py")

    def _cut(self) -> None:
        """Cut off what follows the last line's end."""
        with self._path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            tail = b""
            while end and b"\n" not in tail:
                begin = max(0, end - (1 << 20))
                file.seek(begin)
                tail, end = file.read(end - begin) + tail, begin
        torn = tail[tail.rfind(b"\n") + 1 :]
        if not torn.startswith(_START[: len(torn)]):
            raise OutputError(f"{self._path} is not of batch.py")
        os.ftruncate(self._file, self.size - len(torn))


class Dataset:
    """A folder of Parquet files, and the rows that are to become the next one as JSON lines beside them.

    A file appears when it is complete and on disk; only then are its rows given up as lines.

    Raises:
        OutputError: another process writes to it, or it holds something else.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(self._descriptor, folder)
            self._parts = self._found()
            self._pending = Lines(folder / "_pending.jsonl")
            self._drop_written()
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

    def _found(self) -> list[Path]:
        for torn in self._folder.glob(".part-*.partial"):
            torn.unlink()
        parts = sorted(self._folder.glob("*.parquet"))
        for part in parts:
            try:
                is_ours = pq.read_schema(part).equals(SCHEMA)
            except pa.ArrowInvalid:
                is_ours = False
            if not is_ours or not _PART.fullmatch(part.name):
                raise OutputError(f"{part} is not of batch.py")
        return parts

    def _drop_written(self) -> None:
        """Drop the lines that are in the last file: a run was killed before it gave them up."""
        first = next(self._pending.rows(), None)
        if first and self._parts and first["path"] in pq.read_table(self._parts[-1], columns=["path"])[0].to_pylist():
            self._pending.clear()

    def _write_part(self) -> None:
        number = 1 + max((int(part.stem.rpartition("-")[2]) for part in self._parts), default=0)
        part = self._folder / f"part-{number:06}.parquet"
        torn = self._folder / f".{part.name}.partial"
        with torn.open("wb") as file:
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
