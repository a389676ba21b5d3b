"""Enrols the face of a picture: from its pixels to the answer."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from facet.server.audit import call as call_audit
from facet.server.config import EnrollmentConfig
from facet.server.scheduling.work import Work
from facet.server.scheduling.workers import Workers
from facet.server.services.pictures import analyze_and_align, only_face
from facet.server.wire import convert, terms, validate
from facet.server.wire.errors import field_at_fault
from facet.v1 import gallery_service_pb2 as pb
from gallery.errors import ContractMismatch
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from recognizer.analysis import AlignedFace
from recognizer.fitness import need_fit
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns

MAX_UNLIKE = 100
"""The most unlike templates in an answer."""


class Enrollments:
    """Enrols faces of pictures.

    Args:
        pipeline: the models.
        workers: the threads that run them.
        galleries: the galleries.
        config: quality limits, and whether face crops are stored.
    """

    def __init__(
        self, pipeline: FacePipeline, workers: Workers, galleries: Galleries, config: EnrollmentConfig
    ) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._galleries = galleries
        self._config = config

    async def enroll(
        self, request: pb.EnrollFaceRequest, work: Work, *, never_refuse: bool = False
    ) -> pb.EnrollFaceResponse:
        """Enrol the face of a picture.

        Args:
            request: what the client sent, not validated.
            work: of the call or the item.
            never_refuse: wait for a worker, however long the queue is.
        """
        gallery_id = validate.gallery_id(request.gallery_id)
        subject_id = validate.subject_id(request.subject_id) if request.subject_id else ""
        display_name = validate.display_name(request.display_name)
        request_id = validate.caller_id(request.request_id, "request_id")
        now = self._galleries.clock()
        consent = terms.consent(request.consent, "consent", now=now) if request.HasField("consent") else None
        expire_time = (
            terms.expire_time(request.expire_time, "expire_time", now=now) if request.HasField("expire_time") else None
        )
        source = convert.source(request.picture)
        work.pixels = source.claimed_pixels()
        choose = convert.face_choice(request.face, "face") or only_face
        thorough = convert.is_thorough(request.search)

        def turns() -> Turns[tuple[AlignedFace, Enrollment, pb.EnrollFaceResponse]]:
            self._galleries.search_contract(gallery_id)
            analysis, (aligned,) = yield from analyze_and_align(
                self._pipeline, source, choose, work, "picture", thorough=thorough
            )
            if not request.accept_low_quality:
                with field_at_fault("picture"):
                    need_fit(aligned.quality, self._config.limits())
            x1, y1, x2, y2 = aligned.faces.boxes[0].tolist()
            enrollment = Enrollment(
                **self._embedded(gallery_id, aligned, work),
                picture_sha256=source.sha256(),
                box=(x1, y1, x2, y2),
                quality=aligned.quality.value,
                display_name=display_name,
                request_id=request_id,
                request_digest=hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest(),
                accept_lookalike=request.accept_lookalike,
                accept_unlike=request.accept_unlike,
                face_model=self._pipeline.face_model,
                crop=aligned.png() if self._config.keep_crops else None,
                consent=consent,
                expire_time=expire_time,
            )
            return (
                aligned,
                enrollment,
                pb.EnrollFaceResponse(face=convert.face(aligned), least_face_height=analysis.least_height),
            )

        aligned, enrollment, response = await self._workers.run_in_turns(work, turns(), never_refuse=never_refuse)
        await call_audit.before_change()
        while True:
            try:
                with work.stage("store"):
                    enrolled = await asyncio.to_thread(
                        self._galleries.enroll, gallery_id, subject_id, enrollment, validate_only=request.validate_only
                    )
                break
            except ContractMismatch:
                # A migration has begun, or was switched or finished, since the face was embedded.
                embedded = {enrollment.contract, *enrollment.further}
                wanted = await asyncio.to_thread(self._galleries.enrollment_contracts, gallery_id)
                if embedded >= set(wanted):
                    raise
                embed = partial(self._embedded, gallery_id, aligned, work)
                enrollment = replace(enrollment, **await self._workers.run(work, embed, never_refuse=True))
        policy = await asyncio.to_thread(self._galleries.policy, gallery_id)
        response.subject.CopyFrom(convert.subject(enrolled.subject, policy))
        response.template.CopyFrom(convert.template(enrolled.template, policy))
        response.already_enrolled = enrolled.already_enrolled
        response.revision = await asyncio.to_thread(self._galleries.revisions.current, gallery_id)
        for template_id, similarity in islice(enrolled.unlike.items(), MAX_UNLIKE):
            response.unlike.add(template_id=template_id, similarity=similarity)
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    def _embedded(self, gallery_id: str, aligned: AlignedFace, work: Work) -> dict[str, Any]:
        """Embed a face with each model that the gallery needs templates of, for :class:`Enrollment`."""
        contracts = self._galleries.enrollment_contracts(gallery_id)
        own, *further = (
            (each, self._pipeline.embed([aligned], work, as_template=True, contract=each)[0]) for each in contracts
        )
        return {
            "contract": own[0],
            "embedding": own[1],
            "further": dict(further),
            "embedding_model": self._pipeline.embedding_models[own[0]].sha256,
        }
