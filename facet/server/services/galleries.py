"""GalleryService: galleries, subjects and templates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import numpy as np

from facet.server.access import identity
from facet.server.audit import call as call_audit
from facet.server.errors import InvalidField
from facet.server.migrations.worker import MigrationWorker
from facet.server.monitoring.assessments import Assessments
from facet.server.outcomes.answer_ids import AnswerIds, source_of_call
from facet.server.outcomes.reporting import Outcomes
from facet.server.scheduling.work import Priority
from facet.server.scheduling.workers import Workers
from facet.server.services.calibration import Calibrations
from facet.server.services.duplicates import DuplicateSearches
from facet.server.services.enrollment import Enrollments
from facet.server.services.identification import reach
from facet.server.services.migrations.migrations import MigrationServicer
from facet.server.services.migrations.shadow import ShadowReports
from facet.server.services.pictures import Context, begin
from facet.server.services.transfer.transfers import Transfers
from facet.server.streaming.batches import Batches, outcome
from facet.server.wire import convert, erasures, terms, validate
from facet.server.wire.errors import field_at_fault
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import migrations_pb2 as migrations_pb
from facet.v1 import observations_pb2 as observations_pb
from facet.v1.types_pb2 import SEARCH_THOROUGH
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import SubjectChange
from gallery.times import EARLIEST, from_microseconds
from recognizer.pipeline import FacePipeline

MAX_VALUES = 4096
"""Limit on the length of an embedding; no recogniser reaches it."""


class GalleryServicer(MigrationServicer):
    """Implements GalleryService.

    Args:
        pipeline: the models.
        workers: the threads that run them.
        galleries: the galleries.
        transfers: exports and imports.
        calibrations: choose thresholds.
        duplicates: searches for duplicates.
        assessments: read what searches looked like.
        batches: the streams of EnrollBatch.
        enrollments: enrols faces.
        answer_ids: gives answers their ids.
        outcomes: what clients said about answers.
        shadow: reports how the models of a migration agree.
        migrations: makes and drops embeddings of migrations in the background.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        workers: Workers,
        galleries: Galleries,
        transfers: Transfers,
        calibrations: Calibrations,
        duplicates: DuplicateSearches,
        assessments: Assessments,
        batches: Batches,
        enrollments: Enrollments,
        answer_ids: AnswerIds,
        outcomes: Outcomes,
        shadow: ShadowReports,
        migrations: MigrationWorker,
    ) -> None:
        super().__init__(pipeline, workers, galleries, migrations)
        self._workers = workers
        self._transfers = transfers
        self._calibrations = calibrations
        self._duplicates = duplicates
        self._assessments = assessments
        self._batches = batches
        self._enrollments = enrollments
        self._answer_ids = answer_ids
        self._outcomes = outcomes
        self._shadow = shadow

    async def CreateGallery(self, request: pb.CreateGalleryRequest, context: Context) -> pb.CreateGalleryResponse:
        """See the proto."""
        threshold = validate.similarity(request.threshold) if request.HasField("threshold") else None
        mean_of_best = validate.mean_of_best(request.mean_of_best) if request.HasField("mean_of_best") else 1
        gallery = await asyncio.to_thread(
            self._galleries.create_gallery,
            validate.gallery_id(request.gallery_id) if request.gallery_id else "",
            display_name=validate.display_name(request.display_name),
            threshold=threshold,
            mean_of_best=mean_of_best,
            policy=terms.policy(request.policy, "policy"),
        )
        return pb.CreateGalleryResponse(gallery=self._gallery(gallery))

    async def GetGallery(self, request: pb.GetGalleryRequest, context: Context) -> pb.GetGalleryResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        gallery = await asyncio.to_thread(self._galleries.get_gallery, gallery_id)
        return pb.GetGalleryResponse(gallery=await asyncio.to_thread(self._gallery, gallery))

    async def ListGalleries(self, request: pb.ListGalleriesRequest, context: Context) -> pb.ListGalleriesResponse:
        """See the proto."""
        page = await asyncio.to_thread(
            self._galleries.list_galleries,
            page_size=validate.page_size(request.page_size),
            page_token=request.page_token,
            permitted=identity.current().galleries.allows,
        )
        galleries = await asyncio.to_thread(lambda: [self._gallery(each) for each in page.items])
        return pb.ListGalleriesResponse(galleries=galleries, next_page_token=page.next_page_token)

    async def UpdateGallery(self, request: pb.UpdateGalleryRequest, context: Context) -> pb.UpdateGalleryResponse:
        """See the proto."""
        wanted = request.gallery
        gallery_id = validate.gallery_id(wanted.gallery_id, "gallery.gallery_id")
        changed = validate.update_mask(
            request.update_mask, frozenset({"display_name", "threshold", "mean_of_best", "policy"})
        )
        name = validate.display_name(wanted.display_name, "gallery.display_name")
        threshold = validate.similarity(wanted.threshold, "gallery.threshold")
        mean_of_best = None
        if "mean_of_best" in changed:
            mean_of_best = validate.mean_of_best(wanted.mean_of_best, "gallery.mean_of_best")
        gallery, effect = await asyncio.to_thread(
            self._galleries.preview_gallery if request.validate_only else self._galleries.change_gallery,
            gallery_id,
            GalleryChange(
                display_name=name if "display_name" in changed else None,
                threshold=threshold if "threshold" in changed else None,
                mean_of_best=mean_of_best,
                policy=terms.policy(wanted.policy, "gallery.policy") if "policy" in changed else None,
            ),
            etag=wanted.etag,
        )
        return pb.UpdateGalleryResponse(
            gallery=await asyncio.to_thread(self._gallery, gallery),
            subjects_expiring=effect.subjects,
            templates_expiring=effect.templates,
        )

    async def DeleteGallery(self, request: pb.DeleteGalleryRequest, context: Context) -> pb.DeleteGalleryResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        await asyncio.to_thread(self._galleries.delete_gallery, gallery_id, force=request.force, etag=request.etag)
        return pb.DeleteGalleryResponse()

    async def EnrollFace(self, request: pb.EnrollFaceRequest, context: Context) -> pb.EnrollFaceResponse:
        """See the proto."""
        return await self._enrollments.enroll(
            request, begin(context, "EnrollFace", Priority.ENROLLMENT, thorough=request.search == SEARCH_THOROUGH)
        )

    def EnrollBatch(
        self, requests: AsyncIterator[pb.EnrollBatchRequest], context: Context
    ) -> AsyncGenerator[pb.EnrollBatchResponse, None]:
        """See the proto."""

        async def one(item: pb.EnrollBatchRequest) -> pb.EnrollBatchResponse:
            thorough = item.enrollment.search == SEARCH_THOROUGH
            work = begin(context, "EnrollBatch", Priority.BATCH, thorough=thorough)
            enroll = partial(self._enrollments.enroll, item.enrollment, work, never_refuse=True)
            item_id, status, enrolled = await outcome(item.item_id, partial(call_audit.item, item, enroll))
            return pb.EnrollBatchResponse(item_id=item_id, status=status, enrollment=enrolled)

        return self._batches.answers(requests, one)

    async def GetSubject(self, request: pb.GetSubjectRequest, context: Context) -> pb.GetSubjectResponse:
        """See the proto."""
        subject = await asyncio.to_thread(self._galleries.get_subject, *_ids(request))
        return pb.GetSubjectResponse(subject=convert.subject(subject, await self._policy(subject.gallery_id)))

    async def ListSubjects(self, request: pb.ListSubjectsRequest, context: Context) -> pb.ListSubjectsResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        page = await asyncio.to_thread(
            self._galleries.list_subjects,
            gallery_id,
            page_size=validate.page_size(request.page_size),
            page_token=request.page_token,
        )
        policy = await self._policy(gallery_id)
        return pb.ListSubjectsResponse(
            subjects=[convert.subject(each, policy) for each in page.items], next_page_token=page.next_page_token
        )

    async def UpdateSubject(self, request: pb.UpdateSubjectRequest, context: Context) -> pb.UpdateSubjectResponse:
        """See the proto."""
        wanted, now = request.subject, self._galleries.clock()
        changed = validate.update_mask(request.update_mask, frozenset({"display_name", "consent", "expire_time"}))
        change = SubjectChange(
            changed,
            display_name=validate.display_name(wanted.display_name, "subject.display_name"),
            consent=terms.consent(wanted.consent, "subject.consent", now=now)
            if "consent" in changed and wanted.HasField("consent")
            else None,
            expire_time=terms.expire_time(wanted.expire_time, "subject.expire_time", now=now)
            if "expire_time" in changed and wanted.HasField("expire_time")
            else None,
        )
        subject = await asyncio.to_thread(
            self._galleries.update_subject,
            validate.gallery_id(wanted.gallery_id, "subject.gallery_id"),
            validate.subject_id(wanted.subject_id, "subject.subject_id"),
            change,
            etag=wanted.etag,
        )
        return pb.UpdateSubjectResponse(
            subject=convert.subject(subject, await self._policy(subject.gallery_id)),
            revision=await self._revision(subject.gallery_id),
        )

    async def DeleteSubject(self, request: pb.DeleteSubjectRequest, context: Context) -> pb.DeleteSubjectResponse:
        """See the proto."""
        deleted = await asyncio.to_thread(self._galleries.delete_subject, *_ids(request), etag=request.etag)
        return pb.DeleteSubjectResponse(templates_deleted=deleted, revision=await self._revision(request.gallery_id))

    async def ListTemplates(self, request: pb.ListTemplatesRequest, context: Context) -> pb.ListTemplatesResponse:
        """See the proto."""
        gallery_id, subject_id = _ids(request)
        page = await asyncio.to_thread(
            self._galleries.list_templates,
            gallery_id,
            subject_id,
            page_size=validate.page_size(request.page_size),
            page_token=request.page_token,
        )
        policy = await self._policy(gallery_id)
        return pb.ListTemplatesResponse(
            templates=[convert.template(each, policy) for each in page.items], next_page_token=page.next_page_token
        )

    async def DeleteTemplate(self, request: pb.DeleteTemplateRequest, context: Context) -> pb.DeleteTemplateResponse:
        """See the proto."""
        template_id = validate.template_id(request.template_id)
        await asyncio.to_thread(self._galleries.delete_template, *_ids(request), template_id)
        return pb.DeleteTemplateResponse(revision=await self._revision(request.gallery_id))

    async def SearchEmbedding(self, request: pb.SearchEmbeddingRequest, context: Context) -> pb.SearchEmbeddingResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id)
        top_k = validate.top_k(request.top_k if request.HasField("top_k") else None)
        threshold = validate.similarity(request.threshold) if request.HasField("threshold") else None
        contract = validate.contract(request.embedding.contract, "embedding.contract")
        validate.at_most(request.embedding.values, MAX_VALUES, "embedding.values")
        probe = np.array(request.embedding.values, np.float32)
        await reach(self._galleries, gallery_id, request.min_revision)
        work = begin(context, "SearchEmbedding")
        caller = source_of_call()

        def task() -> pb.SearchEmbeddingResponse:
            with work.stage("search"), field_at_fault("embedding.values"):
                found = self._galleries.search(
                    gallery_id, probe[None], top_k=top_k, threshold=threshold, contract=contract
                )
            response = pb.SearchEmbeddingResponse(identification=convert.identification(found[0]))
            self._answer_ids.mark(gallery_id, (response.identification,), caller, contract)
            return response

        response = await self._workers.run(work, task)
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    async def ExportGallery(
        self, request: pb.ExportGalleryRequest, context: Context
    ) -> AsyncIterator[pb.ExportGalleryResponse]:
        """See the proto."""
        async with aclosing(self._transfers.export_gallery(validate.gallery_id(request.gallery_id))) as responses:
            async for response in responses:
                yield response

    async def ExportSubject(
        self, request: pb.ExportSubjectRequest, context: Context
    ) -> AsyncIterator[pb.ExportSubjectResponse]:
        """See the proto."""
        async with aclosing(self._transfers.export_subject(*_ids(request))) as responses:
            async for response in responses:
                yield response

    async def ListErasures(self, request: pb.ListErasuresRequest, context: Context) -> pb.ListErasuresResponse:
        """See the proto."""
        gallery_id = validate.gallery_id(request.gallery_id) if request.gallery_id else ""
        subject_id = validate.subject_id(request.subject_id) if request.subject_id else ""
        if subject_id and not gallery_id:
            raise InvalidField("gallery_id", "is missing: the ids of subjects are unique in a gallery only")
        since = EARLIEST
        if request.HasField("since"):
            since = from_microseconds(int(validate.moment(request.since, "since") * 1e6))
        page = await asyncio.to_thread(
            self._galleries.erasures.list,
            gallery_id,
            subject_id,
            since=since,
            page_size=validate.page_size(request.page_size),
            page_token=request.page_token,
        )
        copies = () if request.page_token else await asyncio.to_thread(self._galleries.erasures.copies, gallery_id)
        return pb.ListErasuresResponse(
            erasures=map(erasures.erasure, page.items),
            copies=map(erasures.made_copy, copies),
            next_page_token=page.next_page_token,
        )

    async def ListObservations(
        self, request: observations_pb.ListObservationsRequest, context: Context
    ) -> observations_pb.ListObservationsResponse:
        """See the proto."""
        return await self._assessments.observations(request)

    async def AssessGallery(
        self, request: observations_pb.AssessGalleryRequest, context: Context
    ) -> observations_pb.AssessGalleryResponse:
        """See the proto."""
        return await self._assessments.assess(request)

    async def BeginReferencePeriod(
        self, request: observations_pb.BeginReferencePeriodRequest, context: Context
    ) -> observations_pb.BeginReferencePeriodResponse:
        """See the proto."""
        return await self._assessments.begin_reference(request)

    async def ImportGallery(
        self, requests: AsyncIterator[pb.ImportGalleryRequest], context: Context
    ) -> pb.ImportGalleryResponse:
        """See the proto."""
        gallery = await self._transfers.import_gallery(requests, begin(context, "ImportGallery", Priority.BATCH))
        return pb.ImportGalleryResponse(gallery=self._gallery(gallery))

    async def CalibrateGallery(
        self, requests: AsyncIterator[pb.CalibrateGalleryRequest], context: Context
    ) -> pb.CalibrateGalleryResponse:
        """See the proto."""
        new_work = partial(begin, context, "CalibrateGallery", Priority.BATCH)
        return await self._calibrations.calibrate(requests, new_work, self._gallery)

    async def FindDuplicates(
        self, request: pb.FindDuplicatesRequest, context: Context
    ) -> AsyncIterator[pb.FindDuplicatesResponse]:
        """See the proto."""
        work = begin(context, "FindDuplicates", Priority.BATCH)
        async with aclosing(self._duplicates.find(request, work)) as responses:
            async for response in responses:
                yield response

    async def ListOutcomes(self, request: pb.ListOutcomesRequest, context: Context) -> pb.ListOutcomesResponse:
        """See the proto."""
        return await self._outcomes.list(request)

    async def GetShadowReport(
        self, request: migrations_pb.GetShadowReportRequest, context: Context
    ) -> migrations_pb.GetShadowReportResponse:
        """See the proto."""
        return await self._shadow.report(request)

    def _gallery(self, gallery: Gallery) -> pb.Gallery:
        statuses = [self._galleries.calibrator.status(gallery.under(each)) for each in gallery.contracts]
        told = gallery.told_to(identity.current().galleries.allows)
        problem, revision = self._galleries.problem_of(gallery), self._galleries.revisions.current(gallery.gallery_id)
        return convert.gallery(told, statuses, self._of(gallery), problem=problem, revision=revision)

    async def _revision(self, gallery_id: str) -> str:
        return await asyncio.to_thread(self._galleries.revisions.current, gallery_id)

    async def _policy(self, gallery_id: str) -> GalleryPolicy:
        # On a thread, because the store may be asked.
        return await asyncio.to_thread(self._galleries.policy, gallery_id)


def _ids(request: Any) -> tuple[str, str]:
    return validate.gallery_id(request.gallery_id), validate.subject_id(request.subject_id)
