"""A file with the rows of a coded segment, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.folders import sync_folder

_MAGIC = b"facet index file"
_VERSION = 1
_LENGTHS = np.dtype([("version", "<u4"), ("header", "<u4")])
_DIGEST_BYTES = 32
_PAGE = 4096
_BLOCK = 1024
_WORD = 8
_ID_BYTES = 36
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class BadIndexFile(Exception):
    """A file is not one that this program can take rows from."""


@dataclass(frozen=True, slots=True)
class IndexKey:
    """What the rows of a file are the embeddings of; a file of another key is of no use.

    Attributes:
        gallery_id: the gallery.
        created: when it was created, microseconds.
        contract: the embedding contract.
        epoch: changes when a template may get another embedding under a contract that it had one of before.
        dimension: values of an embedding.
    """

    gallery_id: str
    created: int
    contract: str
    epoch: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns of a segment; see :class:`gallery.index.segment.Segment`.

    Attributes:
        template_ids: shape ``(n,)``, ASCII; empty for a dead row, which is zero in the other columns, too.
        scales: shape ``(n,)``, float32.
        codes: shape ``(n, bytes)``, uint8.
        vectors: shape ``(n, dimension)``, the 16-bit values of a coded segment.
    """

    template_ids: NDArray[np.bytes_]
    scales: NDArray[np.float32]
    codes: NDArray[np.uint8]
    vectors: NDArray[Any]

    def __len__(self) -> int:
        return len(self.template_ids)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """All columns, in the order in which a file has them."""
        return self.template_ids, self.scales, self.codes, self.vectors


