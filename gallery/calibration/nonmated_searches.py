"""Nonmated searches of a gallery: for people outside it, and for its own subjects among the others."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.own_pictures import OwnPictures, highest_threshold
from gallery.calibration.thresholds import NO_SIMILARITY, NonmatedScores
from gallery.errors import StorageUnavailable
from gallery.index.protocol import Index
from gallery.records.calibrations import CalibrationSource
from gallery.records.distinct_pairs import NO_PAIRS, DistinctPairs
from gallery.records.templates import EmbeddedTemplates
from gallery.stores.base import Store

MAX_PROBES = 20_000
"""The most templates of a gallery that are used as probes: enough for an FPIR of one in ten thousand."""

RUNNERS_UP = 2
"""How many subjects after the best one a search keeps: they are other people even if the best one is the person."""

_MOST_TYPICAL = 500
"""The most templates that tell how similar two people are."""
_TEMPLATES_PER_PAGE = 4096
_PROBES_AT_ONCE = 256
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class NonmatedSearch:
    """The result of a search that leaves out the templates of its own subject.

    Attributes:
        subject_id: the subject of the probe.
        other_id: the best other subject; empty if there is none.
        similarity: of the two, float32 in [-1, 1]; :data:`gallery.calibration.thresholds.NO_SIMILARITY` if there is
            none.
        templates: the number of templates that were compared.
        runners_up: similarities of the next best other subjects, falling; at most :data:`RUNNERS_UP`.
        apart: whether the best and each of the runners-up were told apart from the subject: then they are certainly
            other people.
        template_id: the template that was searched for; empty if the probe is none.
        other_template_id: the most similar template of the other subject; empty if there is none.
    """

    subject_id: str
    other_id: str
    similarity: float
    templates: int
    runners_up: tuple[float, ...] = ()
    apart: tuple[bool, ...] = ()
    template_id: str = ""
    other_template_id: str = ""


@dataclass(frozen=True, slots=True)
class OwnSearch:
    """A template compared with the other templates of its own subject.

    Attributes:
        subject_id: the subject.
        similarity: to the others, float32 in [-1, 1], computed as for a search.
        other_similarity: to the best other subject that was not told apart;
            :data:`gallery.calibration.thresholds.NO_SIMILARITY` if there is none.
    """

    subject_id: str
    similarity: float
    other_similarity: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The searches that a threshold is chosen from.

    Attributes:
        source: where the probes come from.
        searches: the results.
        failures: how many searches returned nobody because there was no usable face, plus pictures that could not be
            read, which are not in ``searches``.
        data_set: where the probes come from, for people.
        data_set_sha256: hexadecimal digest of the probes.
        own: the gallery's templates that were compared with the others of their subject; empty if no subject has
            several, or if the probes are labelled.
        highest_threshold: see :class:`gallery.calibration.own_pictures.OwnPictures`.
    """

    source: CalibrationSource
    searches: Sequence[NonmatedSearch]
    failures: int
    data_set: str
    data_set_sha256: str
    own: Sequence[OwnSearch] = ()
    highest_threshold: float = math.inf

    def scores(self) -> NonmatedScores:
        """Return the searches as columns."""
        return NonmatedScores(
            best=np.array([each.similarity for each in self.searches], np.float32),
            subject_ids=[each.subject_id for each in self.searches],
            other_ids=[each.other_id for each in self.searches],
            templates=max((each.templates for each in self.searches), default=0),
            is_cross_subject=self.source is not CalibrationSource.PROBES,
            runners_up=np.array(
                [(*each.runners_up, *[NO_SIMILARITY] * RUNNERS_UP)[:RUNNERS_UP] for each in self.searches], np.float32
            ).reshape(-1, RUNNERS_UP),
            apart=np.array(
                [(*each.apart, *[False] * (1 + RUNNERS_UP))[: 1 + RUNNERS_UP] for each in self.searches], np.bool_
            ).reshape(-1, 1 + RUNNERS_UP),
        )

    def own_pictures(self) -> OwnPictures:
        """Return the comparisons within subjects as columns."""
        return OwnPictures(
            similarity=np.array([each.similarity for each in self.own], np.float32),
            other=np.array([each.other_similarity for each in self.own], np.float32),
            subject_ids=[each.subject_id for each in self.own],
            highest_threshold=self.highest_threshold,
        )


def empty_search(subject_id: str) -> NonmatedSearch:
    """Return the result of a search that compared nothing, for example because there was no face."""
    return NonmatedSearch(subject_id, "", NO_SIMILARITY, 0)


