"""Implements RecognitionService: detection, analysis, verification and identification."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import partial
from itertools import compress
from typing import Any, TypeAlias

import grpc
import numpy as np

from facet.runtime.pictures import PictureError
from facet.server.access import identity, share
from facet.server.errors import InvalidField
from facet.server.monitoring.recorder import Recorder
from facet.server.observability import telemetry
from facet.server.outcomes.answer_ids import AnswerIds, source_of_call
from facet.server.outcomes.reporting import Outcomes
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from facet.server.streaming.batches import Batches, outcome
from facet.server.streaming.streams import Streams
from facet.server.wire import convert, validate
from facet.server.wire.errors import field_at_fault
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceServicer
from facet.v1.types_pb2 import SEARCH_THOROUGH
from gallery.galleries import Galleries
from gallery.ranking import refuse
from gallery.records.identifications import Identification
from recognizer import choice
from recognizer.analysis import AlignedFace, Analysis
from recognizer.faces import Faces
from recognizer.fitness import meets
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns
from recognizer.quality import NO_LIMITS, QualityLimits
from recognizer.sources import Source

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Choice = Callable[[Faces, tuple[int, ...]], int]
Record = Callable[[Sequence[AlignedFace], Sequence[Identification], int], None]


class RecognitionServicer(RecognitionServiceServicer):
    """Answers recognition calls.

    Args:
        pipeline: the models.
        workers: run the models.
        galleries: the enrolled people.
        batches: answers IdentifyBatch.
        streams: answers IdentifyStream.
        recorder: counts the answers of Identify and IdentifyBatch.
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
                    aligned, work, as_template=request.embed_as_templates
                )
                for face, embedding in zip(response.faces, embeddings, strict=True):
                    face.embedding.values.extend(embedding.tolist())
                    face.embedding.contract = self._pipeline.contract
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

        def turns() -> Turns[pb.IdentifyResponse]:
            self._galleries.check_searchable(gallery_id)
            record = partial(self._recorder.picture, gallery_id, caller_id, self._galleries.threshold(gallery_id))
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
                )
            except PictureError:
                self._recorder.undecoded(gallery_id, caller_id)
                raise
            self._answer_ids.mark(gallery_id, (face.identification for face in response.faces), caller)
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
            threshold = request.threshold if request.HasField("threshold") else self._galleries.threshold(gallery_id)
            self._galleries.check_searchable(gallery_id)
            analysis, faces = yield from analyze_and_align(
                self._pipeline, probe, probe_choice, work, "probe_picture", thorough=thorough
            )
            embedding = self._pipeline.embed(faces, work)[0]
            with work.stage("search"):
                similarity = self._galleries.similarity_to_subject(gallery_id, subject_id, embedding)
            return pb.VerifyResponse(
                similarity=similarity,
                threshold=threshold,
                probe_face=convert.face(faces[0]),
                least_face_height=analysis.least_height,
            )

        return turns()

    def _class_ids(self, names: Sequence[str]) -> list[int]:
        validate.at_most(names, validate.MAX_CLASSES, "class_names")
        known = self._pipeline.class_names
        wanted = frozenset(names)
        if unknown := sorted(wanted.difference(known)):
            raise InvalidField("class_names", f"no such class: {', '.join(unknown)[:200]}")
        return [i for i, name in enumerate(known) if not wanted or name in wanted]