class SegmentFile:
    """An open file, whose rows any number of processes share.

    They only ever erase rows, which is the same whoever does it first. Every row has a digest of its own, which is zero
    for an erased one, so that no process has to wait for another.

    The rows stay mapped as long as anything uses :attr:`rows`.

    Args:
        path: the file.

    Attributes:
        path: the file.
        key: what the rows are the embeddings of.
        rows: the columns, which are those of the file.
        mean: shape ``(dimension,)``, float32, the mean that the codes are computed around.

    Raises:
        BadIndexFile: it is of another version, damaged, or others can read or write it.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
                raise BadIndexFile("it is not a file that only this user can read and write")
            if status.st_size < _PAGE:
                raise BadIndexFile("it is not complete")
            self._memory = mmap.mmap(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        try:
            header, start = _read_header(self._memory)
            self.key = IndexKey(**header["key"])
            self.mean = np.frombuffer(bytes.fromhex(header["mean"]), "<f4")
            self._weights = _weights(bytes.fromhex(header["seed"]), self.key.dimension)
            shapes = _shapes(int(header["rows"]), self.key.dimension)
            columns = list(_mapped(self._memory, start, shapes))
        except (KeyError, TypeError, ValueError) as error:
            raise BadIndexFile("it is damaged") from error
        *rows, self._digests = columns
        self.rows = Rows(*rows)
        if self.mean.shape != (self.key.dimension,):
            raise BadIndexFile("it is damaged")

    def check(self) -> None:
        """Compare the digests of all rows; a row that lost only its id, because a process died meanwhile, is erased.

        Raises:
            BadIndexFile: a row is not as it was written.
        """
        for start in range(0, len(self.rows), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(self.rows)))
            differs = _digests(self.rows, rows, self._weights) != self._digests[rows]
            # Read last: another process may be erasing a row, and begins with its id.
            is_erased = self.rows.template_ids[rows] == b""
            if (differs & ~is_erased).any():
                raise BadIndexFile("a digest is wrong")
            if (differs & is_erased).any():
                self.erase(rows[differs & is_erased])

    def erase(self, rows: NDArray[np.intp]) -> None:
        """Overwrite rows."""
        # First the id: without it no digest counts. Then the scale: a part of a vector has no similarity to anything.
        self.rows.template_ids[rows] = b""
        for column in (self.rows.scales, self.rows.codes, self.rows.vectors, self._digests):
            column[rows] = 0


def write(path: Path, key: IndexKey, rows: Rows, mean: NDArray[np.float32]) -> None:
    """Write a file, which is complete and on disk when this returns; if it raises there is none.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_suffix(".part")
    seed = os.urandom(16)
    weights = _weights(seed, key.dimension)
    header = {"key": asdict(key), "rows": len(rows), "mean": mean.astype("<f4").tobytes().hex(), "seed": seed.hex()}
    digests = np.concatenate(
        [
            _digests(rows, np.arange(start, min(start + _BLOCK, len(rows))), weights)
            for start in range(0, len(rows), _BLOCK)
        ]
    )
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _write_all(descriptor, memoryview(_header_bytes(header)))
            for column in (*rows.columns, digests):
                _write_all(descriptor, np.ascontiguousarray(column).data.cast("B"))
                _write_all(descriptor, memoryview(bytes(-column.nbytes % _PAGE)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.rename(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write_all(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _header_bytes(header: Mapping[str, Any]) -> bytes:
    """The first pages of a file: what it is, the length of the header, the header, and a digest of all that."""
    content = json.dumps(header).encode()
    lengths = np.array((_VERSION, len(content)), _LENGTHS).tobytes()
    page = _MAGIC + lengths + content
    page += hashlib.blake2b(page, digest_size=_DIGEST_BYTES).digest()
    return page + bytes(-len(page) % _PAGE)


def _read_header(memory: mmap.mmap) -> tuple[dict[str, Any], int]:
    """Return the header, and where the first column begins.

    Raises:
        BadIndexFile: it is not such a file, or one of another version, or the header is damaged.
    """
    start = len(_MAGIC) + _LENGTHS.itemsize
    version, length = np.frombuffer(memory[len(_MAGIC) : start], _LENGTHS)[0].tolist()
    if memory[: len(_MAGIC)] != _MAGIC:
        raise BadIndexFile("it is not an index file")
    if version != _VERSION:
        raise BadIndexFile(f"it has version {version}, and {_VERSION} is expected")
    end = start + length
    if hashlib.blake2b(memory[:end], digest_size=_DIGEST_BYTES).digest() != memory[end : end + _DIGEST_BYTES]:
        raise BadIndexFile("the digest of its header is wrong")
    header: dict[str, Any] = json.loads(memory[start:end])
    return header, -(-(end + _DIGEST_BYTES) // _PAGE) * _PAGE


def _shapes(count: int, dimension: int) -> tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]:
    """The type and shape of each column."""
    return (
        (np.dtype(f"S{_ID_BYTES}"), (count,)),
        (np.dtype("<f4"), (count,)),
        (np.dtype(np.uint8), (count, (dimension + 7) // 8)),
        (np.dtype("<i2"), (count, dimension)),
        (np.dtype("<u8"), (count,)),
    )


def _mapped(
    memory: mmap.mmap, start: int, shapes: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]
) -> Iterator[NDArray[Any]]:
    """The columns as arrays of the mapped memory.

    Raises:
        BadIndexFile: the file has another size.
    """
    sizes = [kind.itemsize * int(np.prod(shape)) for kind, shape in shapes]
    padded = [size + -size % _PAGE for size in sizes]
    if start + sum(padded) != len(memory):
        raise BadIndexFile("it is not complete")
    for (kind, shape), size in zip(shapes, padded, strict=True):
        yield np.frombuffer(memory, kind, int(np.prod(shape)), start).reshape(shape)
        start += size


def _weights(seed: bytes, dimension: int) -> NDArray[np.uint64]:
    """Odd random numbers, one for each eight bytes of a row."""
    width = _ID_BYTES + 4 + (dimension + 7) // 8 + 2 * dimension
    words = -(-width // _WORD)
    return np.frombuffer(hashlib.shake_256(seed).digest(_WORD * words), "<u8") | np.uint64(1)


def _digests(rows: Rows, wanted: NDArray[np.intp], weights: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the digests of rows: their words times the weights, modulo 2**64.

    This is a universal hash (M. Dietzfelbinger et al., A reliable randomized algorithm for the closest-pair problem, J.
    Algorithms 1997): it finds any changed bit, and damage of any other kind with all but a vanishing probability. It
    does not keep out somebody who can write the file.
    """
    content = np.zeros((len(wanted), _WORD * len(weights)), np.uint8)
    first = 0
    for column in rows.columns:
        part = np.ascontiguousarray(column[wanted])
        part = part.view(np.uint8).reshape(len(wanted), -1)
        content[:, first : first + part.shape[1]] = part
        first += part.shape[1]
    digests: NDArray[np.uint64] = content.view(np.uint64) @ weights
    return digests
