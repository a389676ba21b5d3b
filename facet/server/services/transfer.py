"""Exports and imports: whole galleries through a stream, a few at a time, beside everything else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facet.server.background import on_a_thread
from facet.server.errors import InvalidField, TooManyTransfers
from facet.server.scheduling.workers import Work
from facet.server.services.upload_file import Spool
from facet.server.wire import validate
from facet.v1 import gallery_service_pb2 as pb
from gallery.errors import InvalidImport
from gallery.galleries import Galleries
from gallery.records.records import Gallery

if TYPE_CHECKING:
    from gallery.transfer.transfer import Piece


class Transfers:
    """Exports and imports galleries, on threads of their own.

    Args:
        galleries: which.
        folder: where a file is received before it is read.
        max_import_bytes: how large it may be.
        at_once: so many exports, and as many imports, may be under way.
    """

    def __init__(self, galleries: Galleries, *, folder: Path, max_import_bytes: int, at_once: int) -> None:
        self._galleries = galleries
        self._folder = folder
        self._max_import_bytes = max_import_bytes
        self._exports = _Places(at_once)
        self._imports = _Places(at_once)

    async def export_gallery(self, gallery_id: str) -> AsyncGenerator[pb.ExportGalleryResponse, None]:
        """The messages of an export."""
        with self._exports.one():
            pieces = await on_a_thread(partial(self._galleries.export_gallery, gallery_id))
            messages = _messages(pieces)
            while (message := await on_a_thread(partial(next, messages, None))) is not None:
                yield message

    async def import_gallery(self, requests: AsyncIterator[pb.ImportGalleryRequest], work: Work) -> Gallery:
        """Take in the messages of an import.

        Raises:
            InvalidField: the messages do not follow each other as they must.
            InvalidImport: see :meth:`gallery.galleries.Galleries.import_gallery`; and the file broke off.
            FileTooLarge: the file is larger than it may be.
            TooManyTransfers: as many as may are under way.
        """
        first = await anext(requests, pb.ImportGalleryRequest())
        if first.WhichOneof("part") != "target":
            raise InvalidField("target", "is missing: it must be in the first message")
        gallery_id = (
            validate.gallery_id(first.target.gallery_id, "target.gallery_id") if first.target.gallery_id else ""
        )
        with self._imports.one():
            if gallery_id:
                await on_a_thread(partial(self._galleries.need_free_id, gallery_id))
            spool = Spool(self._folder, self._max_import_bytes)
            try:
                await _receive(requests, spool)
                task = partial(
                    self._galleries.import_gallery,
                    spool.file,
                    gallery_id,
                    validate_only=first.target.validate_only,
                    check=work.check,
                )
                return await on_a_thread(task, work.abandon)
            finally:
                await on_a_thread(spool.close)  # which takes a while where much is to be given back to the disk


class _Places:
    def __init__(self, number: int) -> None:
        self._free = number

    @contextmanager
    def one(self) -> Iterator[None]:
        if not self._free:
            raise TooManyTransfers
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def _messages(pieces: Iterator[Piece]) -> Iterator[pb.ExportGalleryResponse]:
    digest = hashlib.sha256()
    size = templates = 0
    for piece in pieces:
        digest.update(piece.data)
        size, templates = size + len(piece.data), piece.templates
        yield pb.ExportGalleryResponse(chunk=piece.data, templates=templates)
    whole = pb.FileDigest(sha256=digest.hexdigest(), size=size)
    yield pb.ExportGalleryResponse(digest=whole, templates=templates)


async def _receive(requests: AsyncIterator[pb.ImportGalleryRequest], spool: Spool) -> None:
    async for request in requests:
        match request.WhichOneof("part"):
            case "chunk":
                await on_a_thread(partial(spool.append, request.chunk))
            case "digest":
                await on_a_thread(partial(spool.finish, request.digest.sha256, request.digest.size))
                return
            case _:
                raise InvalidField("chunk", "is missing: chunks follow the target, then the digest")
    raise InvalidImport("the stream ended before its digest")
