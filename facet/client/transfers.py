"""Whole galleries as bytes: an export is checked against its digest, an import is sent with one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

from facet.client.errors import StatusCode, make_error
from facet.v1 import gallery_service_pb2 as pb

FileSource = str | PathLike[str] | BinaryIO | Iterable[bytes]
"""The path of a file, a file that is open for reading bytes, or the bytes of a file in pieces."""

CHUNK_BYTES = 1 << 20


class Received:
    """The pieces of an export as they come.

    Attributes:
        templates: how many templates the pieces so far hold.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._size = 0
        self._expected: pb.FileDigest | None = None
        self.templates = 0

    def take(self, response: pb.ExportGalleryResponse) -> bytes:
        """The bytes of a message; the last message has none."""
        self.templates = response.templates
        if response.HasField("digest"):
            self._expected = response.digest
        self._digest.update(response.chunk)
        self._size += len(response.chunk)
        return response.chunk

    def finish(self) -> None:
        """Compare what came with what was sent.

        Raises:
            DataLoss: they differ.
        """
        if self._expected != pb.FileDigest(sha256=self._digest.hexdigest(), size=self._size):
            raise make_error(StatusCode.DATA_LOSS, "the export that came is not the one that was sent")


class ImportRequests:
    """The messages of an import, in order.

    Args:
        source: the file.
        target: the first message: the id of the new gallery, and whether to only check the file.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, source: FileSource, target: pb.ImportTarget) -> None:
        self._file = Path(source).open("rb") if isinstance(source, (str, PathLike)) else None  # noqa: SIM115 - close() does
        self._source = self._file or source
        self._target = target

    def __iter__(self) -> Iterator[pb.ImportGalleryRequest]:
        yield pb.ImportGalleryRequest(target=self._target)
        digest = hashlib.sha256()
        size = 0
        for chunk in _chunks(self._source):
            digest.update(chunk)
            size += len(chunk)
            yield pb.ImportGalleryRequest(chunk=chunk)
        yield pb.ImportGalleryRequest(digest=pb.FileDigest(sha256=digest.hexdigest(), size=size))

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self._file is not None:
            self._file.close()


def _chunks(source: Any) -> Iterator[bytes]:
    pieces = iter(lambda: source.read(CHUNK_BYTES), b"") if hasattr(source, "read") else source
    for piece in pieces:
        for start in range(0, len(piece), CHUNK_BYTES):
            yield bytes(piece[start : start + CHUNK_BYTES])
