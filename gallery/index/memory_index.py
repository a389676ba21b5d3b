"""An index in memory that any number of threads search while one changes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gallery.index.files.segment_file import IndexKey, SegmentFile
from gallery.index.protocol import SearchResult
from gallery.index.segment import DEAD, Segment, ids_array
from gallery.index.sizes import IndexSizes
from gallery.index.snapshot import IndexSnapshot
from gallery.index.subject_table import SubjectTable
from gallery.records.expired import Expired
from gallery.records.templates import EmbeddedTemplates
from gallery.search_pool import SearchPool

_MIN_ROWS = 16
_MEAN_ROWS = 65_536
"""The most templates that a mean is estimated from."""


class MemoryIndex:
    """The templates of a gallery in the memory of this process; see :class:`gallery.index.protocol.Index`.

    A search takes the current snapshot, without a lock. The row of a removed template is zeroed in place. Once more
    than a quarter of a segment is dead, its living rows move to new arrays.

    Small galleries are kept as float32 and searched exactly; templates with the same values have the same similarity
    wherever they are stored. Large galleries are kept in 16 bits a value with binary codes, and the best subject is
    missed for about one probe in a thousand: see :func:`gallery.index.candidate_search.search_candidates`. The mean
    that binary codes are computed around is estimated again in the background whenever a segment has doubled since
    the last estimate.

    Args:
        dimension: values of an embedding.
        pool: the threads of a search; by default only the calling one.
        sizes: when the index switches to binary codes.

    Attributes:
        dimension: values of an embedding.
        key: what its templates are the embeddings of, in files that keep them; ``None`` if they must not be kept.
    """

    def __init__(self, dimension: int, pool: SearchPool | None = None, *, sizes: IndexSizes | None = None) -> None:
        self.dimension = dimension
        self._pool = pool or SearchPool()
        self._sizes = sizes or IndexSizes()
        self._change_lock = threading.Lock()
        self._estimator: threading.Thread | None = None
        self._snapshot = self._empty()
        self.key: IndexKey | None = None

    def __len__(self) -> int:
        return self._snapshot.template_count

    @property
    def snapshot(self) -> IndexSnapshot:
        """What a search that begins now looks at."""
        return self._snapshot

    @property
    def sizes(self) -> IndexSizes:
        """When the index switches to binary codes."""
        return self._sizes

    @property
    def nbytes(self) -> int:
        """Memory of the rows in use."""
        return sum(segment.nbytes for segment in self._snapshot.segments)

    def search(
        self,
        probes: NDArray[np.float32],
        *,
        subjects: int,
        mean_of_best: int,
        at_least: float = -1.0,
        thorough: bool = False,
        pool: SearchPool | None = None,
    ) -> tuple[SearchResult, ...]:
        """See :meth:`gallery.index.protocol.Index.search`."""
        snapshot = self._snapshot if pool is None else replace(self._snapshot, pool=pool)
        return snapshot.search(
            probes, subjects=subjects, mean_of_best=mean_of_best, at_least=at_least, thorough=thorough
        )

    def similarity(self, subject_id: str, probe: NDArray[np.float32], *, mean_of_best: int) -> float | None:
        """See :meth:`gallery.index.protocol.Index.similarity`."""
        return self._snapshot.similarity(subject_id, probe, mean_of_best=mean_of_best)

    def template_similarities(self, subject_id: str, probe: NDArray[np.float32]) -> dict[str, float]:
        """See :meth:`gallery.index.protocol.Index.template_similarities`."""
        return self._snapshot.template_similarities(subject_id, probe)

    def reserve(self, templates: int = 1) -> None:
        """See :meth:`gallery.index.protocol.Index.reserve`; at most ``sizes.segment_rows``."""
        with self._change_lock:
            self._reserve(templates)

    def add(self, templates: EmbeddedTemplates) -> None:
        """See :meth:`gallery.index.protocol.Index.add`."""
        with self._change_lock:
            for start in range(0, len(templates), self._sizes.exact_rows):
                self._add(templates[start : start + self._sizes.exact_rows])
        self._start_estimating()

    def rename(self, subject_id: str, display_name: str) -> None:
        """See :meth:`gallery.index.protocol.Index.rename`."""
        self._snapshot.subjects.rename(subject_id, display_name)

    def remove_template(self, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.index.protocol.Index.remove_template`."""
        (wanted,) = ids_array((template_id,))
        with self._change_lock:
            self._remove(subject_id, lambda segment, rows: rows[segment.template_ids[rows] == wanted])

    def remove_subject(self, subject_id: str) -> None:
        """See :meth:`gallery.index.protocol.Index.remove_subject`."""
        with self._change_lock:
            self._remove(subject_id, lambda _, rows: rows)

    def remove(self, expired: Expired) -> None:
        """See :meth:`gallery.index.protocol.Index.remove`; all of it in one pass over the rows."""
        with self._change_lock:
            now = self._snapshot
            # One entry more, for dead rows: their number is -1.
            is_expired = np.zeros(len(now.subjects) + 1, np.bool_)
            expired_numbers = [now.subjects.number(each) for each in expired.subject_ids]
            is_expired[[number for number in expired_numbers if number is not None]] = True
            template_ids = ids_array([template_id for _, template_id in expired.templates])
            segments = []
            for segment in now.segments:
                numbers = segment.subjects[: segment.count]
                is_removed = is_expired[numbers]
                if template_ids.size:
                    is_removed |= np.isin(segment.template_ids[: segment.count], template_ids) & (numbers != DEAD)
                rows = np.flatnonzero(is_removed)
                for number, count in zip(*np.unique(numbers[rows], return_counts=True), strict=True):
                    now.subjects.remove_templates(int(number), int(count))
                segments.append(segment.killed(rows) if rows.size else segment)
            self._snapshot = _compacted(replace(now, segments=tuple(segments)))

    def replace_subjects(self, subject_ids: Collection[str], templates: EmbeddedTemplates) -> None:
        """See :meth:`gallery.index.protocol.Index.replace_subjects`; no search misses a template that stays."""
        owners = dict(zip(templates.template_ids, templates.subject_ids, strict=True))
        names = dict(zip(templates.subject_ids, templates.display_names, strict=True))
        with self._change_lock:
            # Looking for rows of a subject takes time; those who come now have none but the ones that are added.
            known = [each for each in subject_ids if self._snapshot.subjects.number(each) is not None]
            present = {each for segment in self._snapshot.segments for each in self._owned(segment, known, owners)[1]}
            missing = np.array([each not in present for each in templates.template_ids], np.bool_)
            for start in range(0, len(templates), self._sizes.exact_rows):
                rows = np.flatnonzero(missing[start : start + self._sizes.exact_rows]) + start
                if rows.size:
                    self._add(templates.at(rows))
            now = self._snapshot
            segments = []
            for segment in now.segments:
                gone, _ = self._owned(segment, known, owners)
                for number, count in zip(*np.unique(segment.subjects[gone], return_counts=True), strict=True):
                    now.subjects.remove_templates(int(number), int(count))
                segments.append(segment.killed(gone) if gone.size else segment)
            for subject_id, name in names.items():
                now.subjects.rename(subject_id, name)
            self._snapshot = _compacted(replace(now, segments=tuple(segments)))
        self._start_estimating()

    def emptied_subjects(self) -> set[str]:
        """Return subjects with templates whose rows another process has erased, although this one has not heard why.

        They may be there: the other one has heard that a template moved away, or that it expired, and not yet that it
        moved back, or got more time.
        """
        now = self._snapshot
        numbers = {number for each in now.segments for number in each.emptied_subjects().tolist()}
        return {found[0] for number in numbers if (found := now.subjects.subject(number)) is not None}

    def _owned(
        self, segment: Segment, subject_ids: Collection[str], owners: Mapping[str, str]
    ) -> tuple[NDArray[np.intp], set[str]]:
        """Return the rows of subjects whose templates are not theirs, and the ids of the templates that are.

        A row that another process has erased has none.
        """
        subjects = self._snapshot.subjects
        by_number = {number: each for each in subject_ids if (number := subjects.number(each)) is not None}
        rows = segment.rows_of_all(list(by_number), len(subjects))
        ids = [each.decode() for each in segment.template_ids[rows].tolist()]
        owned = [
            owners.get(each) == by_number[int(segment.subjects[row])] and segment.scales[row] != 0
            for each, row in zip(ids, rows, strict=True)
        ]
        return rows[~np.array(owned, np.bool_)], {each for each, is_owned in zip(ids, owned, strict=True) if is_owned}

    def clear(self) -> None:
        """See :meth:`gallery.index.protocol.Index.clear`."""
        with self._change_lock:
            for segment in self._snapshot.segments:
                segment.killed(np.arange(segment.count))
            self._snapshot = self._empty()

    def resume(self, segments: Sequence[Segment], subjects: SubjectTable) -> None:
        """Begin with coded segments and their subjects; the index must be empty."""
        with self._change_lock:
            self._snapshot = _compacted(replace(self._snapshot, segments=tuple(segments), subjects=subjects))

    def keep_in(self, file: SegmentFile, written: Segment) -> None:
        """Use the rows of a file from now on, instead of those that they were copied from.

        Args:
            file: has all rows of ``written``.
            written: an earlier value of one of the segments; nothing happens if the index has it no longer.
        """
        with self._change_lock:
            segments = []
            for each in self._snapshot.segments:
                if each.vectors is not written.vectors:
                    segments.append(each)
                    continue
                segments.append(each.kept_in(file))
                if each.count > written.count:
                    segments.append(each.moved(each.emptied(each.capacity), first=written.count))
            self._snapshot = replace(self._snapshot, segments=tuple(segments))

    def settle(self) -> None:
        """Wait until a mean that is being estimated in the background is in use."""
        estimator = self._estimator
        if estimator is not None:
            estimator.join()

    def _empty(self) -> IndexSnapshot:
        return IndexSnapshot((Segment.exact(_MIN_ROWS, self.dimension),), SubjectTable(), self._pool, self._sizes)

    def _reserve(self, templates: int) -> None:
        *others, last = self._snapshot.segments
        wanted = last.count + templates
        if wanted <= last.capacity:
            return
        sizes = self._sizes
        if last.is_coded:
            mean_rows = min(last.mean_rows, sizes.segment_rows // 2)
            segments = (*others, last, Segment.coded(sizes.segment_rows, last.mean, mean_rows=mean_rows))
        elif wanted <= sizes.exact_rows:
            capacity = min(sizes.exact_rows, max(2 * last.capacity, wanted))
            segments = (last.moved(Segment.exact(capacity, self.dimension)),)
        else:
            mean = last.estimated_mean(_MEAN_ROWS)
            segments = (last.moved(Segment.coded(sizes.segment_rows, mean, mean_rows=last.count)),)
        self._snapshot = replace(self._snapshot, segments=segments)

    def _add(self, templates: EmbeddedTemplates) -> None:
        template_ids = ids_array(templates.template_ids)
        self._reserve(len(templates))
        numbers = self._snapshot.subjects.add_templates(templates.subject_ids, templates.display_names)
        *others, last = self._snapshot.segments
        grown = last.appended(templates.embeddings, numbers, template_ids)
        self._snapshot = replace(self._snapshot, segments=(*others, grown))

    def _remove(self, subject_id: str, select: Callable[[Segment, NDArray[np.intp]], NDArray[np.intp]]) -> None:
        now = self._snapshot
        number = now.subjects.number(subject_id)
        if number is None:
            return
        segments = []
        removed = 0
        for segment in now.segments:
            rows = select(segment, segment.rows_of(number))
            removed += rows.size
            segments.append(segment.killed(rows) if rows.size else segment)
        now.subjects.remove_templates(number, removed)
        self._snapshot = _compacted(replace(now, segments=tuple(segments)))

    def _start_estimating(self) -> None:
        """Estimate outdated means in the background, unless that is under way."""
        if (self._estimator is None or not self._estimator.is_alive()) and self._outdated_mean() is not None:
            self._estimator = threading.Thread(target=self._estimate_means, name="gallery-mean", daemon=True)
            self._estimator.start()

    def _outdated_mean(self) -> int | None:
        """Return the number of a segment with an outdated mean, if there is one."""
        return next(
            (
                number
                for number, each in enumerate(self._snapshot.segments)
                if each.is_coded and each.added_since >= max(_MIN_ROWS, each.mean_rows)
            ),
            None,
        )

    def _estimate_means(self) -> None:
        while (number := self._outdated_mean()) is not None:
            before = self._snapshot.segments[number]
            recoded = before.recoded(before.estimated_mean(_MEAN_ROWS))
            with self._change_lock:
                segments = list(self._snapshot.segments)
                if number < len(segments) and segments[number].vectors is before.vectors:
                    segments[number] = segments[number].with_codes_of(recoded)
                    self._snapshot = replace(self._snapshot, segments=tuple(segments))


def _compacted(now: IndexSnapshot) -> IndexSnapshot:
    """Drop dead rows and removed subjects once there are many."""
    subjects, segments = now.subjects, list(now.segments)
    for number, segment in enumerate(segments):
        if 4 * segment.dead > segment.count:
            living = segment.count - segment.dead
            segments[number] = segment.moved(segment.emptied(min(segment.capacity, max(_MIN_ROWS, 2 * living))))
    segments = [each for each in segments[:-1] if each.count > each.dead] + segments[-1:]
    if len(subjects) > 2 * subjects.subject_count + _MIN_ROWS:
        subjects, new_numbers = subjects.compacted()
        segments = [segment.renumbered(new_numbers) for segment in segments]
    return replace(now, segments=tuple(segments), subjects=subjects)
