"""Searches for people who are not in a gallery: for whoever is brought, and for its own people among the others."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.thresholds import (
    MIN_PEOPLE,
    MIN_SEARCHES,
    MOST_PASSED,
    NOBODY,
    Chosen,
    Searches,
    at_size,
    choose,
    searches_needed,
)
from gallery.errors import StorageUnavailable, TooFewSearches
from gallery.index.base import Index
from gallery.records.calibrations import Calibration, CalibrationSource
from gallery.records.records import EmbeddedTemplates, Gallery
from gallery.stores.base import Store

MOST_TEMPLATES = 20_000
"""Templates of a gallery that are searched for, at the most: as many searches tell an FPIR of one in ten thousand."""

_READ_AT_ONCE = 4096
_SEARCHED_AT_ONCE = 256
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Closest:
    """What a search for somebody found, the gallery's templates of their own left out.

    Attributes:
        subject_id: whom it was for.
        other_id: the best other subject; empty where there is none.
        similarity: of the two, float32 in [-1, 1]; :data:`gallery.calibration.thresholds.NOBODY` where there is none.
        templates: how many templates were compared.
    """

    subject_id: str
    other_id: str
    similarity: float
    templates: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Searches that a threshold is chosen from.

    Attributes:
        source: whose they are.
        closest: what each found.
        failures: how many found nobody because there was no face to search for; and pictures that could not be read,
            which are no searches and not in ``closest``.
        data_set: a name for people of where they come from.
        data_set_sha256: hexadecimal digest over what was searched for.
    """

    source: CalibrationSource
    closest: Sequence[Closest]
    failures: int
    data_set: str
    data_set_sha256: str

    def searches(self) -> Searches:
        """As columns."""
        return Searches(
            best=np.array([each.similarity for each in self.closest], np.float32),
            subjects=[each.subject_id for each in self.closest],
            nearest=[each.other_id for each in self.closest],
            templates=max((each.templates for each in self.closest), default=0),
            itself=self.source is not CalibrationSource.PROBES,
        )


def nobody(subject_id: str) -> Closest:
    """What a search without a face finds."""
    return Closest(subject_id, "", NOBODY, 0)


def closest(
    index: Index, probes: NDArray[np.float32], subject_ids: Sequence[str], *, mean_of_best: int
) -> list[Closest]:
    """Search for people among the others.

    Args:
        index: the gallery's.
        probes: shape ``(n, dimension)``, of unit length.
        subject_ids: whose each is; these subjects need not be in the gallery.
        mean_of_best: the gallery's.
    """
    found = []
    ranked = index.search(probes, subjects=2, mean_of_best=mean_of_best, thorough=True)
    for subject_id, each in zip(subject_ids, ranked, strict=True):
        others = [candidate for candidate in each.candidates if candidate.subject_id != subject_id]
        if others:
            found.append(Closest(subject_id, others[0].subject_id, others[0].similarity, each.templates_compared))
        else:
            found.append(nobody(subject_id))
    return found


def among_others(
    store: Store,
    index: Index,
    gallery_id: str,
    cohort_id: str,
    *,
    mean_of_best: int,
    check: Callable[[], None],
) -> Evidence:
    """Search for a gallery's own people among the others, and for those of a cohort.

    Of every subject one template is searched for first, then others, up to :data:`MOST_TEMPLATES` of a gallery. Which,
    if not all, is decided by digests of their ids: the same next time. People of the cohort whose subject id is in the
    gallery are left out.

    Args:
        store: where the galleries are.
        index: the gallery's.
        gallery_id: the gallery.
        cohort_id: another gallery of the same contract, of other people; empty for none.
        mean_of_best: the gallery's.
        check: called now and then; what it raises ends the search.
    """
    own, known = _chosen(store, gallery_id, frozenset(), check)
    chosen = [own]
    if cohort_id:
        chosen.append(_chosen(store, cohort_id, known, check)[0])
    found: list[Closest] = []
    digest = hashlib.sha256()
    for templates in chosen:
        for start in range(0, len(templates), _SEARCHED_AT_ONCE):
            check()
            some = templates[start : start + _SEARCHED_AT_ONCE]
            found += closest(index, some.embeddings, some.subject_ids, mean_of_best=mean_of_best)
        digest.update("\n".join([*sorted(templates.template_ids), ""]).encode())
    source = CalibrationSource.ITSELF_AND_COHORT if cohort_id else CalibrationSource.ITSELF
    return Evidence(source, found, failures=0, data_set=cohort_id, data_set_sha256=digest.hexdigest())


