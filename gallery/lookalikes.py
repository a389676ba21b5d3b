"""The check that a face does not look like another subject than the one that it is enrolled for."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from gallery.errors import LooksLikeAnotherSubject
from gallery.open_gallery import OpenGallery, SearchSettings
from gallery.recent_changes import Changed

_ROUNDING = 1e-3
"""The index may round a similarity up by less."""


class LookalikeSearch:
    """The subjects that a face looks like.

    They can be searched for before the gallery is held for the enrolment. So enrolments search side by side, and while
    the gallery is held the face is compared only with those who have changed since. A search that cannot be kept up
    like this is made anew.

    Args:
        gallery: the gallery.
        contract: the embedding contract.
        subject_id: the subject that is enrolled; empty for a new one.
        embedding: the face, shape ``(dimension,)``, unit length.

    Attributes:
        contract: the embedding contract.
    """

    def __init__(self, gallery: OpenGallery, contract: str, subject_id: str, embedding: NDArray[np.float32]) -> None:
        self._gallery = gallery
        self.contract = contract
        self._subject_id = subject_id
        self._embedding = embedding
        self._settings: SearchSettings | None = None
        self._others: Collection[str] = ()
        self._found: list[tuple[float, str]] = []

    def search_ahead(self) -> None:
        """Search before the gallery is held; does nothing if the store keeps the index, which others may change.

        Raises:
            ContractMismatch: the gallery has no templates of this contract, or the server no model of it.
        """
        if math.isinf(self._gallery.fresh_until):
            self._search()

    def refuse(self) -> None:
        """Refuse the face if the gallery, which the caller holds, would identify it as another subject.

        Raises:
            ContractMismatch: as above.
            LooksLikeAnotherSubject: that is so.
        """
        if self._is_outdated() or not self._is_kept_up():
            self._search()
        for similarity, subject_id in sorted(self._found, key=lambda each: (-each[0], each[1])):
            if subject_id == self._subject_id:
                return
            if subject_id in self._others:
                continue
            own = self._similarity(self._subject_id)
            if own is None or similarity > own:
                threshold = self._gallery.settings.threshold
                raise LooksLikeAnotherSubject(self._gallery.gallery_id, subject_id, similarity, threshold)

    def _search(self) -> None:
        gallery = self._gallery
        self._mark = gallery.recent.mark
        self._index = gallery.index_for(self.contract)
        self._settings = settings = gallery.settings
        self._others = gallery.distinct.others(self._subject_id)
        (found,) = self._index.search(
            self._embedding[None],
            subjects=1 + len(self._others),
            mean_of_best=settings.mean_of_best,
            at_least=settings.threshold,
        )
        nearest = ((each.similarity, each.subject_id) for each in found.candidates)
        self._found = [each for each in nearest if each[0] >= settings.threshold]

    def _is_outdated(self) -> bool:
        gallery = self._gallery
        return (
            gallery.settings is not self._settings
            or gallery.indexes.get(self.contract) is not self._index
            or gallery.distinct.others(self._subject_id) != self._others
        )

    def _is_kept_up(self) -> bool:
        """Tell whether the search would find the same now."""
        changes = self._gallery.recent.since(self._mark)
        if changes is None:
            return False
        found = frozenset(subject_id for _, subject_id in self._found)
        for changed in changes:
            # If one of those who were found is gone, the next one was not searched for.
            if not found.isdisjoint(changed.subject_ids) or self._may_be_among(changed):
                return False
        return True

    def _may_be_among(self, changed: Changed) -> bool:
        """Tell whether the face looked like one of the subjects after they had changed."""
        settings = self._gallery.settings
        if settings.mean_of_best > 1:  # the other templates of a subject count, too
            similarities = (self._similarity(subject_id) for subject_id in changed.subject_ids)
            return any(each is not None and each >= settings.threshold for each in similarities)
        templates = changed.templates.get(self.contract)
        if templates is None or not len(templates):
            return False
        return bool(np.any(templates.embeddings @ self._embedding >= settings.threshold - _ROUNDING))

    def _similarity(self, subject_id: str) -> float | None:
        mean_of_best = self._gallery.settings.mean_of_best
        return self._index.similarity(subject_id, self._embedding, mean_of_best=mean_of_best)
