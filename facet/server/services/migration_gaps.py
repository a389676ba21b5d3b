"""Templates that miss an embedding in a migration: their list, and embeddings of them from the original pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facet.server.audit import call as call_audit
from facet.server.migrations.worker import MigrationWorker
from facet.server.scheduling.work import Work
from facet.server.scheduling.workers import Workers
from facet.server.services.pictures import Choice, analyze_and_align
from facet.server.wire import convert, migrations, validate
from facet.v1 import migrations_pb2 as pb
from gallery.enrollment import SAME_FACE_IOU, overlap
from gallery.galleries import Galleries
from gallery.migration.gaps import Gap
from gallery.pages import last_id, page_of
from recognizer.errors import FaceNotFound
from recognizer.faces import Faces
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns
from recognizer.sources import Source

_BETWEEN = "\n"
"""Between the two ids in a page token; no id contains it."""


class MigrationGaps:
    """Lists and fills the gaps of migrations.

    Args:
        pipeline: the models.
        workers: the threads that run them.
        galleries: the galleries.
        worker: knows why a crop could not be embedded.
    """

    def __init__(self, pipeline: FacePipeline, workers: Workers, galleries: Galleries, worker: MigrationWorker) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._galleries = galleries
        self._worker = worker

    async def page(self, request: pb.ListMigrationGapsRequest) -> pb.ListMigrationGapsResponse:
        """Answer ListMigrationGaps."""
        gallery_id = validate.gallery_id(request.gallery_id)
        size = validate.page_size(request.page_size)
        return await asyncio.to_thread(self._read_page, gallery_id, size, request.page_token)

    async def fill(self, request: pb.FillMigrationGapRequest, work: Work) -> pb.FillMigrationGapResponse:
        """Answer FillMigrationGap."""
        gallery_id = validate.gallery_id(request.gallery_id)
        subject_id = validate.subject_id(request.subject_id) if request.subject_id else ""
        source = convert.source(request.picture)
        work.pixels = source.claimed_pixels()
        find = partial(self._galleries.migrations.gaps_of_picture, gallery_id, subject_id=subject_id)
        gaps = await asyncio.to_thread(lambda: find(source.sha256()))
        if not gaps:
            return pb.FillMigrationGapResponse()
        embeddings = await self._workers.run_in_turns(work, self._embedded(source, gaps, work))
        await call_audit.before_change()
        with work.stage("store"):
            added = await asyncio.to_thread(self._add, gallery_id, gaps, embeddings)
        response = pb.FillMigrationGapResponse()
        for gap, embedding in zip(gaps, embeddings, strict=True):
            subject, template = gap.face.key
            filled = pb.FilledTemplate(subject_id=subject, template_id=template)
            if embedding is None:
                response.not_found.append(filled)
            elif template in added:
                response.templates.append(filled)
        return response

    def _read_page(self, gallery_id: str, size: int, token: str) -> pb.ListMigrationGapsResponse:
        scope = ("migration gaps", gallery_id)
        after = _place(last_id(token, scope=scope))
        gallery = self._galleries.get_gallery(gallery_id)
        found = self._galleries.migrations.gaps.list(gallery_id, after=after, limit=size + 1)
        keys = [_BETWEEN.join(gap.face.key) for gap in found]
        page = page_of(found, keys, page_size=size, scope=scope)
        return pb.ListMigrationGapsResponse(
            gaps=[migrations.gap(gap, self._worker.reason(gallery, gap)) for gap in page.items],
            next_page_token=page.next_page_token,
        )

    def _embedded(self, source: Source, gaps: Sequence[Gap], work: Work) -> Turns[list[NDArray[np.float32] | None]]:
        """Embed the face of each template, as its enrolment would; ``None`` if the picture does not show it."""
        found: list[NDArray[np.float32] | None] = []
        for gap in gaps:
            embedding: NDArray[np.float32] | None = None
            for thorough in (False, True):
                try:
                    _, faces = yield from analyze_and_align(
                        self._pipeline, source, _face_of(gap), work, "picture", thorough=thorough
                    )
                except FaceNotFound:
                    continue
                embedding = self._pipeline.embed(faces, work, as_template=True, contract=gap.contract)[0]
                break
            found.append(embedding)
            yield
        return found

    def _add(self, gallery_id: str, gaps: Sequence[Gap], embeddings: Sequence[NDArray[np.float32] | None]) -> set[str]:
        """Store the embeddings; returns the ids of the templates that got one."""
        added: set[str] = set()
        for contract in {gap.contract for gap in gaps}:
            of_model = [
                (gap.face, embedding)
                for gap, embedding in zip(gaps, embeddings, strict=True)
                if gap.contract == contract and embedding is not None
            ]
            if of_model:
                faces, found = zip(*of_model, strict=True)
                added |= set(self._galleries.migrations.add_embeddings(gallery_id, contract, faces, np.stack(found)))
        return added


def _face_of(gap: Gap) -> Choice:
    """Choose the face of a template by its box."""
    template = gap.face.template
    if template is None:
        raise ValueError("a gap has a template")
    box = template.box

    def choose(faces: Faces, _shape: tuple[int, ...]) -> int:
        overlaps = [overlap(box, tuple(each)) for each in faces.boxes.tolist()]
        best = max(overlaps, default=0.0)
        if best < SAME_FACE_IOU:
            raise FaceNotFound
        return overlaps.index(best)

    return choose


def _place(text: str) -> tuple[str, str]:
    """Read the ids after which a page begins."""
    subject_id, _, template_id = text.partition(_BETWEEN)
    return subject_id, template_id