def conclude(
    gallery: Gallery,
    evidence: Evidence,
    *,
    target_fpir: float,
    for_templates: int,
    without_suspects: bool,
    at: datetime,
) -> tuple[Calibration, Chosen]:
    """Choose a gallery's threshold; see :func:`gallery.calibration.thresholds.choose`.

    Args:
        gallery: as it was before the searches.
        evidence: the searches. Where a gallery was searched for its own people, suspects do not count.
        target_fpir: above 0, at most :data:`gallery.calibration.thresholds.MOST_PASSED`.
        for_templates: the size that the threshold is for; the gallery's own where it is less.
        without_suspects: suspects do not count.
        at: now.

    Raises:
        TooFewSearches: fewer searches compared anything than such a target takes, or they are of too few people. Where
            many found nobody, a target that they alone nearly meet takes more of the others.
    """
    searches = evidence.searches()
    size = max(for_templates, gallery.template_count, searches.templates)
    compared = [each.subject_id for each in evidence.closest if each.other_id]
    needed = MIN_SEARCHES
    if compared:
        passed = at_size(target_fpir, size, searches.templates) * len(evidence.closest)
        needed = max(searches_needed(target_fpir, searches.templates, size), math.ceil(passed / MOST_PASSED - 1e-6))
    people = len(set(compared))
    if len(compared) < needed or people < MIN_PEOPLE:
        raise TooFewSearches(gallery.gallery_id, len(compared), needed, people=people, people_needed=MIN_PEOPLE)
    without_suspects = without_suspects or searches.itself
    chosen = choose(searches, target=target_fpir, for_templates=size, without_suspects=without_suspects)
    calibration = Calibration(
        target_fpir=target_fpir,
        threshold=chosen.threshold,
        fpir=chosen.fpir,
        fpir_low=chosen.fpir_low,
        fpir_high=chosen.fpir_high,
        model=chosen.model,
        source=evidence.source,
        data_set=evidence.data_set,
        data_set_sha256=evidence.data_set_sha256,
        searches=chosen.searches,
        identities=chosen.identities,
        failures=evidence.failures,
        templates=searches.templates,
        for_templates=size,
        contract=gallery.contract,
        mean_of_best=gallery.mean_of_best,
        create_time=at,
        curve=chosen.curve,
    )
    return calibration, chosen


def _chosen(
    store: Store, gallery_id: str, without: frozenset[str], check: Callable[[], None]
) -> tuple[EmbeddedTemplates, frozenset[str]]:
    """Templates to search for, but for those of some subjects; and all subjects that have templates."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _read(store, gallery_id, without, check)
        except StorageUnavailable:  # the template that a page was to follow may just have been deleted
            check()
    return _read(store, gallery_id, without, check)


def _read(
    store: Store, gallery_id: str, without: frozenset[str], check: Callable[[], None]
) -> tuple[EmbeddedTemplates, frozenset[str]]:
    seen: set[str] = set()
    kept: list[tuple[bool, bytes, str, str, NDArray[np.float32]]] = []
    after = ""
    while page := store.embedded_templates(gallery_id, after=after, limit=_READ_AT_ONCE):
        check()
        for subject_id, template_id, embedding in zip(
            page.subject_ids, page.template_ids, page.embeddings, strict=True
        ):
            if subject_id not in without:
                order = hashlib.blake2b(template_id.encode(), digest_size=8).digest()
                kept.append((subject_id in seen, order, subject_id, template_id, embedding.copy()))
                seen.add(subject_id)
        if len(kept) > 2 * MOST_TEMPLATES:
            kept = sorted(kept, key=lambda each: each[:2])[:MOST_TEMPLATES]
        after = page.template_ids[-1]
    kept = sorted(kept, key=lambda each: each[:2])[:MOST_TEMPLATES]
    embeddings = np.stack([each[4] for each in kept]) if kept else np.empty((0, 0), np.float32)
    chosen = EmbeddedTemplates([each[2] for each in kept], [""] * len(kept), [each[3] for each in kept], embeddings)
    return chosen, frozenset(seen)
