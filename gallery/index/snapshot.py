"""One state of an index in memory, and the search of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.index.candidate_search import search_candidates
from gallery.index.exact_search import compare_all
from gallery.index.protocol import SearchResult
from gallery.index.scored_rows import ScoredRows, all_positions, by_segment
from gallery.index.segment import DEAD, Segment
from gallery.index.sizes import IndexSizes
from gallery.index.subject_table import SubjectTable
from gallery.ranking import rank, shortlist
from gallery.records.identifications import Candidate
from gallery.search_pool import SearchPool

_PROBES_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """What a search looks at: it needs no lock, and leaves out templates that are removed in the meantime.

    Attributes:
        segments: one exact segment, or coded ones.
        subjects: the subjects of their rows. It is shared with later snapshots, and may already count a subject whose
            templates are only in a later one.
        pool: the threads of a search.
        sizes: how much a candidate search considers.
    """

    segments: tuple[Segment, ...]
    subjects: SubjectTable
    pool: SearchPool
    sizes: IndexSizes

    @property
    def template_count(self) -> int:
        """The number of living templates."""
        return sum(segment.count - segment.dead for segment in self.segments)

    def search(
        self, probes: NDArray[np.float32], *, subjects: int, mean_of_best: int, at_least: float, thorough: bool
    ) -> tuple[SearchResult, ...]:
        """Rank the best subjects for every probe; see :meth:`gallery.index.protocol.Index.search`."""
        template_count = self.template_count
        subjects = min(subjects, self.subjects.subject_count)
        if subjects == 0 or template_count == 0:
            return (SearchResult((), 0),) * len(probes)
        return tuple(
            SearchResult(self._ranked(probe, found, subjects, mean_of_best), template_count)
            for start in range(0, len(probes), _PROBES_AT_ONCE)
            for probe, found in self._scored(
                probes[start : start + _PROBES_AT_ONCE], subjects, at_least, thorough=thorough or mean_of_best > 1
            )
        )

    def similarity(self, subject_id: str, probe: NDArray[np.float32], *, mean_of_best: int) -> float | None:
        """Compare a probe with a subject; see :meth:`gallery.index.protocol.Index.similarity`."""
        subject = self.subjects.number(subject_id)
        if subject is None:
            return None
        found = rank(self._templates(probe, np.array([subject])), subjects=1, mean_of_best=mean_of_best)
        return found[0].similarity if found else None

    def template_similarities(self, subject_id: str, probe: NDArray[np.float32]) -> dict[str, float]:
        """Compare a probe with the templates of a subject; see :class:`gallery.index.protocol.Index`."""
        subject = self.subjects.number(subject_id)
        if subject is None:
            return {}
        return {each.template_id: each.similarity for each in self._templates(probe, np.array([subject]))}

    def _scored(
        self, probes: NDArray[np.float32], subjects: int, at_least: float, *, thorough: bool
    ) -> Iterable[tuple[NDArray[np.float32], ScoredRows]]:
        if not self.segments[-1].is_coded:
            found = compare_all(self.segments[-1], probes, self.pool)
        else:
            found = search_candidates(
                self.segments,
                probes,
                self.pool,
                subjects=subjects,
                at_least=at_least,
                thorough=thorough,
                sizes=self.sizes,
            )
        return zip(probes, found, strict=True)

    def _ranked(
        self, probe: NDArray[np.float32], found: ScoredRows, subjects: int, mean_of_best: int
    ) -> tuple[Candidate, ...]:
        # The maximum error of n products and sums in float32, for vectors of unit length.
        tolerance = probe.size * float(np.finfo(np.float32).eps) / 2
        best = shortlist(found.scores, found.subjects, subjects=subjects, tolerance=tolerance)
        if mean_of_best == 1:
            return rank(self._candidates(probe, np.sort(found.positions[best]), of_best=subjects), subjects=subjects)
        # A mean is at most its best template. A subject that may be among the best therefore has a template that
        # reaches the mean of the last of them.
        numbers = np.unique(found.subjects[best])
        while True:
            ranked = rank(self._templates(probe, numbers), subjects=subjects, mean_of_best=mean_of_best)
            least = ranked[-1].similarity if len(ranked) == subjects else -1.0
            known = numbers.size
            numbers = np.union1d(numbers, found.subjects[found.scores >= least - 2 * tolerance])
            if numbers.size == known:
                return ranked

    def _templates(self, probe: NDArray[np.float32], numbers: NDArray[np.int32]) -> list[Candidate]:
        """Compare a probe with all templates of some subjects."""
        # One entry more, for dead rows: their number is -1.
        is_wanted = np.zeros(len(self.subjects) + 1, np.bool_)
        is_wanted[numbers] = True
        positions = all_positions(self.segments)
        numbers_of_rows = np.concatenate([segment.subjects[: segment.count] for segment in self.segments])
        return self._candidates(probe, positions[is_wanted[numbers_of_rows]])

    def _candidates(
        self, probe: NDArray[np.float32], positions: NDArray[np.int64], *, of_best: float = math.inf
    ) -> list[Candidate]:
        """Compare a probe with the templates at rising positions; those removed in the meantime are left out.

        Args:
            probe: the probe.
            positions: those of the templates.
            of_best: how many subjects are wanted that have the most similar templates. Templates that are less similar
                than the best one of each of them are left out.
        """
        templates = []
        for number, rows in by_segment(positions):
            segment = self.segments[number]
            similarities = np.clip(segment.similarities(rows, probe).astype(np.float32), -1.0, 1.0)
            template_ids = segment.template_ids[rows].tolist()
            # Read last: see Segment.
            numbers = segment.subjects[rows].tolist()
            ranked = np.argsort(-similarities).tolist()
            found: set[int] = set()
            least = -1.0
            for row, similarity in zip(ranked, similarities[ranked].tolist(), strict=True):
                if len(found) >= of_best and similarity < least:
                    break
                subject_number, template_id = numbers[row], template_ids[row]
                subject = self.subjects.subject(subject_number) if subject_number != DEAD and template_id else None
                if subject is not None:
                    templates.append(Candidate(*subject, similarity, template_id.decode()))
                    if len(found) < of_best:
                        found.add(subject_number)
                        least = similarity
        return templates
