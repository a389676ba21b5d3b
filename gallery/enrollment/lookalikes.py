"""The check that a face does not look like another subject than the one that it is enrolled for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.errors import ContractMismatch, LooksLikeAnotherSubject
from gallery.index.protocol import Index
from gallery.opened.open_gallery import OpenGallery, SearchSettings
from gallery.opened.recent_changes import Changed

_ROUNDING = 1e-3
"""The index may round a similarity up by less."""


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a search goes by: the changes before it, the index, the settings, and who was told apart."""

    mark: int
    index: Index
    settings: SearchSettings
    others: Collection[str]


class LookalikeSearch:
    """The subjects that a face looks like.

    They can be searched for before the gallery is held for the enrolment. While it is held, the face is compared only
    with those who have changed since. A search that cannot be kept up like this is made anew.

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
        self._basis: _Basis | None = None
        self._found: list[tuple[float, str]] = []

    def search_ahead(self) -> None:
        """Search before the gallery is held; does nothing if the store keeps the index, which others may change.

        Raises:
            ContractMismatch: the gallery has no templates of this contract, or the server no model of it.
        """
        if math.isinf(self._gallery.fresh_until):
            self._gallery.lookalike_searches.do(self, _search)

    @staticmethod
    def search_together(searches: Sequence[LookalikeSearch]) -> list[ContractMismatch | None]:
        """Search for several faces in one gallery, whose templates are read once for all of them.

        Returns:
            for each face, why it cannot be searched for; ``None`` if it was.
        """
        failures: list[ContractMismatch | None] = []
        alike: dict[tuple[int, int], list[tuple[LookalikeSearch, _Basis]]] = {}
        for each in searches:
            try:
                basis = each._begin()
            except ContractMismatch as error:
                failures.append(error.with_traceback(None))  # which would lead to the faces, and keep them in memory
                continue
            failures.append(None)
            alike.setdefault((id(basis.index), id(basis.settings)), []).append((each, basis))
        for group in alike.values():
            _, basis = group[0]
            found = basis.index.search(
                np.stack([each._embedding for each, _ in group]),
                subjects=1 + max(len(own.others) for _, own in group),
                mean_of_best=basis.settings.mean_of_best,
                at_least=basis.settings.threshold,
            )
            for (each, own), result in zip(group, found, strict=True):
                nearest = ((candidate.similarity, candidate.subject_id) for candidate in result.candidates)
                each._found = [one for one in nearest if one[0] >= own.settings.threshold]
                each._basis = own
        return failures

    def may_notice(self, embedding: NDArray[np.float32], *, is_new: bool) -> bool:
        """Tell whether the enrolment of another face for another subject might change the outcome.

        Args:
            embedding: the other face, shape ``(dimension,)``, unit length, under the contract that searches.
            is_new: whether its subject has no template yet.
        """
        settings = self._gallery.settings
        if settings.mean_of_best > 1 and not is_new:  # the other templates of a subject count, too
            return True
        return self._is_near(embedding[None], settings)

    def is_outdated(self) -> bool:
        """Tell whether a search might find something else now; the caller holds the gallery."""
        gallery, basis = self._gallery, self._basis
        return (
            basis is None
            or gallery.settings is not basis.settings
            or gallery.indexes.get(self.contract) is not basis.index
            or gallery.distinct.others(self._subject_id) != basis.others
            or not self._is_kept_up(basis)
        )

    def refuse(self) -> None:
        """Refuse the face if the gallery, which the caller holds, would identify it as another subject.

        Raises:
            ContractMismatch: as above.
            LooksLikeAnotherSubject: that is so.
        """
        if self.is_outdated():
            for error in self.search_together([self]):
                if error is not None:
                    raise error
        others = () if self._basis is None else self._basis.others
        for similarity, subject_id in sorted(self._found, key=lambda each: (-each[0], each[1])):
            if subject_id == self._subject_id:
                return
            if subject_id in others:
                continue
            own = self._similarity(self._subject_id)
            if own is None or similarity > own:
                threshold = self._gallery.settings.threshold
                raise LooksLikeAnotherSubject(self._gallery.gallery_id, subject_id, similarity, threshold)

    def _begin(self) -> _Basis:
        gallery = self._gallery
        mark = gallery.recent.mark  # first: what changes from now on is looked at again
        return _Basis(
            mark, gallery.index_for(self.contract), gallery.settings, gallery.distinct.others(self._subject_id)
        )

    def _is_kept_up(self, basis: _Basis) -> bool:
        """Tell whether the search would find the same now."""
        changes = self._gallery.recent.since(basis.mark)
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
        return templates is not None and len(templates) > 0 and self._is_near(templates.embeddings, settings)

    def _is_near(self, embeddings: NDArray[np.float32], settings: SearchSettings) -> bool:
        return bool(np.any(embeddings @ self._embedding >= settings.threshold - _ROUNDING))

    def _similarity(self, subject_id: str) -> float | None:
        mean_of_best = self._gallery.settings.mean_of_best
        index = self._gallery.index_for(self.contract)
        return index.similarity(subject_id, self._embedding, mean_of_best=mean_of_best)


def _search(take: Callable[[], Sequence[LookalikeSearch]]) -> list[ContractMismatch | None]:
    return LookalikeSearch.search_together(take())
