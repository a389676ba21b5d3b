"""What a stream's scene sees with: the models of the server, and a gallery that may change, or go, at any time."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from facet.server.scheduling.workers import Work
from facet.server.streaming.threshold import stream_threshold
from facet.tracking.decision import Match
from facet.tracking.records import Sight
from gallery.errors import ContractMismatch, GalleryNotFound, SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.records import Identification
from recognizer.pipeline import Analysis, FacePipeline

_BEST_AND_NEXT = 2


class StreamSenses:
    """See :class:`facet.tracking.records.Senses`. Used for one frame at a time.

    Args:
        pipeline: the models.
        galleries: who is known.
        gallery_id: where.
        threshold: decides; ``None`` for :func:`facet.server.streaming.threshold.stream_threshold`.
        default_threshold: of galleries of which nobody says one.
        objects_wanted: whether objects are answered.

    Attributes:
        seen: what was found in the frame; ``None`` where nothing was looked for.
        gone: why nobody can be named now: the gallery is not there, or is another server's.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        galleries: Galleries,
        gallery_id: str,
        *,
        threshold: float | None,
        default_threshold: float,
        objects_wanted: bool,
    ) -> None:
        self._pipeline = pipeline
        self._galleries = galleries
        self._gallery_id = gallery_id
        self._threshold = threshold
        self._default_threshold = default_threshold
        self._objects_wanted = objects_wanted
        self._work = Work()
        self._applied: tuple[Hashable, float] | None = None
        self.seen: Analysis | None = None
        self.gone: GalleryNotFound | ContractMismatch | None = None

    def begin(self, work: Work) -> None:
        """Another frame comes, on behalf of this work."""
        self._work, self.seen, self.gone = work, None, None

    def look(self, picture: NDArray[np.uint8]) -> Sight:
        """See :class:`facet.tracking.records.Senses`."""
        self.seen = self._pipeline.analyze_picture(picture, self._work, objects_wanted=self._objects_wanted)
        objects = self.seen.objects
        persons = self._pipeline.persons(objects)
        return Sight(self.seen.faces, objects.boxes[persons], objects.scores[persons])

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """See :class:`facet.tracking.records.Senses`."""
        return self._pipeline.embed_crops(crops, self._work)

    def search(self, embeddings: NDArray[np.float32]) -> Sequence[Match | None]:
        """See :class:`facet.tracking.records.Senses`; nobody is found in a gallery that is gone."""
        with self._work.stopwatch.stage("search"):
            try:
                found = self._galleries.search(
                    self._gallery_id, embeddings, top_k=_BEST_AND_NEXT, threshold=self._threshold_now()
                )
            except (GalleryNotFound, ContractMismatch) as error:
                self.gone = error
                return [None] * len(embeddings)
        return [_match(each) for each in found]

    def revision(self) -> Hashable:
        """See :class:`facet.tracking.records.Senses`; ``None`` where the gallery is gone."""
        try:
            return self._galleries.revision(self._gallery_id)
        except (GalleryNotFound, ContractMismatch) as error:
            self.gone = error
            return None

    def known(self, subject_ids: Collection[str]) -> Collection[str]:
        """See :class:`facet.tracking.records.Senses`."""
        if self.gone is not None:
            return []
        return [subject_id for subject_id in subject_ids if self._is_known(subject_id)]

    def _is_known(self, subject_id: str) -> bool:
        try:
            self._galleries.get_subject(self._gallery_id, subject_id)
        except (GalleryNotFound, SubjectNotFound):
            return False
        return True

    def _threshold_now(self) -> float:
        if self._threshold is not None:
            return self._threshold
        revision = self._galleries.revision(self._gallery_id)
        if self._applied is None or self._applied[0] != revision:
            gallery = self._galleries.get_gallery(self._gallery_id)
            self._applied = revision, stream_threshold(gallery, self._default_threshold)
        return self._applied[1]


def _match(found: Identification) -> Match | None:
    if not found.candidates:
        return None
    best, *others = found.candidates
    runner_up = others[0].similarity if others else -1.0
    return Match(best.subject_id, best.display_name, best.similarity, found.threshold, runner_up)