def identify(
    pipeline: FacePipeline,
    galleries: Galleries,
    source: Source,
    work: Work,
    *,
    gallery_id: str,
    choose: Choice | None = None,
    top_k: int = validate.DEFAULT_TOP_K,
    threshold: float | None = None,
    limits: QualityLimits = NO_LIMITS,
    include_objects: bool = False,
    thorough: bool = False,
    distinct_subjects: bool = False,
    record: Record | None = None,
) -> Turns[pb.IdentifyResponse]:
    """Identify the people in a picture, on a worker's thread.

    Yields while a large picture is decoded, and between batches of faces.

    Args:
        pipeline: the models.
        galleries: the enrolled people.
        source: the picture.
        work: the request.
        gallery_id: the gallery to search.
        choose: returns the index of the only face to identify; ``None`` identifies all.
        top_k: maximum number of candidates per face.
        threshold: minimum similarity of a match; that of the gallery if ``None``.
        limits: minimum quality; faces below it are refused.
        include_objects: whether to return objects.
        thorough: whether to find faces that are small in a large picture.
        distinct_subjects: whether a subject is given to one face at most, the most similar one.
        record: told the faces, the answers to them, and the number of faces in the picture.

    Returns:
        the response without timings.

    Raises:
        RequestExpired: the request's deadline has passed, or it was cancelled.
        GalleryError: the gallery cannot be searched.
        PictureError: the picture cannot be decoded.
        FaceNotFound: the picture does not show the chosen face.
    """
    analysis, faces = yield from analyze_and_align(
        pipeline, source, choose, work, "picture", objects_wanted=include_objects, thorough=thorough
    )
    response = pb.IdentifyResponse(
        objects=convert.analysis_objects(analysis, pipeline.class_names, wanted=include_objects),
        picture_size=convert.picture_size(analysis.picture),
        least_face_height=analysis.least_height,
    )
    fit = [meets(face.quality, limits) for face in faces]
    refused = refuse(threshold=galleries.threshold(gallery_id) if threshold is None else threshold)
    answers = [refused] * len(faces)
    compared = list(compress(range(len(faces)), fit))
    if any(fit):
        probes = yield from pipeline.embed_in_turns(list(compress(faces, fit)), work)
        work.check()
        with work.stage("search"):
            found = iter(
                galleries.search(
                    gallery_id, probes, top_k=top_k, threshold=threshold, distinct_subjects=distinct_subjects
                )
            )
        answers = [next(found) if is_fit else refused for is_fit in fit]
    if record is not None:
        record(faces, answers, len(analysis.faces))
    response.faces.extend(
        pb.IdentifiedFace(face=convert.face(face), identification=convert.identification(answer, compared))
        for face, answer in zip(faces, answers, strict=True)
    )
    return response


def begin(
    context: Context,
    kind: str,
    priority: Priority = Priority.LIVE,
    *,
    pixels: int = 0,
    objects: bool = False,
    thorough: bool = False,
) -> Work:
    """Return the work of a request or of an item of a stream, with the client's deadline.

    Args:
        context: the call.
        kind: the method.
        priority: its urgency.
        pixels: pixels of its pictures, as far as they are known.
        objects: whether its answer contains objects.
        thorough: whether its search for faces is thorough.
    """
    remaining = context.time_remaining()
    return Work(
        telemetry.stopwatch(),
        deadline=None if remaining is None else time.monotonic() + remaining,
        kind=kind + " with objects" * objects + " thorough" * thorough,
        priority=priority,
        caller=share.current(),
        pixels=pixels,
    )


def _begin_identify(
    request: pb.IdentifyRequest, context: Context, kind: str, priority: Priority = Priority.LIVE
) -> Work:
    thorough = request.search == SEARCH_THOROUGH
    return begin(context, kind, priority, objects=request.include_objects, thorough=thorough)


def analyze_and_align(
    pipeline: FacePipeline,
    source: Source,
    choose: Choice | None,
    work: Work,
    field: str,
    *,
    face_min_score: float | None = None,
    objects_wanted: bool = False,
    thorough: bool = False,
) -> Turns[tuple[Analysis, list[AlignedFace]]]:
    """Find the faces of a picture and align all or the chosen one; errors name the request's ``field``.

    Yields while a large picture is decoded, and between tiles of a thorough search.
    """
    with field_at_fault(field):
        return (
            yield from pipeline.analyze_and_align_in_turns(
                source,
                choose,
                work,
                face_min_score=face_min_score,
                objects_wanted=objects_wanted,
                thorough=thorough,
            )
        )


def only_face(faces: Faces, _shape: tuple[int, ...]) -> int:
    """Return the index of the only face: the rule for requests that choose none."""
    return choice.only(faces)
