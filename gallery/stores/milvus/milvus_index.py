"""The index of a gallery in Milvus: Milvus finds templates, and their subjects are ranked here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gallery.index.protocol import SearchResult
from gallery.ranking import rank
from gallery.records.expired import Expired
from gallery.records.identifications import Candidate
from gallery.records.templates import EmbeddedTemplates
from gallery.search_pool import SearchPool
from gallery.stores.milvus.connection import MAX_ROWS, MilvusConnection, Row, quoted, quoted_all
from gallery.stores.milvus.faces import FaceReader
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.rows import id_of
from gallery.stores.milvus.schema import VECTOR, Collections, search_parameters

_TEMPLATES_PER_SUBJECT = 8
"""First guess of the templates per subject."""
_MIN_ROWS = 64
_SHORTLIST_FACTOR = 64
"""If similarities are means, how many subjects are ranked for each one wanted: those with the most similar best
templates."""
_FIELDS = ("id", "subject")


class MilvusIndex:
    """An index that Milvus keeps; see :class:`gallery.index.protocol.Index`.

    Milvus returns the most similar templates for all probes in one call. If these belong to too few subjects, because
    one has very many templates, Milvus is asked again for the templates of other subjects. With a flat index that is
    exact; similarities are Milvus's own inner products in float32.

    A mean over the best templates is exact, but only computed for the :data:`_SHORTLIST_FACTOR` times as many subjects
    with the most similar best templates. A subject with a worse best template and a higher mean may be missed.

    The store has already written a change when the index method is called. ``templates_compared`` may be as old as
    :data:`gallery.stores.milvus.locating.locator.CACHE_SECONDS`.

    Args:
        milvus: the connection.
        collections: its collections.
        locator: finds the gallery.
        gallery_id: the gallery.
        contract: of the embeddings that are compared.
        strong: see everything that other processes wrote before, and wait for it.
    """

    def __init__(
        self,
        milvus: MilvusConnection,
        collections: Collections,
        locator: GalleryLocator,
        gallery_id: str,
        contract: str,
        *,
        strong: bool,
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._faces = FaceReader(milvus, collections, locator.expiry)
        self._gallery_id = gallery_id
        self._contract = contract
        self._strong = strong

    def __len__(self) -> int:
        return self._locator.cached(self._gallery_id, self._contract)[1]

    def search(
        self,
        probes: NDArray[np.float32],
        *,
        subjects: int,
        mean_of_best: int,
        at_least: float = -1.0,  # noqa: ARG002 - nothing is left out
        thorough: bool = False,  # noqa: ARG002 - always
        pool: SearchPool | None = None,  # noqa: ARG002 - Milvus has its own threads
    ) -> tuple[SearchResult, ...]:
        """See :meth:`gallery.index.protocol.Index.search`; ``at_least`` and ``thorough`` make no difference."""
        location, templates = self._locator.cached(self._gallery_id, self._contract)
        if location.templates is None or not len(probes):
            return tuple(SearchResult((), templates) for _ in probes)
        wanted = subjects if mean_of_best == 1 else subjects * _SHORTLIST_FACTOR
        found = self._nearest(location, probes, wanted)
        if mean_of_best > 1:
            best = [rank(each, subjects=wanted) for each in found]
            found = [
                self._templates_of(location, probe, [each.subject_id for each in some], mean_of_best)
                for probe, some in zip(probes, best, strict=True)
            ]
        ranked = [rank(each, subjects=subjects, mean_of_best=mean_of_best) for each in found]
        return tuple(SearchResult(each, max(templates, len(each))) for each in ranked)

    def similarity(self, subject_id: str, probe: NDArray[np.float32], *, mean_of_best: int) -> float | None:
        """See :meth:`gallery.index.protocol.Index.similarity`."""
        location, _ = self._locator.cached(self._gallery_id, self._contract)
        if location.templates is None:
            return None
        templates = self._templates_of(location, probe, [subject_id], mean_of_best)
        return next((each.similarity for each in rank(templates, subjects=1, mean_of_best=mean_of_best)), None)

    def template_similarities(self, subject_id: str, probe: NDArray[np.float32]) -> dict[str, float]:
        """See :meth:`gallery.index.protocol.Index.template_similarities`."""
        location, _ = self._locator.cached(self._gallery_id, self._contract)
        if location.templates is None:
            return {}
        templates = self._templates_of(location, probe, [subject_id], MAX_ROWS)
        return {each.template_id: each.similarity for each in templates}

    def reserve(self, templates: int = 1) -> None:
        """See :meth:`gallery.index.protocol.Index.reserve`; does nothing, because Milvus allocates."""

    def add(self, templates: EmbeddedTemplates) -> None:
        """See :meth:`gallery.index.protocol.Index.add`; does nothing, like the following methods."""

    def rename(self, subject_id: str, display_name: str) -> None:
        """See :meth:`gallery.index.protocol.Index.rename`."""

    def remove_template(self, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.index.protocol.Index.remove_template`."""

    def remove_subject(self, subject_id: str) -> None:
        """See :meth:`gallery.index.protocol.Index.remove_subject`."""

    def remove(self, expired: Expired) -> None:
        """See :meth:`gallery.index.protocol.Index.remove`."""

    def replace_subjects(self, subject_ids: Collection[str], templates: EmbeddedTemplates) -> None:
        """See :meth:`gallery.index.protocol.Index.replace_subjects`."""

    def clear(self) -> None:
        """See :meth:`gallery.index.protocol.Index.clear`."""

    def _nearest(self, location: GalleryLocation, probes: NDArray[np.float32], subjects: int) -> list[list[Candidate]]:
        """Return templates that include the best ones of the best subjects, for each probe."""
        limit = min(MAX_ROWS, max(_MIN_ROWS, _TEMPLATES_PER_SUBJECT * subjects))
        living = self._locator.expiry.templates(location)
        hits = self._search(location, probes, living, limit)
        found = self._named(location, hits)
        for number, probe in enumerate(probes):
            seen = {row["subject"] for row in hits[number]}
            last = hits[number]
            while len(last) == limit and len({each.subject_id for each in found[number]}) < subjects:
                others = f"{living} and not (subject in {quoted_all(sorted(seen))})"
                (last,) = self._search(location, probe[None], others, limit)
                seen |= {row["subject"] for row in last}
                found[number] += self._named(location, [last])[0]
        return found

    def _templates_of(
        self, location: GalleryLocation, probe: NDArray[np.float32], subject_ids: Sequence[str], wanted: int
    ) -> list[Candidate]:
        """Return at least the ``wanted`` best templates of each subject, or all it has."""
        living = self._locator.expiry.templates(location)
        where = f"{living} and subject in {quoted_all(subject_ids)}"
        (hits,) = self._search(location, probe[None], where, MAX_ROWS) if len(subject_ids) > 1 else ([],)
        if len(subject_ids) > 1 and len(hits) < MAX_ROWS:
            return self._named(location, [hits])[0]
        of_each = [
            self._search(location, probe[None], f"{living} and subject == {quoted(subject_id)}", wanted)[0]
            for subject_id in subject_ids
        ]
        return [candidate for few in self._named(location, of_each) for candidate in few]

    def _search(
        self, location: GalleryLocation, probes: NDArray[np.float32], where: str, limit: int
    ) -> list[list[Row]]:
        templates = str(location.templates)
        return self._milvus.search(
            templates,
            probes,
            where,
            _FIELDS,
            vector=VECTOR,
            limit=limit,
            parameters=search_parameters(self._collections.index_type(templates), limit=limit),
            strong=self._strong,
        )

    def _named(self, location: GalleryLocation, hits: Iterable[Sequence[Row]]) -> list[list[Candidate]]:
        """Add the names of subjects; templates that a dead enrolment left without a subject are dropped."""
        hits = list(hits)
        names = self._faces.names(location, {row["subject"] for rows in hits for row in rows}, strong=self._strong)
        return [
            [
                Candidate(
                    row["subject"],
                    names[row["subject"]],
                    float(np.clip(np.float32(row["similarity"]), -1, 1)),
                    id_of(row),
                )
                for row in rows
                if row["subject"] in names
            ]
            for rows in hits
        ]
