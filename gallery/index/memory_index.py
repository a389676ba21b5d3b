"""An index in memory: small galleries are compared whole, large ones by sketches first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.index.base import Ranked
from gallery.index.candidate_search import Scored, all_places, by_segment, compare_all, compare_nearest
from gallery.index.segment import DEAD, Segment, ids_array
from gallery.index.subject_table import Roster
from gallery.ranking import rank, shortlist
from gallery.records.records import Candidate, EmbeddedTemplates
from gallery.search_pool import SearchPool

PLAIN_ROWS = 16_384
"""Up to so many templates are compared whole, which takes as long as the sketches of some more: docs/performance.md."""
SEGMENT_ROWS = 262_144
"""Templates of a segment, so that growing and compacting copies no more."""
_LEAST_ROWS = 16
_PROBES = 32
"""Probes that are searched for at once."""
_MEAN_OF = 65_536
"""Templates from which a mean is estimated."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a search looks at."""

    segments: tuple[Segment, ...]
    roster: Roster

    @property
    def living(self) -> int:
        return sum(segment.count - segment.dead for segment in self.segments)


class MemoryIndex:
    """The templates of a gallery in the memory of this process; see :class:`gallery.index.base.Index`.

    A search takes what is there when it begins, without a lock. A removed template's row is zeroed in place, and once
    more than a quarter of a segment is dead its living rows move to new arrays.

    Up to :data:`PLAIN_ROWS` templates are kept as float32 and compared whole, and two of the same values are equally
    similar to a probe wherever they are. From there on they are kept in 16 bits a value with a sketch beside it, and
    the best subject is found for certain but for about one probe in a thousand: see
    :func:`compare_nearest`. The mean that sketches are made around is estimated again in the
    background whenever as many templates have come into a segment as it was estimated from.

    Args:
        dimension: values of an embedding.
        pool: the threads that search; by default only the calling one.
    """

    def __init__(self, dimension: int, pool: SearchPool | None = None) -> None:
        self._dimension = dimension
        self._pool = pool or SearchPool()
        # The most that n products and sums in float32 can be off, for vectors of unit length.
        self._tolerance = dimension * float(np.finfo(np.float32).eps) / 2
        self._changing = threading.Lock()
        self._estimating: threading.Thread | None = None
        self._snapshot = self._empty()

    def __len__(self) -> int:
        return self._snapshot.living

    @property
    def nbytes(self) -> int:
        """Memory of the arrays' rows."""
        return sum(segment.nbytes for segment in self._snapshot.segments)

    def reserve(self, templates: int = 1) -> None:
        """See :meth:`gallery.index.base.Index.reserve`; for at most :data:`SEGMENT_ROWS`."""
        with self._changing:
            self._reserve(templates)

    def add(self, templates: EmbeddedTemplates) -> None:
        """See :meth:`gallery.index.base.Index.add`."""
        with self._changing:
            for start in range(0, len(templates), PLAIN_ROWS):
                self._add(templates[start : start + PLAIN_ROWS])
        self._estimate_again()

    def rename(self, subject_id: str, display_name: str) -> None:
        """See :meth:`gallery.index.base.Index.rename`."""
        self._snapshot.roster.rename(subject_id, display_name)

    def remove_template(self, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.index.base.Index.remove_template`."""
        (wanted,) = ids_array((template_id,))
        with self._changing:
            self._remove(subject_id, lambda segment, rows: rows[segment.template_ids[rows] == wanted])

    def remove_subject(self, subject_id: str) -> None:
        """See :meth:`gallery.index.base.Index.remove_subject`."""
        with self._changing:
            self._remove(subject_id, lambda _, rows: rows)

    def clear(self) -> None:
        """See :meth:`gallery.index.base.Index.clear`."""
        with self._changing:
            for segment in self._snapshot.segments:
                segment.killed(np.arange(segment.count))
            self._snapshot = self._empty()

    def search(
        self,
        probes: NDArray[np.float32],
        *,
        subjects: int,
        mean_of_best: int,
        at_least: float = -1.0,
        thorough: bool = False,
    ) -> tuple[Ranked, ...]:
        """See :meth:`gallery.index.base.Index.search`."""
        now = self._snapshot
        subjects = min(subjects, now.roster.living)
        # The roster may count who is about to come.
        if subjects == 0 or now.living == 0:
            return (Ranked((), 0),) * len(probes)
        return tuple(
            Ranked(self._ranked(now, probe, found, subjects, mean_of_best), now.living)
            for start in range(0, len(probes), _PROBES)
            for probe, found in self._retrieved(
                now, probes[start : start + _PROBES], subjects, at_least, thorough=thorough or mean_of_best > 1
            )
        )

    def similarity(self, subject_id: str, probe: NDArray[np.float32], *, mean_of_best: int) -> float | None:
        """See :meth:`gallery.index.base.Index.similarity`."""
        now = self._snapshot
        code = now.roster.code(subject_id)
        if code is None:
            return None
        found = rank(_templates(now, probe, np.array([code])), subjects=1, mean_of_best=mean_of_best)
        return found[0].similarity if found else None

    def settle(self) -> None:
        """Wait until a mean that is being estimated in the background is in use."""
        estimating = self._estimating
        if estimating is not None:
            estimating.join()

    def _empty(self) -> _Snapshot:
        return _Snapshot((Segment.plain(_LEAST_ROWS, self._dimension),), Roster())

    def _retrieved(
        self, now: _Snapshot, probes: NDArray[np.float32], subjects: int, at_least: float, *, thorough: bool
    ) -> Iterable[tuple[NDArray[np.float32], Scored]]:
        if not now.segments[-1].is_sketched:
            found = compare_all(now.segments, probes, self._pool)
        else:
            found = compare_nearest(
                now.segments, probes, self._pool, subjects=subjects, at_least=at_least, thorough=thorough
            )
        return zip(probes, found, strict=True)

    def _ranked(
        self, now: _Snapshot, probe: NDArray[np.float32], found: Scored, subjects: int, mean_of_best: int
    ) -> tuple[Candidate, ...]:
        best = shortlist(found.scores, found.codes, subjects=subjects, tolerance=self._tolerance)
        if mean_of_best == 1:
            return rank(_candidates(now, probe, np.sort(found.places[best])), subjects=subjects)
        # A mean is at most the best template. So whoever may be among the best has a template that reaches the mean of
        # the last of those who are.
        codes = np.unique(found.codes[best])
        while True:
            ranked = rank(_templates(now, probe, codes), subjects=subjects, mean_of_best=mean_of_best)
            least = ranked[-1].similarity if len(ranked) == subjects else -1.0
            known = codes.size
            codes = np.union1d(codes, found.codes[found.scores >= least - 2 * self._tolerance])
            if codes.size == known:
                return ranked

    def _reserve(self, templates: int) -> None:
        *others, last = self._snapshot.segments
        wanted = last.count + templates
        if wanted <= last.capacity:
            return
        if last.is_sketched:
            sketched_at = min(last.sketched_at, SEGMENT_ROWS // 2)
            segments = (*others, last, Segment.sketched(SEGMENT_ROWS, last.mean, sketched_at=sketched_at))
        elif wanted <= PLAIN_ROWS:
            segments = (last.moved(Segment.plain(min(PLAIN_ROWS, max(2 * last.capacity, wanted)), self._dimension)),)
        else:
            mean = last.estimated_mean(_MEAN_OF)
            segments = (last.moved(Segment.sketched(SEGMENT_ROWS, mean, sketched_at=last.count)),)
        self._snapshot = replace(self._snapshot, segments=segments)

    def _add(self, templates: EmbeddedTemplates) -> None:
        template_ids = ids_array(templates.template_ids)
        self._reserve(len(templates))
        codes = self._snapshot.roster.count(templates.subject_ids, templates.display_names)
        *others, last = self._snapshot.segments
        grown = last.appended(templates.embeddings, codes, template_ids)
        self._snapshot = replace(self._snapshot, segments=(*others, grown))

    def _remove(self, subject_id: str, chosen: Callable[[Segment, NDArray[np.intp]], NDArray[np.intp]]) -> None:
        now = self._snapshot
        code = now.roster.code(subject_id)
        if code is None:
            return
        segments = []
        removed = 0
        for segment in now.segments:
            rows = chosen(segment, segment.rows_of(code))
            removed += rows.size
            segments.append(segment.killed(rows) if rows.size else segment)
        now.roster.discount(code, removed)
        self._snapshot = _compacted(replace(now, segments=tuple(segments)))

    def _estimate_again(self) -> None:
        """Start to sketch a segment whose mean is old around that of now, unless one is being done."""
        if (self._estimating is None or not self._estimating.is_alive()) and self._outgrown() is not None:
            self._estimating = threading.Thread(target=self._estimate, name="gallery-mean", daemon=True)
            self._estimating.start()

    def _outgrown(self) -> int | None:
        segments = enumerate(self._snapshot.segments)
        return next(
            (at for at, each in segments if each.is_sketched and each.since >= max(_LEAST_ROWS, each.sketched_at)), None
        )

    def _estimate(self) -> None:
        while (number := self._outgrown()) is not None:
            then = self._snapshot.segments[number]
            fresh = then.around(then.estimated_mean(_MEAN_OF))
            with self._changing:
                segments = list(self._snapshot.segments)
                if number < len(segments) and segments[number].vectors is then.vectors:
                    segments[number] = segments[number].sketched_as(fresh)
                    self._snapshot = replace(self._snapshot, segments=tuple(segments))


def _compacted(now: _Snapshot) -> _Snapshot:
    """Without most of what is dead, where that is much."""
    roster, segments = now.roster, list(now.segments)
    for number, segment in enumerate(segments):
        if 4 * segment.dead > segment.count:
            living = segment.count - segment.dead
            segments[number] = segment.moved(segment.emptied(min(segment.capacity, max(_LEAST_ROWS, 2 * living))))
    segments = [each for each in segments[:-1] if each.count > each.dead] + segments[-1:]
    if len(roster) > 2 * roster.living + _LEAST_ROWS:
        roster, new_codes = roster.compacted()
        segments = [segment.recoded(new_codes) for segment in segments]
    return _Snapshot(tuple(segments), roster)


def _templates(now: _Snapshot, probe: NDArray[np.float32], codes: NDArray[np.int32]) -> list[Candidate]:
    """All templates of these subjects."""
    # One more, for the code of the dead, which is -1.
    wanted = np.zeros(len(now.roster) + 1, np.bool_)
    wanted[codes] = True
    places = all_places(now.segments)
    codes_there = np.concatenate([segment.codes[: segment.count] for segment in now.segments])
    return _candidates(now, probe, places[wanted[codes_there]])


def _candidates(now: _Snapshot, probe: NDArray[np.float32], places: NDArray[np.int64]) -> list[Candidate]:
    """The templates in rising places, but for those that died meanwhile."""
    templates = []
    for number, rows in by_segment(places):
        segment = now.segments[number]
        similarities = np.clip(segment.similarities(rows, probe).astype(np.float32), -1.0, 1.0)
        template_ids = segment.template_ids[rows].tolist()
        # Read last: see Segment.
        codes = segment.codes[rows].tolist()
        for code, similarity, template_id in zip(codes, similarities.tolist(), template_ids, strict=True):
            person = now.roster.person(code) if code != DEAD and template_id else None
            if person is not None:
                templates.append(Candidate(*person, similarity, template_id.decode()))
    return templates
