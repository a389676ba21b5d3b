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
from facet.server.services.pictures import analyze_and_align
from facet.server.wire import convert, migrations, validate
from facet.v1 import migrations_pb2 as pb
from gallery.enrollment.face_checks import SAME_FACE_IOU, overlap
from gallery.galleries import Galleries
from gallery.migration.gaps import Gap
from gallery.migration.migrations import MAX_FACES
from gallery.pages import last_id, page_of
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
        validate.at_most(request.subject_ids, MAX_FACES, "subject_ids")
        subject_ids = [
            validate.subject_id(each, f"subject_ids[{place}]") for place, each in enumerate(request.subject_ids)
        ]
        source = convert.source(request.picture)
        work.pixels = source.claimed_pixels()
        gaps = await asyncio.to_thread(self._gaps_of, gallery_id, source, sorted(set(subject_ids)))
        if not gaps:
            return pb.FillMigrationGapResponse()
        embeddings = await self._workers.run_in_turns(work, embed_gaps(self._pipeline, source, gaps, work))
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

    def _gaps_of(self, gallery_id: str, source: Source, subject_ids: Sequence[str]) -> list[Gap]:
        """The templates of a picture that miss an embedding: of some subjects, each asked for by itself, or of all."""
        find = partial(self._galleries.migrations.gaps_of_picture, gallery_id, source.sha256())
        return [gap for subject_id in subject_ids or [""] for gap in find(subject_id=subject_id)]

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


def embed_gaps(
    pipeline: FacePipeline, source: Source, gaps: Sequence[Gap], work: Work
) -> Turns[list[NDArray[np.float32] | None]]:
    """Embed the face of each template, as its enrolment would; ``None`` if the picture does not show it.

    The picture is searched once for all of them, and thoroughly once for those that were not found.
    """
    found: list[NDArray[np.float32] | None] = [None] * len(gaps)
    for thorough in (False, True):
        wanted = [place for place, embedding in enumerate(found) if embedding is None]
        if not wanted:
            break
        faces_of = _FacesOf([gaps[place] for place in wanted])
        _, faces = yield from analyze_and_align(pipeline, source, faces_of, work, "picture", thorough=thorough)
        by_index = dict(zip(faces_of.indices, faces, strict=True))
        for place, index in zip(wanted, faces_of.of_gaps, strict=True):
            if index is not None:
                found[place] = pipeline.embed([by_index[index]], work, as_template=True, contract=gaps[place].contract)[
                    0
                ]
                yield
    return found


class _FacesOf:
    """Chooses the faces of templates by their boxes.

    Args:
        gaps: the templates.

    Attributes:
        of_gaps: the index of each template's face; ``None`` if there is none where it was.
        indices: of the faces, each once.
    """

    def __init__(self, gaps: Sequence[Gap]) -> None:
        self._gaps = gaps
        self.of_gaps: list[int | None] = []
        self.indices: list[int] = []

    def __call__(self, faces: Faces, _shape: tuple[int, ...]) -> list[int]:
        """Choose among the faces of a picture."""
        self.of_gaps = [_face_of(gap, faces) for gap in self._gaps]
        self.indices = [index for index in dict.fromkeys(self.of_gaps) if index is not None]
        return self.indices


def _face_of(gap: Gap, faces: Faces) -> int | None:
    """Return the index of a template's face."""
    template = gap.face.template
    if template is None:
        raise ValueError("a gap has a template")
    overlaps = [overlap(template.box, tuple(each)) for each in faces.boxes.tolist()]
    best = max(overlaps, default=0.0)
    return overlaps.index(best) if best >= SAME_FACE_IOU else None


def _place(text: str) -> tuple[str, str]:
    """Read the ids after which a page begins."""
    subject_id, _, template_id = text.partition(_BETWEEN)
    return subject_id, template_id
