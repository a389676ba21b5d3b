"""Implements RecognitionService: detection, analysis, verification and identification."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from functools import partial

import numpy as np

from facet.runtime.pictures import PictureError
from facet.server.access import identity
from facet.server.errors import InvalidField
from facet.server.monitoring.recorder import Recorder
from facet.server.outcomes.answer_ids import AnswerIds, source_of_call
from facet.server.outcomes.reporting import Outcomes
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from facet.server.services.identification import identify, reach
from facet.server.services.pictures import Choice, Context, analyze_and_align, begin, only_face
from facet.server.shadow.shadow import Shadow
from facet.server.streaming.batches import Batches, outcome
from facet.server.streaming.streams import Streams
from facet.server.wire import convert, validate
from facet.server.wire.errors import field_at_fault
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceServicer
from facet.v1.types_pb2 import SEARCH_THOROUGH
from gallery.errors import ContractMismatch
from gallery.galleries import Galleries
from recognizer.analysis import AlignedFace
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns
from recognizer.quality import QualityLimits
from recognizer.sources import Source


class RecognitionServicer(RecognitionServiceServicer):
    """Answers recognition calls.

    Args:
        pipeline: the models.
        workers: run the models.
        galleries: the enrolled people.
        batches: answers IdentifyBatch.
        streams: answers IdentifyStream.
        recorder: counts the answers of Identify and IdentifyBatch.
        shadow: compares some of these answers with those of another model.
        limits: minimum quality of a face to identify.
        threshold: minimum similarity of Verify, for requests without a threshold.
        answer_ids: gives answers their ids.
        outcomes: what clients say about answers.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        workers: Workers,
        galleries: Galleries,
        batches: Batches,
        streams: Streams,
        recorder: Recorder,
        shadow: Shadow,
        limits: QualityLimits,
        threshold: float,
        answer_ids: AnswerIds,
        outcomes: Outcomes,
    ) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._galleries = galleries
        self._batches = batches
        self._streams = streams
        self._recorder = recorder
        self._shadow = shadow
        self._limits = limits
        self._threshold = threshold
        self._answer_ids = answer_ids
        self._outcomes = outcomes

    async def Detect(self, request: pb.DetectRequest, context: Context) -> pb.DetectResponse:
        """See the proto."""
        source = convert.source(request.picture)
        min_score = None
        if request.HasField("min_score"):  # inclusive on the wire, exclusive in the detector
            min_score = float(np.nextafter(np.float32(validate.min_score(request.min_score)), np.float32(0)))
        wanted = self._class_ids(request.class_names)
        work = begin(context, "Detect", pixels=source.claimed_pixels())

        def turns() -> Turns[pb.DetectResponse]:
            with field_at_fault("picture"):
                detections, picture = yield from self._pipeline.detect_in_turns(source, work, min_score=min_score)
            keep = np.flatnonzero(np.isin(detections.class_ids, wanted))
            objects = convert.objects(detections, self._pipeline.class_names)
            return pb.DetectResponse(objects=[objects[i] for i in keep], picture_size=convert.picture_size(picture))

        response = await self._workers.run_in_turns(work, turns())
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    async def AnalyzeFaces(self, request: pb.AnalyzeFacesRequest, context: Context) -> pb.AnalyzeFacesResponse:
        """See the proto."""
        source = convert.source(request.picture)
        min_score = validate.min_score(request.min_score) if request.HasField("min_score") else None
        choose = convert.face_choice(request.face, "face")
        thorough = convert.is_thorough(request.search)
        contract = self._contract(request.contract)
        work = begin(
            context,
            "AnalyzeFaces",
            pixels=source.claimed_pixels(),
            objects=request.include_objects,
            thorough=thorough,
        )

        def turns() -> Turns[pb.AnalyzeFacesResponse]:
            wanted = request.include_objects
            analysis, aligned = yield from analyze_and_align(
                self._pipeline,
                source,
                choose,
                work,
                "picture",
                face_min_score=min_score,
                objects_wanted=wanted,
                thorough=thorough,
            )
            response = pb.AnalyzeFacesResponse(
                faces=[pb.AnalyzedFace(face=convert.face(each)) for each in aligned],
                objects=convert.analysis_objects(analysis, self._pipeline.class_names, wanted=wanted),
                picture_size=convert.picture_size(analysis.picture),
                least_face_height=analysis.least_height,
            )
            if request.include_embeddings:
                embeddings = yield from self._pipeline.embed_in_turns(
                    aligned, work, as_template=request.embed_as_templates, contract=contract
                )
                for face, embedding in zip(response.faces, embeddings, strict=True):
                    face.embedding.values.extend(embedding.tolist())
                    face.embedding.contract = contract
            return response

        response = await self._workers.run_in_turns(work, turns())
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    async def Verify(self, request: pb.VerifyRequest, context: Context) -> pb.VerifyResponse:
        """See the proto."""
        probe = convert.source(request.probe_picture, "probe_picture")
        thorough = convert.is_thorough(request.search)
        work = begin(context, "Verify", pixels=probe.claimed_pixels(), thorough=thorough)
        probe_choice = convert.face_choice(request.probe_face, "probe_face") or only_face
        kind = request.WhichOneof("reference")
        if kind == "reference_picture":
            turns = self._verify_pictures(request, work, probe, probe_choice)
        elif kind == "reference_subject":
            turns = self._verify_subject(request, work, probe, probe_choice)
        else:
            raise InvalidField("reference", "is missing: reference_picture or reference_subject must be set")
        if request.HasField("threshold"):
            validate.similarity(request.threshold)
        response = await self._workers.run_in_turns(work, turns)
        response.same = response.similarity >= response.threshold
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    async def Identify(self, request: pb.IdentifyRequest, context: Context) -> pb.IdentifyResponse:
        """See the proto."""
        return await self._identify(request, _begin_identify(request, context, "Identify"))

    def IdentifyBatch(
        self, requests: AsyncIterator[pb.IdentifyBatchRequest], context: Context
    ) -> AsyncGenerator[pb.IdentifyBatchResponse, None]:
        """See the proto."""

        async def one(item: pb.IdentifyBatchRequest) -> pb.IdentifyBatchResponse:
            request = item.identification
            work = _begin_identify(request, context, "IdentifyBatch", Priority.BATCH)
            item_id, status, answer = await outcome(
                item.item_id, partial(self._identify, request, work, never_refuse=True)
            )
            return pb.IdentifyBatchResponse(item_id=item_id, status=status, identification=answer)

        return self._batches.answers(requests, one)

    def IdentifyStream(
        self, requests: AsyncIterator[pb.IdentifyStreamRequest], context: Context
    ) -> AsyncGenerator[pb.IdentifyStreamResponse, None]:
        """See the proto."""
        return self._streams.answers(requests, partial(begin, context, "IdentifyStream"))

    async def ReportOutcome(self, request: pb.ReportOutcomeRequest, context: Context) -> pb.ReportOutcomeResponse:
        """See the proto."""
        return await self._outcomes.report(request)

    async def _identify(
        self, request: pb.IdentifyRequest, work: Work, *, never_refuse: bool = False
    ) -> pb.IdentifyResponse:
        gallery_id = validate.gallery_id(request.gallery_id)
        source = convert.source(request.picture)
        work.pixels = source.claimed_pixels()
        choose = convert.face_choice(request.face, "face")
        thorough = convert.is_thorough(request.search)
        top_k = validate.top_k(request.top_k if request.HasField("top_k") else None)
        threshold = validate.similarity(request.threshold) if request.HasField("threshold") else None
        caller_id, caller = identity.current().id, source_of_call()
        answering = asyncio.current_task()
        await reach(self._galleries, gallery_id, request.min_revision)

        def mark(answers: Iterable[pb.Identification], contract: str) -> None:
            self._answer_ids.mark(gallery_id, answers, caller, contract)

        def turns() -> Turns[pb.IdentifyResponse]:
            self._galleries.search_contract(gallery_id)
            record = partial(self._recorder.picture, gallery_id, caller_id)
            searched = None
            if threshold is None and answering is not None:  # a threshold of the caller is one for this model only
                searched = self._shadow.choose(gallery_id, answering, work, distinct_subjects=request.distinct_subjects)
            try:
                response = yield from identify(
                    self._pipeline,
                    self._galleries,
                    source,
                    work,
                    gallery_id=gallery_id,
                    choose=choose,
                    top_k=top_k,
                    threshold=threshold,
                    limits=self._limits,
                    include_objects=request.include_objects,
                    distinct_subjects=request.distinct_subjects,
                    thorough=thorough,
                    record=record,
                    searched=searched,
                    mark=mark,
                )
            except PictureError:
                self._recorder.undecoded(gallery_id, caller_id)
                raise
            return response

        response = await self._workers.run_in_turns(work, turns(), never_refuse=never_refuse)
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    def _verify_pictures(
        self, request: pb.VerifyRequest, work: Work, probe: Source, probe_choice: Choice
    ) -> Turns[pb.VerifyResponse]:
        reference = convert.source(request.reference_picture, "reference_picture")
        reference_choice = convert.face_choice(request.reference_face, "reference_face") or only_face
        work.pixels += reference.claimed_pixels()
        thorough = convert.is_thorough(request.search)

        def turns() -> Turns[pb.VerifyResponse]:
            _, reference_faces = yield from analyze_and_align(
                self._pipeline, reference, reference_choice, work, "reference_picture", thorough=thorough
            )
            analysis, probe_faces = yield from analyze_and_align(
                self._pipeline, probe, probe_choice, work, "probe_picture", thorough=thorough
            )
            reference_embedding = self._pipeline.embed(reference_faces, work, as_template=True)[0]
            probe_embedding = self._pipeline.embed(probe_faces, work)[0]
            return pb.VerifyResponse(
                similarity=float(np.clip(reference_embedding @ probe_embedding, -1, 1)),
                threshold=request.threshold if request.HasField("threshold") else self._threshold,
                reference_face=convert.face(reference_faces[0]),
                probe_face=convert.face(probe_faces[0]),
                least_face_height=analysis.least_height,
            )

        return turns()

    def _verify_subject(
        self, request: pb.VerifyRequest, work: Work, probe: Source, probe_choice: Choice
    ) -> Turns[pb.VerifyResponse]:
        subject = request.reference_subject
        gallery_id = validate.gallery_id(subject.gallery_id, "reference_subject.gallery_id")
        subject_id = validate.subject_id(subject.subject_id, "reference_subject.subject_id")
        thorough = convert.is_thorough(request.search)

        def turns() -> Turns[pb.VerifyResponse]:
            self._galleries.search_contract(gallery_id)
            analysis, faces = yield from analyze_and_align(
                self._pipeline, probe, probe_choice, work, "probe_picture", thorough=thorough
            )
            similarity, of_gallery = self._similarity(gallery_id, subject_id, faces, work)
            threshold = request.threshold if request.HasField("threshold") else of_gallery
            return pb.VerifyResponse(
                similarity=similarity,
                threshold=threshold,
                probe_face=convert.face(faces[0]),
                least_face_height=analysis.least_height,
            )

        return turns()

    def _contract(self, wanted: str) -> str:
        """The contract that embeddings are asked for; that of the first model if the request names none."""
        models = self._pipeline.embedding_models
        if wanted and wanted not in models:
            loaded = ", ".join(f"{model.contract} ({model.name})" for model in models.values())
            raise InvalidField("contract", f"no loaded model has it, loaded are {loaded}")
        return wanted or self._pipeline.contract

    def _similarity(
        self, gallery_id: str, subject_id: str, faces: Sequence[AlignedFace], work: Work
    ) -> tuple[float, float]:
        """Compare a face with a subject, by the model of its gallery; return the gallery's threshold for it, too."""
        while True:
            contract = self._galleries.search_contract(gallery_id)
            embedding = self._pipeline.embed(faces, work, contract=contract)[0]
            try:
                threshold = self._galleries.threshold(gallery_id, contract)
                with work.stage("search"):
                    similarity = self._galleries.similarity_to_subject(
                        gallery_id, subject_id, embedding, contract=contract
                    )
            except ContractMismatch:
                if self._galleries.search_contract(gallery_id) == contract:
                    raise
            else:
                return similarity, threshold

    def _class_ids(self, names: Sequence[str]) -> list[int]:
        validate.at_most(names, validate.MAX_CLASSES, "class_names")
        known = self._pipeline.class_names
        wanted = frozenset(names)
        if unknown := sorted(wanted.difference(known)):
            raise InvalidField("class_names", f"no such class: {', '.join(unknown)[:200]}")
        return [i for i, name in enumerate(known) if not wanted or name in wanted]


def _begin_identify(
    request: pb.IdentifyRequest, context: Context, kind: str, priority: Priority = Priority.LIVE
) -> Work:
    thorough = request.search == SEARCH_THOROUGH
    return begin(context, kind, priority, objects=request.include_objects, thorough=thorough)
