"""Exact retrieval, in memory: every template is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gallery.ranking import rank, shortlist
from gallery.records import Candidate

_DEAD = -1
_MIN_CAPACITY = 16
_MAX_SCORES = 1 << 24
"""Scores in memory at once, 64 MiB; more probes than fit are searched in blocks."""
_RESCORED_ROWS = 4096


class _Person(NamedTuple):
    subject_id: str
    display_name: str


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a search looks at: the first ``count`` rows.

    The arrays and lists are shared with later snapshots, which only append to them; of the rows that are
    there only dying ones change, code first.
    """

    embeddings: NDArray[np.float32]
    codes: NDArray[np.int32]
    template_ids: list[str]
    people: list[_Person | None]
    code_of: dict[str, int]
    count: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best subjects for one probe.

    Attributes:
        candidates: by falling similarity, ties by subject id.
        templates_compared: how many templates there were.
    """

    candidates: tuple[Candidate, ...]
    templates_compared: int


class ExactIndex:
    """The templates of a gallery, searched by one matrix product.

    Any number of threads may search, without a lock; changes must come from one thread at a time, and are
    seen by every search that begins after them. A removed template's row is zeroed in place; once more than a
    quarter of the rows are dead, the living ones move to new arrays.

    Two templates of the same values are equally similar to a probe wherever their rows are: a matrix product
    alone does not promise that, so the short list is compared once more, each row by itself in float64.

    Args:
        dimension: values of an embedding.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        # The most that n products and sums in float32 can be off, for vectors of unit length.
        self._tolerance = dimension * float(np.finfo(np.float32).eps) / 2
        self._rows: dict[str, int] = {}
        self._templates_of: dict[str, int] = {}
        self._snapshot = _Snapshot(*self._arrays(_MIN_CAPACITY), [], [], {}, 0)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self._snapshot.embeddings.nbytes + self._snapshot.codes.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._kill(np.arange(self._snapshot.count))
        self._rows = {}
        self._templates_of = {}
        self._snapshot = _Snapshot(*self._arrays(_MIN_CAPACITY), [], [], {}, 0)

    def reserve(self, templates: int = 1) -> None:
        """Make room, so that adding so many cannot fail for want of memory.

        Raises:
            MemoryError: there is none; the index is as it was.
        """
        now = self._snapshot
        if now.count + templates <= len(now.codes):
            return
        embeddings, codes = self._arrays(max(2 * len(now.codes), now.count + templates))
        embeddings[: now.count] = now.embeddings[: now.count]
        codes[: now.count] = now.codes[: now.count]
        self._snapshot = replace(now, embeddings=embeddings, codes=codes)

    def add(self, subject_id: str, display_name: str, template_id: str, embedding: NDArray[np.float32]) -> None:
        """Add a template of a subject; ``embedding`` is of unit length, shape ``(dimension,)``.

        The name is taken where this is the subject's first template here.
        """
        self.reserve()
        now = self._snapshot
        code = now.code_of.get(subject_id)
        if code is None:
            code = len(now.people)
            now.people.append(_Person(subject_id, display_name))
            now.code_of[subject_id] = code
            self._templates_of[subject_id] = 0
        self._templates_of[subject_id] += 1
        self._rows[template_id] = now.count
        now.embeddings[now.count] = embedding
        now.codes[now.count] = code
        now.template_ids.append(template_id)
        self._snapshot = replace(now, count=now.count + 1)

    def rename(self, subject_id: str, display_name: str) -> None:
        """Give a subject another name; nothing happens where it has no templates."""
        now = self._snapshot
        code = now.code_of.get(subject_id)
        if code is not None:
            now.people[code] = _Person(subject_id, display_name)

    def remove_template(self, subject_id: str, template_id: str) -> None:
        """Remove a template that is here, of the subject that it is of."""
        row = self._rows.pop(template_id)
        self._templates_of[subject_id] -= 1
        self._kill(np.array([row]))
        if self._templates_of[subject_id] == 0:
            self._forget(subject_id)
        self._compact()

    def remove_subject(self, subject_id: str) -> None:
        """Remove a subject and its templates; nothing happens where it has none."""
        now = self._snapshot
        code = now.code_of.get(subject_id)
        if code is None:
            return
        rows = np.flatnonzero(now.codes[: now.count] == code)
        for row in rows:
            del self._rows[now.template_ids[row]]
        self._kill(rows)
        self._forget(subject_id)
        self._compact()

    def search(self, probes: NDArray[np.float32], *, subjects: int) -> tuple[Ranked, ...]:
        """Rank the best ``subjects`` subjects for every probe.

        Args:
            probes: shape ``(n, dimension)``, of unit length.
            subjects: how many to rank, at least 1.
        """
        now = self._snapshot
        block = max(1, _MAX_SCORES // max(1, now.count))
        return tuple(
            ranked
            for start in range(0, len(probes), block)
            for ranked in self._search_block(now, probes[start : start + block], subjects)
        )

    def similarity(self, subject_id: str, probe: NDArray[np.float32]) -> float | None:
        """Cosine of a probe, shape ``(dimension,)``, and a subject's best template; ``None`` without any."""
        now = self._snapshot
        code = now.code_of.get(subject_id)
        if code is None:
            return None
        rows = np.flatnonzero(now.codes[: now.count] == code)
        return max((template.similarity for template in _rescored(now, rows, probe)), default=None)

    def _search_block(self, now: _Snapshot, probes: NDArray[np.float32], subjects: int) -> Sequence[Ranked]:
        scores = probes @ now.embeddings[: now.count].T
        # Read after the product: a row that was zeroed before has had its code marked dead before that.
        codes = now.codes[: now.count].copy()
        dead = codes == _DEAD
        scores[:, dead] = -np.inf
        compared = int(now.count - dead.sum())
        ranked = []
        for probe, probe_scores in zip(probes, scores, strict=True):
            rows = shortlist(probe_scores, codes, subjects=subjects, tolerance=self._tolerance)
            ranked.append(Ranked(rank(_rescored(now, rows, probe), subjects=subjects), compared))
        return ranked

    def _arrays(self, capacity: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        return np.zeros((capacity, self._dimension), np.float32), np.full(capacity, _DEAD, np.int32)

    def _forget(self, subject_id: str) -> None:
        now = self._snapshot
        now.people[now.code_of.pop(subject_id)] = None
        del self._templates_of[subject_id]

    def _kill(self, rows: NDArray[np.intp]) -> None:
        self._snapshot.codes[rows] = _DEAD
        self._snapshot.embeddings[rows] = 0.0

    def _compact(self) -> None:
        now = self._snapshot
        if 4 * (now.count - len(self._rows)) <= now.count:
            return
        rows = np.flatnonzero(now.codes[: now.count] != _DEAD)
        old_codes, new_codes = np.unique(now.codes[rows], return_inverse=True)
        embeddings, codes = self._arrays(max(_MIN_CAPACITY, 2 * rows.size))
        embeddings[: rows.size] = now.embeddings[rows]
        codes[: rows.size] = new_codes
        template_ids = [now.template_ids[row] for row in rows]
        people = [now.people[code] for code in old_codes]
        self._rows = {template_id: row for row, template_id in enumerate(template_ids)}
        code_of = {person.subject_id: code for code, person in enumerate(people) if person is not None}
        self._snapshot = _Snapshot(embeddings, codes, template_ids, people, code_of, rows.size)


def _rescored(now: _Snapshot, rows: NDArray[np.intp], probe: NDArray[np.float32]) -> list[Candidate]:
    """The templates of these rows with their exact similarity, but for those that died meanwhile."""
    exact = np.empty(rows.size, np.float64)
    for start in range(0, rows.size, _RESCORED_ROWS):
        block = slice(start, start + _RESCORED_ROWS)
        # A product of two float32 is exact in float64, and each row is summed by itself in one order.
        exact[block] = (now.embeddings[rows[block]].astype(np.float64) * probe).sum(axis=1)
    similarities = np.clip(exact.astype(np.float32), -1.0, 1.0)
    # Read last, for the reason above.
    codes = now.codes[rows]
    templates = []
    for row, code, similarity in zip(rows.tolist(), codes.tolist(), similarities.tolist(), strict=True):
        person = now.people[code] if code != _DEAD else None
        if person is not None:
            templates.append(Candidate(person.subject_id, person.display_name, similarity, now.template_ids[row]))
    return templates
