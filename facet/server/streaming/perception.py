"""The server's models and a gallery, as a stream's tracker uses them. The gallery may change or go at any time."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facet.server.scheduling.work import Work
from facet.server.streaming.threshold import stream_threshold
from facet.tracking.decision import Match
from facet.tracking.records import ContractReplaced, FrameDetections, GalleryUnavailable
from gallery.corrections.told_apart import nearest_told_apart
from gallery.errors import ContractMismatch, GalleryNotFound, SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.distinct_pairs import DistinctPairs
from gallery.records.identifications import Identification
from recognizer.pipeline import FacePipeline

_CANDIDATES = 3
"""The best subject, and those that a track gets if another one in the frame has the best."""


class StreamGallery:
    """The gallery that a stream searches.

    Every method but :meth:`contract` raises :class:`facet.tracking.records.GalleryUnavailable` if the gallery does not
    exist or belongs to a model that is not loaded.

    Args:
        galleries: all galleries.
        gallery_id: the gallery to search.
        threshold: minimum similarity of a match; ``None`` for
            :func:`facet.server.streaming.threshold.stream_threshold`.

    Attributes:
        templates_compared: the number of templates that the last search compared; 0 before.

    Raises:
        GalleryNotFound: the gallery does not exist.
        ContractMismatch: it belongs to a model that is not loaded.
    """

    def __init__(self, galleries: Galleries, gallery_id: str, *, threshold: float | None) -> None:
        self._galleries = galleries
        self._gallery_id = gallery_id
        self._threshold = threshold
        self._contract = galleries.search_contract(gallery_id)
        self._cached_threshold: tuple[Hashable, float] | None = None
        self.templates_compared = 0

    def contract(self) -> str:
        """The embedding contract by which a search begins now; the last one while the gallery is unavailable."""
        with suppress(GalleryNotFound, ContractMismatch):
            self._contract = self._galleries.search_contract(self._gallery_id)
        return self._contract

    def search(self, embeddings: NDArray[np.float32], contract: str) -> list[Match | None]:
        """Search the best subject for each embedding ``(n, d)`` of a contract; ``None`` if the gallery is empty.

        Raises:
            ContractReplaced: the gallery has embeddings of another contract now, and none of this one.
        """
        with _available():
            try:
                found = self._galleries.search(
                    self._gallery_id,
                    embeddings,
                    top_k=_CANDIDATES,
                    threshold=self._threshold_of(contract),
                    contract=contract,
                )
            except ContractMismatch as error:
                if self._galleries.search_contract(self._gallery_id) == contract:
                    raise
                raise ContractReplaced from error
            distinct = self._galleries.distinct_pairs(self._gallery_id)
        self.templates_compared = found[0].templates_compared if found else 0
        return [_match(each, distinct) for each in found]

    def revision(self) -> Hashable:
        """A value that differs after every change of the gallery."""
        with _available():
            return self._galleries.revision(self._gallery_id)

    def enrolled(self, subject_ids: Collection[str]) -> list[str]:
        """The given subjects that are enrolled."""
        with _available():
            return [subject_id for subject_id in subject_ids if self._is_enrolled(subject_id)]

    def threshold(self, contract: str) -> float:
        """The threshold of searches by a contract, [-1, 1]."""
        with _available():
            return self._threshold_of(contract)

    def _is_enrolled(self, subject_id: str) -> bool:
        try:
            self._galleries.get_subject(self._gallery_id, subject_id)
        except SubjectNotFound:
            return False
        return True

    def _threshold_of(self, contract: str) -> float:
        if self._threshold is not None:
            return self._threshold
        revision = contract, self._galleries.revision(self._gallery_id)
        if self._cached_threshold is None or self._cached_threshold[0] != revision:
            gallery = self._galleries.get_gallery(self._gallery_id)
            self._cached_threshold = revision, stream_threshold(gallery.under(contract))
        return self._cached_threshold[1]


@dataclass(frozen=True, slots=True)
class FramePerception:
    """Models and gallery on behalf of one frame; see :class:`facet.tracking.records.Perception`.

    Attributes:
        pipeline: the models.
        gallery: the gallery to search.
        work: the work on the frame.
        include_objects: whether all objects are wanted, not only what finding persons needs.
        contract: the embedding contract by which the gallery is searched.
    """

    pipeline: FacePipeline
    gallery: StreamGallery
    work: Work
    include_objects: bool
    contract: str

    def detect(self, picture: NDArray[np.uint8]) -> FrameDetections:
        """See :class:`facet.tracking.records.Perception`."""
        analysis = self.pipeline.analyze_picture(picture, self.work, objects_wanted=self.include_objects, turn=0)
        return FrameDetections(analysis.faces, analysis.objects, self.pipeline.persons(analysis.objects))

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """See :class:`facet.tracking.records.Perception`."""
        return self.pipeline.embed_crops(crops, self.work, contract=self.contract)

    def search(self, embeddings: NDArray[np.float32]) -> list[Match | None]:
        """See :class:`facet.tracking.records.Perception`."""
        with self.work.stage("search"):
            return self.gallery.search(embeddings, self.contract)

    def revision(self) -> Hashable:
        """See :class:`facet.tracking.records.Perception`."""
        return self.gallery.revision()

    def enrolled(self, subject_ids: Collection[str]) -> list[str]:
        """See :class:`facet.tracking.records.Perception`."""
        return self.gallery.enrolled(subject_ids)


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (GalleryNotFound, ContractMismatch) as error:
        raise GalleryUnavailable(error) from error


def _match(found: Identification, distinct: DistinctPairs) -> Match | None:
    match: Match | None = None
    for each in reversed(found.candidates):
        match = Match(
            each.subject_id,
            each.display_name,
            each.similarity,
            found.threshold,
            runner_up_similarity=-1.0 if match is None else match.similarity,
            next=match,
        )
        if near := nearest_told_apart(each, found.candidates, distinct):
            told_apart_from, similarity = near
            match = replace(match, told_apart_from=told_apart_from, told_apart_margin=each.similarity - similarity)
    if match is not None and found.too_close_similarity is not None and not match.told_apart_from:
        # The other one is not among the candidates.
        margin = match.similarity - found.too_close_similarity
        match = replace(match, told_apart_from=found.too_close_to, told_apart_margin=margin)
    return match
