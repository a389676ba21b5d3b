"""The index of a gallery in a Milvus: Milvus retrieves, here subjects are ranked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gallery.index.base import Ranked
from gallery.ranking import rank
from gallery.records.records import Candidate, EmbeddedTemplates
from gallery.stores.milvus.connection import MOST_ROWS, Milvus, Row, quoted, quoted_all
from gallery.stores.milvus.faces import FaceReader
from gallery.stores.milvus.places import Place, Places
from gallery.stores.milvus.rows import id_of
from gallery.stores.milvus.schema import VECTOR, Collections, search_parameters

_TEMPLATES_PER_SUBJECT = 8
"""How many templates a subject is first taken to have."""
_LEAST_ROWS = 64
_SHORTLIST = 64
"""Where a subject's similarity is a mean, so many are ranked for one that is wanted: those whose best templates are
the most similar."""
_FIELDS = ("id", "subject")


class MilvusIndex:
    """An index that Milvus keeps; see :class:`gallery.index.base.Index`.

    Milvus answers the most similar templates, of all probes in one call. Where they are of too few subjects, because
    somebody has very many templates, it is asked again for those of other subjects: nobody is pushed out. With a flat
    index that is exact; similarities are Milvus's own, inner products in float32.

    A mean of the best is exact for the subjects that it is computed for, which are those :data:`_SHORTLIST` times as
    many whose best templates are the most similar: where one is that much better than its best, it may be missed.

    The store has written a change before the index is told of it. ``templates_compared`` is as old as
    :data:`gallery.stores.milvus.places.RECENT_SECONDS` allows.

    Args:
        milvus: where it is.
        collections: its collections.
        places: finds the gallery.
        gallery_id: the gallery.
        strong: wait for what other processes wrote before.
    """

    def __init__(
        self, milvus: Milvus, collections: Collections, places: Places, gallery_id: str, *, strong: bool
    ) -> None:
        self._milvus = milvus
        self._collections = collections
        self._places = places
        self._faces = FaceReader(milvus, collections)
        self._gallery_id = gallery_id
        self._strong = strong

    def __len__(self) -> int:
        return self._places.recent(self._gallery_id)[1]

    def search(
        self,
        probes: NDArray[np.float32],
        *,
        subjects: int,
        mean_of_best: int,
        at_least: float = -1.0,  # noqa: ARG002 - all are found
        thorough: bool = False,  # noqa: ARG002 - always
    ) -> tuple[Ranked, ...]:
        """See :meth:`gallery.index.base.Index.search`; what is not wanted is not missing, and all are thorough."""
        place, templates = self._places.recent(self._gallery_id)
        if place.templates is None or not len(probes):
            return tuple(Ranked((), templates) for _ in probes)
        wanted = subjects if mean_of_best == 1 else subjects * _SHORTLIST
        found = self._nearest(place, probes, wanted)
        if mean_of_best > 1:
            best = [rank(each, subjects=wanted) for each in found]
            found = [
                self._templates_of(place, probe, [each.subject_id for each in some], mean_of_best)
                for probe, some in zip(probes, best, strict=True)
            ]
        ranked = [rank(each, subjects=subjects, mean_of_best=mean_of_best) for each in found]
        return tuple(Ranked(each, max(templates, len(each))) for each in ranked)

    def similarity(self, subject_id: str, probe: NDArray[np.float32], *, mean_of_best: int) -> float | None:
        """See :meth:`gallery.index.base.Index.similarity`."""
        place, _ = self._places.recent(self._gallery_id)
        if place.templates is None:
            return None
        templates = self._templates_of(place, probe, [subject_id], mean_of_best)
        return next((each.similarity for each in rank(templates, subjects=1, mean_of_best=mean_of_best)), None)

    def reserve(self, templates: int = 1) -> None:
        """See :meth:`gallery.index.base.Index.reserve`; the room is Milvus's."""

    def add(self, templates: EmbeddedTemplates) -> None:
        """See :meth:`gallery.index.base.Index.add`."""

    def rename(self, subject_id: str, display_name: str) -> None:
        """See :meth:`gallery.index.base.Index.rename`."""

    def remove_template(self, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.index.base.Index.remove_template`."""

    def remove_subject(self, subject_id: str) -> None:
        """See :meth:`gallery.index.base.Index.remove_subject`."""

    def clear(self) -> None:
        """See :meth:`gallery.index.base.Index.clear`."""

    def _nearest(self, place: Place, probes: NDArray[np.float32], subjects: int) -> list[list[Candidate]]:
        """For each probe, templates among which the best ones of the best subjects are."""
        limit = min(MOST_ROWS, max(_LEAST_ROWS, _TEMPLATES_PER_SUBJECT * subjects))
        hits = self._search(place, probes, place.here, limit)
        found = self._named(place, hits)
        for number, probe in enumerate(probes):
            passed = {row["subject"] for row in hits[number]}
            last = hits[number]
            while len(last) == limit and len({each.subject_id for each in found[number]}) < subjects:
                others = f"{place.here} and not (subject in {quoted_all(sorted(passed))})"
                (last,) = self._search(place, probe[None], others, limit)
                passed |= {row["subject"] for row in last}
                found[number] += self._named(place, [last])[0]
        return found

    def _templates_of(
        self, place: Place, probe: NDArray[np.float32], subject_ids: Sequence[str], wanted: int
    ) -> list[Candidate]:
        """Of each subject at least the best templates that are wanted, or all that it has."""
        where = f"{place.here} and subject in {quoted_all(subject_ids)}"
        (hits,) = self._search(place, probe[None], where, MOST_ROWS) if len(subject_ids) > 1 else ([],)
        if len(subject_ids) > 1 and len(hits) < MOST_ROWS:
            return self._named(place, [hits])[0]
        each_alone = [
            self._search(place, probe[None], f"{place.here} and subject == {quoted(subject_id)}", wanted)[0]
            for subject_id in subject_ids
        ]
        return [candidate for few in self._named(place, each_alone) for candidate in few]

    def _search(self, place: Place, probes: NDArray[np.float32], where: str, limit: int) -> list[list[Row]]:
        templates = str(place.templates)
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

    def _named(self, place: Place, hits: Iterable[Sequence[Row]]) -> list[list[Candidate]]:
        """Templates with the names of their subjects; those without are of nobody, as a dead enrolment leaves them."""
        hits = list(hits)
        names = self._faces.names(place, {row["subject"] for rows in hits for row in rows}, strong=self._strong)
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
