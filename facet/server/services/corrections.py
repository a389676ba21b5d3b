"""The methods of GalleryService that correct who is who."""

from __future__ import annotations

import asyncio

from facet.server.access import identity
from facet.server.services.pictures import Context
from facet.server.wire import convert, validate
from facet.server.wire.errors import field_at_fault
from facet.server.wire.terms import timestamp
from facet.v1 import gallery_service_pb2 as pb
from facet.v1.gallery_service_pb2_grpc import GalleryServiceServicer
from gallery.galleries import Galleries
from gallery.records.changes import Change, ChangeKind

_KINDS = {ChangeKind.MERGE: pb.CHANGE_KIND_MERGE, ChangeKind.MOVE: pb.CHANGE_KIND_MOVE}


class CorrectionServicer(GalleryServiceServicer):
    """Implements the corrections of GalleryService.

    Args:
        galleries: the galleries.
    """

    def __init__(self, galleries: Galleries) -> None:
        self._galleries = galleries

    async def MergeSubjects(self, request: pb.MergeSubjectsRequest, context: Context) -> pb.MergeSubjectsResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        from_id, into_id = _two(request.from_subject_id, "from_subject_id", request.into_subject_id, "into_subject_id")
        with field_at_fault("into_subject_id"):
            made = await asyncio.to_thread(
                self._galleries.corrections.merge,
                gallery_id,
                from_id,
                into_id,
                from_etag=request.from_etag,
                into_etag=request.into_etag,
                request_id=validate.caller_id(request.request_id, "request_id"),
                caller=identity.current().id,
            )
        policy = await asyncio.to_thread(self._galleries.policy, gallery_id)
        return pb.MergeSubjectsResponse(
            change=_change(made.change),
            subject=convert.subject(made.subject, policy),
            revision=await self._revision(gallery_id),
        )

    async def MoveTemplate(self, request: pb.MoveTemplateRequest, context: Context) -> pb.MoveTemplateResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        from_id, into_id = _two(request.from_subject_id, "from_subject_id", request.into_subject_id, "into_subject_id")
        with field_at_fault("into_subject_id"):
            made = await asyncio.to_thread(
                self._galleries.corrections.move,
                gallery_id,
                validate.template_id(request.template_id),
                from_id=from_id,
                into_id=into_id,
                request_id=validate.caller_id(request.request_id, "request_id"),
                caller=identity.current().id,
            )
        policy = await asyncio.to_thread(self._galleries.policy, gallery_id)
        return pb.MoveTemplateResponse(
            change=_change(made.change),
            subject=convert.subject(made.subject, policy),
            revision=await self._revision(gallery_id),
        )

    async def UndoChange(self, request: pb.UndoChangeRequest, context: Context) -> pb.UndoChangeResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        undone = await asyncio.to_thread(
            self._galleries.corrections.undo,
            gallery_id,
            validate.change_id(request.change_id),
            validate_only=request.validate_only,
        )
        return pb.UndoChangeResponse(
            change=_change(undone.change), was_undone=undone.was_undone, revision=await self._revision(gallery_id)
        )

    async def ListChanges(self, request: pb.ListChangesRequest, context: Context) -> pb.ListChangesResponse:
        """See the proto."""
        page = await asyncio.to_thread(
            self._galleries.corrections.list_changes,
            validate.gallery_id(request.gallery_id),
            subject_id=validate.subject_id(request.subject_id) if request.subject_id else "",
            page_size=validate.page_size(request.page_size),
            page_token=request.page_token,
        )
        return pb.ListChangesResponse(changes=map(_change, page.items), next_page_token=page.next_page_token)

    async def SetDistinct(self, request: pb.SetDistinctRequest, context: Context) -> pb.SetDistinctResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        one, other = _two(request.subject_id, "subject_id", request.other_subject_id, "other_subject_id")
        with field_at_fault("other_subject_id"):
            await asyncio.to_thread(
                self._galleries.corrections.set_distinct, gallery_id, one, other, is_distinct=not request.remove
            )
        return pb.SetDistinctResponse(revision=await self._revision(gallery_id))

    async def ListDistinct(self, request: pb.ListDistinctRequest, context: Context) -> pb.ListDistinctResponse:
        """See the proto."""
        page = await asyncio.to_thread(
            self._galleries.corrections.list_distinct,
            validate.gallery_id(request.gallery_id),
            subject_id=validate.subject_id(request.subject_id) if request.subject_id else "",
            page_size=validate.page_size(request.page_size),
            page_token=request.page_token,
        )
        pairs = [pb.DistinctPair(subject_id=one, other_subject_id=other) for one, other in page.items]
        return pb.ListDistinctResponse(pairs=pairs, next_page_token=page.next_page_token)

    async def _revision(self, gallery_id: str) -> str:
        return await asyncio.to_thread(self._galleries.revisions.current, gallery_id)


def _two(one: str, field: str, other: str, other_field: str) -> tuple[str, str]:
    return validate.subject_id(one, field), validate.subject_id(other, other_field)


def _change(change: Change) -> pb.Change:
    return pb.Change(
        change_id=change.change_id,
        gallery_id=change.gallery_id,
        kind=_KINDS[change.kind],
        from_subject_id=change.from_subject_id,
        into_subject_id=change.into_subject_id,
        template_ids=change.template_ids,
        create_time=timestamp(change.create_time),
        undo_until=timestamp(change.undo_until),
        undone=change.is_undone,
        caller=change.caller,
    )
