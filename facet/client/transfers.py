"""Whole galleries as bytes: what comes is held against its digest, what goes gets one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import grpc
from google.rpc.status_pb2 import Status

from facet.client.errors import DataLoss
from facet.client.messages import Messages
from facet.v1 import gallery_service_pb2 as pb

FileSource = str | PathLike[str] | BinaryIO | Iterable[bytes]
"""The path of a file, a file that is open for reading bytes, or the bytes of a file in pieces."""

CHUNK_BYTES = 1 << 20


class Received:
    """The pieces of an export as they come.

    Attributes:
        templates: how many templates they hold so far.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._size = 0
        self._said: pb.FileDigest | None = None
        self.templates = 0

    def take(self, response: pb.ExportGalleryResponse) -> bytes:
        """The bytes of a message; none where it is the last."""
        self.templates = response.templates
        if response.HasField("digest"):
            self._said = response.digest
        self._digest.update(response.chunk)
        self._size += len(response.chunk)
        return response.chunk

    def finish(self) -> None:
        """Hold what came against what was sent.

        Raises:
            DataLoss: it is not the same.
        """
        if self._said != pb.FileDigest(sha256=self._digest.hexdigest(), size=self._size):
            code = grpc.StatusCode.DATA_LOSS
            raise DataLoss(
                code, Status(code=code.value[0], message="the export that came is not the one that was sent")
            )


class ImportRequests(Messages[pb.ImportGalleryRequest]):
    """The messages of an import, one after the other.

    Args:
        source: the file.
        gallery_id: the new gallery's id; empty for the one that the file says.
        fields: further ones of ImportTarget.

    Attributes:
        error: what reading the file failed with, which gRPC does not pass on.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, source: FileSource, gallery_id: str, **fields: Any) -> None:
        self._file = Path(source).open("rb") if isinstance(source, (str, PathLike)) else None  # noqa: SIM115 - close() does
        target = pb.ImportTarget(gallery_id=gallery_id, **fields)
        super().__init__(_messages(_chunks(self._file or source), target))

    def close(self) -> None:
        """Close the file, where it was opened here."""
        if self._file is not None:
            self._file.close()


def _messages(chunks: Iterator[bytes], target: pb.ImportTarget) -> Iterator[pb.ImportGalleryRequest]:
    yield pb.ImportGalleryRequest(target=target)
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield pb.ImportGalleryRequest(chunk=chunk)
    yield pb.ImportGalleryRequest(digest=pb.FileDigest(sha256=digest.hexdigest(), size=size))


def _chunks(source: Any) -> Iterator[bytes]:
    pieces = iter(lambda: source.read(CHUNK_BYTES), b"") if hasattr(source, "read") else source
    for piece in pieces:
        for start in range(0, len(piece), CHUNK_BYTES):
            yield bytes(piece[start : start + CHUNK_BYTES])
