"""The answers to probes, and the worst mistakes among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LOWEST_SIMILARITY = -1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that a probe resembles.

    Attributes:
        subject: the subject.
        similarity: cosine similarity in [-1, 1], the float32 that the server returned.
        image: gallery picture of the most similar template.
    """

    subject: str
    similarity: float
    image: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """A probe and its candidates.

    Attributes:
        image: picture of the probe.
        subject: the person in it.
        mated: whether the protocol enrols that person.
        candidates: the best subjects of the gallery, by falling similarity.
        matched: whether the service matched the probe with its first candidate, at its own threshold.
        failure: why the probe was not searched: FACE_NOT_FOUND, DECISION_REFUSED if the face was too poor, or the
            reason of another error; empty if it was searched.
    """

    image: str
    subject: str
    mated: bool
    candidates: tuple[Candidate, ...] = ()
    matched: bool = False
    failure: str = ""

    @property
    def best(self) -> Candidate | None:
        """The first candidate; ``None`` without candidates."""
        return self.candidates[0] if self.candidates else None

    @property
    def similarity(self) -> float:
        """Similarity of the first candidate; the lowest possible without candidates."""
        return self.candidates[0].similarity if self.candidates else LOWEST_SIMILARITY

    @property
    def mate_rank(self) -> int | None:
        """Rank of the mate among the candidates, from 1; ``None`` if it is not among them."""
        ranks = (rank for rank, each in enumerate(self.candidates, 1) if self.mated and each.subject == self.subject)
        return next(ranks, None)

    @property
    def mate(self) -> Candidate | None:
        """The mate; ``None`` if it is not among the candidates."""
        rank = self.mate_rank
        return self.candidates[rank - 1] if rank else None


def worst_false_positives(searches: Iterable[Search], count: int) -> list[Search]:
    """Nonmated probes that were matched, the most similar first."""
    return _most_similar((search for search in searches if search.matched and not search.mated), count)


def worst_wrong_subjects(searches: Iterable[Search], count: int) -> list[Search]:
    """Mated probes that were matched with another subject, the most similar first."""
    return _most_similar((s for s in searches if s.matched and s.mated and s.mate_rank != 1), count)


def worst_misses(searches: Iterable[Search], count: int) -> list[Search]:
    """Mated probes that were not matched: first those that were not searched, then by rising similarity of the mate."""

    def similarity(search: Search) -> float:
        return search.mate.similarity if search.mate else LOWEST_SIMILARITY

    missed = [search for search in searches if search.mated and not search.matched]
    return sorted(missed, key=lambda search: (not search.failure, similarity(search)))[:count]


def _most_similar(searches: Iterable[Search], count: int) -> list[Search]:
    return sorted(searches, key=lambda search: -search.similarity)[:count]