def search_nonmated(
    index: Index,
    probes: NDArray[np.float32],
    subject_ids: Sequence[str],
    *,
    mean_of_best: int,
    distinct: DistinctPairs = NO_PAIRS,
    template_ids: Sequence[str] = (),
) -> list[NonmatedSearch]:
    """Search for people among the other subjects; those that they were told apart from are marked.

    Args:
        index: the gallery's index.
        probes: shape ``(n, dimension)``, unit length.
        subject_ids: the subject of each probe, which need not be in the gallery.
        mean_of_best: the gallery's.
        distinct: the subjects that were told apart.
        template_ids: the template of each probe; empty if the probes are no templates.
    """
    searches = []
    found = index.search(probes, subjects=2 + RUNNERS_UP, mean_of_best=mean_of_best, thorough=True)
    names = template_ids or [""] * len(found)
    for subject_id, template_id, each in zip(subject_ids, names, found, strict=True):
        others = [candidate for candidate in each.candidates if candidate.subject_id != subject_id]
        if others:
            best, *next_best = others[: 1 + RUNNERS_UP]
            told_apart = distinct.others(subject_id)
            runners_up = tuple(candidate.similarity for candidate in next_best)
            searches.append(
                NonmatedSearch(
                    subject_id,
                    best.subject_id,
                    best.similarity,
                    each.templates_compared,
                    runners_up,
                    tuple(other.subject_id in told_apart for other in (best, *next_best)),
                    template_id,
                    best.template_id,
                )
            )
        else:
            searches.append(empty_search(subject_id))
    return searches


def search_cross_subject(
    store: Store,
    index: Index,
    gallery_id: str,
    cohort_id: str,
    *,
    contract: str,
    mean_of_best: int,
    check: Callable[[], None],
    distinct: DistinctPairs = NO_PAIRS,
    max_probes: int = MAX_PROBES,
    templates_per_page: int = _TEMPLATES_PER_PAGE,
) -> Evidence:
    """Search for a gallery's own subjects among the others, and for the subjects of a cohort.

    One template of every subject is a probe first, then others. If there are more than ``max_probes`` in a gallery,
    digests of their ids select them, so that the next calibration uses the same. Subjects of the cohort whose id is in
    the gallery are left out.

    Args:
        store: the store of both galleries.
        index: the gallery's index under the contract.
        gallery_id: the gallery.
        cohort_id: a gallery of other people with the same contract; empty for none.
        contract: the embedding contract of the templates that are probes.
        mean_of_best: the gallery's.
        check: called now and then; an exception from it ends the search.
        distinct: the gallery's subjects that were told apart; they are marked.
        max_probes: the most templates of each gallery that are used as probes.
        templates_per_page: how many templates are read from the store at once.
    """

    def probes_of(probe_gallery_id: str, without: frozenset[str]) -> _Probes:
        for _ in range(_ATTEMPTS - 1):
            try:
                return _select_probes(store, probe_gallery_id, contract, without, check, max_probes, templates_per_page)
            except StorageUnavailable:  # the last template of a page may just have been deleted
                check()
        return _select_probes(store, probe_gallery_id, contract, without, check, max_probes, templates_per_page)

    own_probes = probes_of(gallery_id, frozenset())
    searches, own = search_among_templates(
        index,
        own_probes.templates,
        own_probes.with_several,
        mean_of_best=mean_of_best,
        check=check,
        distinct=distinct,
    )
    digest = hashlib.sha256(_lines(own_probes.templates))
    if cohort_id:
        cohort = probes_of(cohort_id, own_probes.subjects).templates
        searches += search_among_templates(index, cohort, frozenset(), mean_of_best=mean_of_best, check=check)[0]
        digest.update(_lines(cohort))
    return Evidence(
        source=CalibrationSource.ITSELF_AND_COHORT if cohort_id else CalibrationSource.ITSELF,
        searches=searches,
        failures=0,
        data_set=cohort_id,
        data_set_sha256=digest.hexdigest(),
        own=own,
        highest_threshold=typical_limit(own_probes.templates),
    )


