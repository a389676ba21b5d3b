"""RecognitionService: pictures in, objects, faces and people out."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import partial
from itertools import compress
from typing import Any, TypeAlias

import grpc
import numpy as np

from facet.server.errors import InvalidField
from facet.server.observability import telemetry
from facet.server.scheduling.workers import Priority, Work, Workers
from facet.server.streaming.batches import Batches, outcome
from facet.server.streaming.streams import Streams
from facet.server.wire import convert, validate
from facet.server.wire.errors import field_at_fault
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceServicer
from gallery.galleries import Galleries
from gallery.ranking import refuse
from recognizer import choice
from recognizer.faces import Faces
from recognizer.fitness import shortfall
from recognizer.pipeline import AlignedFace, Analysis, FacePipeline, Source
from recognizer.quality import QualityLimits

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Choice = Callable[[Faces, tuple[int, ...]], int]

_ALL_FIT = QualityLimits(min_size=0.0, min_sharpness=0.0, max_turn=90.0)


class RecognitionServicer(RecognitionServiceServicer):
    """Answers recognition calls.

    Args:
        pipeline: the models.
        workers: where they run.
        galleries: who is known.
        batches: how pictures come in a stream.
        streams: how a camera's frames do.
        limits: what a face must be like to be identified.
        threshold: decides whether two pictures show one person, where the request does not say.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        workers: Workers,
        galleries: Galleries,
        batches: Batches,
        streams: Streams,
        limits: QualityLimits,
        threshold: float,
    ) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._galleries = galleries
        self._batches = batches
        self._streams = streams
        self._limits = limits
        self._threshold = threshold

    async def Detect(self, request: pb.DetectRequest, context: Context) -> pb.DetectResponse:
        """See the proto."""
        source = convert.source(request.picture)
        least = None
        if request.HasField("min_score"):  # the detector answers what is above, the wire says at least
            least = float(np.nextafter(np.float32(validate.min_score(request.min_score)), np.float32(0)))
        wanted = self._class_ids(request.class_names)
        work = begin(context, "Detect")

        def task() -> pb.DetectResponse:
            with field_at_fault("picture"):
                picture = self._pipeline.decode(source, work)
            found = self._pipeline.detect(picture, work, min_score=least)
            keep = np.flatnonzero(np.isin(found.class_ids, wanted))
            objects = convert.objects(found, self._pipeline.class_names)
            return pb.DetectResponse(objects=[objects[i] for i in keep], picture_size=convert.picture_size(picture))

        response = await self._workers.run(work, task)
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    async def AnalyzeFaces(self, request: pb.AnalyzeFacesRequest, context: Context) -> pb.AnalyzeFacesResponse:
        """See the proto."""
        source = convert.source(request.picture)
        least = validate.min_score(request.min_score) if request.HasField("min_score") else None
        chosen = convert.face_choice(request.face, "face")
        work = begin(context, "AnalyzeFaces")

        def task() -> pb.AnalyzeFacesResponse:
            wanted = request.include_objects
            analysis, aligned_faces = look(
                self._pipeline, source, chosen, work, "picture", face_min_score=least, objects_wanted=wanted
            )
            faces = [pb.AnalyzedFace(face=convert.face(aligned)) for aligned in aligned_faces]
            if request.include_embeddings:
                embeddings = self._pipeline.embed(aligned_faces, work, as_template=request.embed_as_templates)
                for face, embedding in zip(faces, embeddings, strict=True):
                    face.embedding.values.extend(embedding.tolist())
                    face.embedding.contract = self._pipeline.contract
            return pb.AnalyzeFacesResponse(
                faces=faces,
                objects=convert.analysis_objects(analysis, self._pipeline.class_names, wanted=wanted),
                picture_size=convert.picture_size(analysis.picture),
            )

        response = await self._workers.run(work, task)
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    async def Verify(self, request: pb.VerifyRequest, context: Context) -> pb.VerifyResponse:
        """See the proto."""
        work = begin(context, "Verify")
        probe = convert.source(request.probe_picture, "probe_picture")
        probe_choice = convert.face_choice(request.probe_face, "probe_face") or only_face
        kind = request.WhichOneof("reference")
        if kind == "reference_picture":
            task = self._verify_pictures(request, work, probe, probe_choice)
        elif kind == "reference_subject":
            task = self._verify_subject(request, work, probe, probe_choice)
        else:
            raise InvalidField("reference", "is missing: reference_picture or reference_subject must be set")
        if request.HasField("threshold"):
            validate.similarity(request.threshold)
        response = await self._workers.run(work, task)
        response.same = response.similarity >= response.threshold
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    async def Identify(self, request: pb.IdentifyRequest, context: Context) -> pb.IdentifyResponse:
        """See the proto."""
        return await self._identify(request, begin(context, "Identify"))

    def IdentifyBatch(
        self, requests: AsyncIterator[pb.IdentifyBatchRequest], context: Context
    ) -> AsyncGenerator[pb.IdentifyBatchResponse, None]:
        """See the proto."""

        async def one(item: pb.IdentifyBatchRequest) -> pb.IdentifyBatchResponse:
            work = begin(context, "IdentifyBatch", Priority.BATCH)
            item_id, status, answer = await outcome(
                item.item_id, partial(self._identify, item.identification, work, never_refuse=True)
            )
            return pb.IdentifyBatchResponse(item_id=item_id, status=status, identification=answer)

        return self._batches.answers(requests, one)

    def IdentifyStream(
        self, requests: AsyncIterator[pb.IdentifyStreamRequest], context: Context
    ) -> AsyncGenerator[pb.IdentifyStreamResponse, None]:
        """See the proto."""
        return self._streams.answers(requests, partial(begin, context, "IdentifyStream"))

    async def _identify(
        self, request: pb.IdentifyRequest, work: Work, *, never_refuse: bool = False
    ) -> pb.IdentifyResponse:
        gallery_id = validate.gallery_id(request.gallery_id)
        source = convert.source(request.picture)
        chosen = convert.face_choice(request.face, "face")
        top_k = validate.top_k(request.top_k if request.HasField("top_k") else None)
        threshold = validate.similarity(request.threshold) if request.HasField("threshold") else None

        def task() -> pb.IdentifyResponse:
            self._galleries.need_searchable(gallery_id)
            return identify(
                self._pipeline,
                self._galleries,
                source,
                work,
                gallery_id=gallery_id,
                chosen=chosen,
                top_k=top_k,
                threshold=threshold,
                limits=self._limits,
                include_objects=request.include_objects,
            )

        response = await self._workers.run(work, task, never_refuse=never_refuse)
        response.timings.CopyFrom(work.stopwatch.timings())
        return response

    def _verify_pictures(
        self, request: pb.VerifyRequest, work: Work, probe: Source, probe_choice: Choice
    ) -> Callable[[], pb.VerifyResponse]:
        reference = convert.source(request.reference_picture, "reference_picture")
        reference_choice = convert.face_choice(request.reference_face, "reference_face") or only_face

        def task() -> pb.VerifyResponse:
            one = look(self._pipeline, reference, reference_choice, work, "reference_picture")[1]
            other = look(self._pipeline, probe, probe_choice, work, "probe_picture")[1]
            known = self._pipeline.embed(one, work, as_template=True)[0]
            asked = self._pipeline.embed(other, work)[0]
            return pb.VerifyResponse(
                similarity=float(np.clip(known @ asked, -1, 1)),
                threshold=request.threshold if request.HasField("threshold") else self._threshold,
                reference_face=convert.face(one[0]),
                probe_face=convert.face(other[0]),
            )

        return task

    def _verify_subject(
        self, request: pb.VerifyRequest, work: Work, probe: Source, probe_choice: Choice
    ) -> Callable[[], pb.VerifyResponse]:
        wanted = request.reference_subject
        gallery_id = validate.gallery_id(wanted.gallery_id, "reference_subject.gallery_id")
        subject_id = validate.subject_id(wanted.subject_id, "reference_subject.subject_id")

        def task() -> pb.VerifyResponse:
            threshold = request.threshold if request.HasField("threshold") else self._galleries.threshold(gallery_id)
            self._galleries.need_searchable(gallery_id)
            _, aligned_faces = look(self._pipeline, probe, probe_choice, work, "probe_picture")
            asked = self._pipeline.embed(aligned_faces, work)[0]
            with work.stopwatch.stage("search"):
                similarity = self._galleries.similarity_to_subject(gallery_id, subject_id, asked)
            return pb.VerifyResponse(
                similarity=similarity, threshold=threshold, probe_face=convert.face(aligned_faces[0])
            )

        return task

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
    chosen: Choice | None = None,
    top_k: int = validate.DEFAULT_TOP_K,
    threshold: float | None = None,
    limits: QualityLimits = _ALL_FIT,
    include_objects: bool = False,
) -> pb.IdentifyResponse:
    """Say who is in a picture: what Identify does on a worker's thread. The timings are the caller's to fill in."""
    analysis, aligned_faces = look(pipeline, source, chosen, work, "picture", objects_wanted=include_objects)
    fit = [shortfall(aligned.quality, limits) is None for aligned in aligned_faces]
    refused = refuse(threshold=galleries.threshold(gallery_id) if threshold is None else threshold)
    answers = [refused] * len(aligned_faces)
    if any(fit):
        probes = pipeline.embed(list(compress(aligned_faces, fit)), work)
        work.check()
        with work.stopwatch.stage("search"):
            found = iter(galleries.search(gallery_id, probes, top_k=top_k, threshold=threshold))
        answers = [next(found) if is_fit else refused for is_fit in fit]
    return pb.IdentifyResponse(
        faces=[
            pb.IdentifiedFace(face=convert.face(aligned), identification=convert.identification(whose))
            for aligned, whose in zip(aligned_faces, answers, strict=True)
        ],
        objects=convert.analysis_objects(analysis, pipeline.class_names, wanted=include_objects),
        picture_size=convert.picture_size(analysis.picture),
    )


def begin(context: Context, kind: str, priority: Priority = Priority.LIVE) -> Work:
    """A request's work, or an item's of a stream, with the deadline that its client set."""
    remaining = context.time_remaining()
    deadline = None if remaining is None else time.monotonic() + remaining
    return Work(telemetry.stopwatch(), deadline, kind, priority)


def look(
    pipeline: FacePipeline,
    source: Source,
    chosen: Choice | None,
    work: Work,
    field: str,
    *,
    face_min_score: float | None = None,
    objects_wanted: bool = False,
) -> tuple[Analysis, list[AlignedFace]]:
    """Find the faces of a picture, all or the chosen one; ``field`` is blamed for a picture without it."""
    with field_at_fault(field):
        analysis = pipeline.analyze(source, work, face_min_score=face_min_score, objects_wanted=objects_wanted)
        pick = None if chosen is None else partial(_pick, chosen, analysis)
        return analysis, pipeline.align(analysis, pick, work)


def _pick(chosen: Choice, analysis: Analysis, faces: Faces) -> int:
    return chosen(faces, analysis.picture.shape)


def only_face(faces: Faces, _shape: tuple[int, ...]) -> int:
    """The choice of a face where nothing was chosen."""
    return choice.only(faces)
