"""Exports and imports whole galleries through streams, a few at a time."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facet.server.access import identity, share
from facet.server.background import on_a_thread
from facet.server.calls.messages import current_pace
from facet.server.errors import InvalidField, TooManyTransfers
from facet.server.scheduling.work import Work
from facet.server.services.transfer.upload_file import UploadFile
from facet.server.services.transfer_places import TransferPlaces
from facet.server.wire import convert, validate
from facet.v1 import gallery_service_pb2 as pb
from gallery.errors import InvalidImport
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery

if TYPE_CHECKING:
    from gallery.transfer.gallery_export import ExportPiece


class Transfers:
    """Exports and imports galleries on separate threads.

    Args:
        galleries: the galleries.
        folder: where an uploaded file is kept until it is imported.
        max_import_bytes: maximum size of an uploaded file.
        max_concurrent: exports that may run at the same time; the same limit applies to imports.
    """

    def __init__(self, galleries: Galleries, *, folder: Path, max_import_bytes: int, max_concurrent: int) -> None:
        self._galleries = galleries
        self._folder = folder
        self._max_import_bytes = max_import_bytes
        self._exports = TransferPlaces(max_concurrent, TooManyTransfers)
        self._imports = TransferPlaces(max_concurrent, TooManyTransfers)

    async def export_gallery(self, gallery_id: str) -> AsyncGenerator[pb.ExportGalleryResponse, None]:
        """Yield the messages of an export."""
        with self._exports.entered(share.current(), current_pace()):
            permitted = identity.current().galleries.allows
            pieces = await on_a_thread(partial(self._galleries.transfer.export_gallery, gallery_id, permitted))
            messages = _messages(pieces)
            while (message := await on_a_thread(partial(next, messages, None))) is not None:
                yield message

    async def export_subject(self, gallery_id: str, subject_id: str) -> AsyncGenerator[pb.ExportSubjectResponse, None]:
        """Yield everything about a person."""
        with self._exports.entered(share.current(), current_pace()):
            subject, templates = await on_a_thread(
                partial(self._galleries.transfer.export_subject, gallery_id, subject_id)
            )
            policy = await on_a_thread(partial(self._galleries.policy, gallery_id))
            yield pb.ExportSubjectResponse(subject=convert.subject(subject, policy))
            while (template := await on_a_thread(partial(next, templates, None))) is not None:
                yield pb.ExportSubjectResponse(template=convert.complete_template(template, policy))

    async def import_gallery(self, requests: AsyncIterator[pb.ImportGalleryRequest], work: Work) -> Gallery:
        """Receive an uploaded gallery and import it.

        Raises:
            InvalidField: a message is missing or out of order.
            InvalidImport: the file is incomplete or invalid; see
                :meth:`gallery.transfer.gallery_transfer.GalleryTransfer.import_gallery`.
            FileTooLarge: the file exceeds ``max_import_bytes``.
            TooManyTransfers: the maximum number of imports is already running.
        """
        first = await anext(requests, pb.ImportGalleryRequest())
        if first.WhichOneof("part") != "target":
            raise InvalidField("target", "is missing: the first message must have it")
        gallery_id = (
            validate.gallery_id(first.target.gallery_id, "target.gallery_id") if first.target.gallery_id else ""
        )
        with self._imports.entered(share.current(), current_pace()):
            if gallery_id:
                await on_a_thread(partial(self._galleries.transfer.check_id_is_free, gallery_id))
            upload = UploadFile(self._folder, self._max_import_bytes)
            try:
                await _receive(requests, upload)
                task = partial(
                    self._galleries.transfer.import_gallery,
                    upload.file,
                    gallery_id,
                    validate_only=first.target.validate_only,
                    check=work.check,
                )
                return await on_a_thread(task, work.abandon)
            finally:
                await on_a_thread(upload.close)  # deleting a large file takes a while


def _messages(pieces: Iterator[ExportPiece]) -> Iterator[pb.ExportGalleryResponse]:
    digest = hashlib.sha256()
    size = templates = 0
    for piece in pieces:
        digest.update(piece.data)
        size, templates = size + len(piece.data), piece.templates
        yield pb.ExportGalleryResponse(chunk=piece.data, templates=templates)
    whole = pb.FileDigest(sha256=digest.hexdigest(), size=size)
    yield pb.ExportGalleryResponse(digest=whole, templates=templates)


async def _receive(requests: AsyncIterator[pb.ImportGalleryRequest], upload: UploadFile) -> None:
    async for request in requests:
        match request.WhichOneof("part"):
            case "chunk":
                await on_a_thread(partial(upload.append, request.chunk))
            case "digest":
                await on_a_thread(partial(upload.finish, request.digest.sha256, request.digest.size))
                return
            case _:
                raise InvalidField("chunk", "is missing: chunks must follow the target, and then the digest")
    raise InvalidImport("the stream ended before its digest")