def search_among_templates(
    index: Index,
    templates: EmbeddedTemplates,
    with_several: Collection[str],
    *,
    mean_of_best: int,
    check: Callable[[], None] = lambda: None,
    distinct: DistinctPairs = NO_PAIRS,
) -> tuple[list[NonmatedSearch], list[OwnSearch]]:
    """Search for templates among the other subjects, and compare them with the others of their own.

    Args:
        index: the gallery's index.
        templates: the probes.
        with_several: subjects of the gallery with several templates; only these are compared within.
        mean_of_best: the gallery's.
        check: called now and then; an exception from it ends the search.
        distinct: the gallery's subjects that were told apart.
    """
    searches: list[NonmatedSearch] = []
    own: list[OwnSearch] = []
    for start in range(0, len(templates), _PROBES_AT_ONCE):
        check()
        some = templates[start : start + _PROBES_AT_ONCE]
        found = search_nonmated(
            index,
            some.embeddings,
            some.subject_ids,
            mean_of_best=mean_of_best,
            distinct=distinct,
            template_ids=some.template_ids,
        )
        searches += found
        own += _search_own(index, some, found, with_several, mean_of_best)
    return searches, own


def typical_limit(templates: EmbeddedTemplates) -> float:
    """Return :func:`gallery.calibration.own_pictures.highest_threshold` for one template of each subject."""
    first = dict(zip(reversed(templates.subject_ids), reversed(range(len(templates))), strict=True))
    rows = sorted(first.values())[:_MOST_TYPICAL]
    return highest_threshold(templates.embeddings[rows]) if len(rows) > 1 else math.inf


def _lines(templates: EmbeddedTemplates) -> bytes:
    return "\n".join([*sorted(templates.template_ids), ""]).encode()


@dataclass(frozen=True, slots=True)
class _Probes:
    """Templates that are searched for.

    Attributes:
        templates: the probes.
        subjects: all subjects of their gallery that have templates, but those that are left out.
        with_several: those of ``subjects`` that have more than one template.
    """

    templates: EmbeddedTemplates
    subjects: frozenset[str]
    with_several: frozenset[str]


def _search_own(
    index: Index,
    templates: EmbeddedTemplates,
    found: Sequence[NonmatedSearch],
    with_several: Collection[str],
    mean_of_best: int,
) -> list[OwnSearch]:
    """Compare templates with the others of their subjects, as a search would if they were new pictures."""
    searches = []
    for row, (subject_id, template_id) in enumerate(zip(templates.subject_ids, templates.template_ids, strict=True)):
        if subject_id in with_several:
            similarities = index.template_similarities(subject_id, templates.embeddings[row])
            similarities.pop(template_id, None)
            best = heapq.nlargest(mean_of_best, similarities.values())
            if best:
                other = _best_not_apart(found[row])
                searches.append(OwnSearch(subject_id, math.fsum(best) / len(best), other))
    return searches


def _best_not_apart(search: NonmatedSearch) -> float:
    """Return the best similarity to a subject that was not told apart."""
    similarities = (search.similarity, *search.runners_up)
    is_apart = (*search.apart, *[False] * len(similarities))
    return next((each for each, apart in zip(similarities, is_apart, strict=False) if not apart), NO_SIMILARITY)


def _select_probes(
    store: Store,
    gallery_id: str,
    contract: str,
    without: frozenset[str],
    check: Callable[[], None],
    max_probes: int,
    templates_per_page: int,
) -> _Probes:
    """Select the probes of a gallery, without those of some subjects."""
    seen: set[str] = set()
    with_several: set[str] = set()
    kept: list[tuple[bool, bytes, str, str, NDArray[np.float32]]] = []
    after = ""
    while page := store.embedded_templates(gallery_id, after=after, limit=templates_per_page, contract=contract):
        check()
        for subject_id, template_id, embedding in zip(
            page.subject_ids, page.template_ids, page.embeddings, strict=True
        ):
            if subject_id not in without:
                order = hashlib.blake2b(template_id.encode(), digest_size=8).digest()
                kept.append((subject_id in seen, order, subject_id, template_id, embedding.copy()))
                if subject_id in seen:
                    with_several.add(subject_id)
                seen.add(subject_id)
        if len(kept) > 2 * max_probes:
            kept = sorted(kept, key=lambda each: each[:2])[:max_probes]
        after = page.template_ids[-1]
    kept = sorted(kept, key=lambda each: each[:2])[:max_probes]
    embeddings = np.stack([each[4] for each in kept]) if kept else np.empty((0, 0), np.float32)
    probes = EmbeddedTemplates([each[2] for each in kept], [""] * len(kept), [each[3] for each in kept], embeddings)
    return _Probes(probes, frozenset(seen), frozenset(with_several))
