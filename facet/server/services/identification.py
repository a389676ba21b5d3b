"""Identifies the people in a picture: from its pixels to the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import compress

from facet.server.scheduling.work import Work
from facet.server.services.pictures import Choice, analyze_and_align
from facet.server.shadow.shadow import Searched
from facet.server.wire import convert, validate
from facet.v1 import recognition_service_pb2 as pb
from gallery.errors import ContractMismatch
from gallery.galleries import Galleries
from gallery.ranking import refuse
from gallery.records.identifications import Identification
from recognizer.analysis import AlignedFace
from recognizer.fitness import meets
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns
from recognizer.quality import NO_LIMITS, QualityLimits
from recognizer.sources import Source

Record = Callable[[float, Sequence[AlignedFace], Sequence[Identification], int], None]
Mark = Callable[[Iterable[pb.Identification], str], None]


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
    searched: Searched | None = None,
    mark: Mark | None = None,
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
        record: told the gallery's threshold for the model that searched, the faces, the answers to them, and the number
            of faces in the picture.
        searched: told the contract of the model that the gallery was searched with, the faces that were searched, and
            the gallery's answers.
        mark: gives the answers their ids; told the contract of the model that searched, too.

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
    of_gallery = galleries.threshold(gallery_id)
    refused = refuse(threshold=of_gallery if threshold is None else threshold)
    answers = [refused] * len(faces)
    compared = list(compress(range(len(faces)), fit))
    if any(fit):
        fit_faces = list(compress(faces, fit))
        contract, of_gallery, found = yield from search_by_gallery(
            pipeline,
            galleries,
            fit_faces,
            work,
            gallery_id=gallery_id,
            top_k=top_k,
            threshold=threshold,
            distinct_subjects=distinct_subjects,
        )
        if searched is not None:
            searched(contract, fit_faces, found)
        each = iter(found)
        answers = [next(each) if is_fit else refused for is_fit in fit]
    if record is not None:
        record(of_gallery, faces, answers, len(analysis.faces))
    response.faces.extend(
        pb.IdentifiedFace(face=convert.face(face), identification=convert.identification(answer, compared))
        for face, answer in zip(faces, answers, strict=True)
    )
    if mark is not None and any(fit):
        mark((face.identification for face in response.faces), contract)
    return response


async def reach(galleries: Galleries, gallery_id: str, min_revision: str) -> None:
    """Bring a gallery to the revision that a request asks for, before it takes a worker.

    Raises:
        GalleryError: it cannot be brought there.
    """
    if min_revision:
        await asyncio.to_thread(galleries.revisions.reach, gallery_id, min_revision)


def search_by_gallery(
    pipeline: FacePipeline,
    galleries: Galleries,
    faces: Sequence[AlignedFace],
    work: Work,
    *,
    gallery_id: str,
    top_k: int,
    threshold: float | None,
    distinct_subjects: bool,
) -> Turns[tuple[str, float, Sequence[Identification]]]:
    """Embed faces with the model of a gallery, and search it; yields between batches of faces.

    A search ends with the model that it began with, although the gallery is switched to another one in the meantime.
    Only if the embeddings of the first one were dropped since, it begins again.

    Returns:
        the contract of the model, the gallery's threshold for it, and the answers.

    Raises:
        RequestExpired: the request's deadline has passed, or it was cancelled.
        GalleryError: the gallery cannot be searched.
    """
    while True:
        contract = galleries.search_contract(gallery_id)
        probes = yield from pipeline.embed_in_turns(faces, work, contract=contract)
        work.check()
        try:
            of_gallery = galleries.threshold(gallery_id, contract)
            with work.stage("search"):
                found = galleries.search(
                    gallery_id,
                    probes,
                    top_k=top_k,
                    threshold=threshold,
                    contract=contract,
                    distinct_subjects=distinct_subjects,
                )
        except ContractMismatch:
            if galleries.search_contract(gallery_id) == contract:
                raise
        else:
            return contract, of_gallery, found
