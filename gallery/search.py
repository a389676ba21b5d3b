"""The search of a gallery: from probes to ranked subjects and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gallery.corrections.told_apart import withheld
from gallery.embeddings import normalized
from gallery.errors import GalleryNotFound, SubjectWithoutTemplates
from gallery.opened.registry import GalleryRegistry
from gallery.ranking import decide, is_contested, taken_subjects
from gallery.records.identifications import Identification, TakenSubject
from gallery.records.thresholds import rounded_threshold
from gallery.stores.base import Store


class Searcher:
    """Searches galleries.

    Args:
        store: is asked about a subject that the index does not have.
        registry: the open galleries and their indexes.
    """

    def __init__(self, store: Store, registry: GalleryRegistry) -> None:
        self._store = store
        self._registry = registry

    def search(
        self,
        gallery_id: str,
        probes: NDArray[np.float32],
        *,
        top_k: int,
        threshold: float | None = None,
        contract: str | None = None,
        distinct_subjects: bool = False,
    ) -> tuple[Identification, ...]:
        """Identify probes.

        Args:
            gallery_id: the gallery.
            probes: shape ``(n, dimension)``, of any length above zero.
            top_k: the number of candidates for each probe, at least 1.
            threshold: [-1, 1]; ``None`` for the gallery's.
            contract: the embedding contract of the probes; ``None`` for the server's.
            distinct_subjects: the probes are different people: see :func:`gallery.ranking.assign_subjects`.

        Raises:
            ContractMismatch: the gallery has another contract than the probes or the server.
            InvalidEmbedding: a probe has another dimension, is not finite, or has a length of zero.
        """
        opened = self._registry.find(gallery_id)
        contract = self._registry.contract if contract is None else contract
        index, settings = opened.search_by(contract)
        applied = settings.threshold if threshold is None else rounded_threshold(threshold)
        unit = normalized(probes, dimension=self._registry.dimensions[contract])
        wanted = max(2, top_k)
        found = index.search(unit, subjects=wanted, mean_of_best=settings.mean_of_best)
        taken: Sequence[Sequence[TakenSubject]] = [()] * len(found)
        if distinct_subjects and is_contested((each.candidates for each in found), threshold=applied):
            # Each of the other probes may take one of a probe's candidates.
            found = index.search(unit, subjects=wanted + len(unit), mean_of_best=settings.mean_of_best)
            taken = taken_subjects([each.candidates for each in found], threshold=applied)
        if not self._registry.is_open(opened):
            raise GalleryNotFound(gallery_id)  # deleted during the search, so the result may be incomplete
        answers = tuple(
            settings.rated(
                decide(
                    each.candidates,
                    top_k=top_k,
                    threshold=applied,
                    templates_compared=each.templates_compared,
                    taken=lost,
                )
            )
            for each, lost in zip(found, taken, strict=True)
        )
        if not opened.distinct:
            return answers
        return tuple(
            withheld(
                answer,
                each.candidates,
                opened.distinct,
                partial(index.similarity, probe=probe, mean_of_best=settings.mean_of_best),
            )
            for answer, each, probe in zip(answers, found, unit, strict=True)
        )

    def similarity_to_subject(
        self, gallery_id: str, subject_id: str, probe: NDArray[np.float32], *, contract: str | None = None
    ) -> float:
        """Compare a probe, shape ``(dimension,)``, with a subject; a cosine in [-1, 1].

        Args:
            gallery_id: the gallery.
            subject_id: the subject.
            probe: of any length above zero.
            contract: the embedding contract of the probe; ``None`` for the server's.

        Raises:
            ContractMismatch: the gallery has another contract than the server.
            InvalidEmbedding: the probe has another dimension, is not finite, or has a length of zero.
            SubjectNotFound: the subject does not exist.
            SubjectWithoutTemplates: the subject has no template.
        """
        opened = self._registry.find(gallery_id)
        contract = self._registry.contract if contract is None else contract
        index, settings = opened.search_by(contract)
        unit = normalized(probe[None], dimension=self._registry.dimensions[contract])[0]
        similarity = index.similarity(subject_id, unit, mean_of_best=settings.mean_of_best)
        if similarity is None:
            self._store.subject(gallery_id, subject_id)
            raise SubjectWithoutTemplates(gallery_id, subject_id)
        return similarity
