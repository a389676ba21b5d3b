"""Galleries with people under two ids, calibrated against themselves and measured by strangers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.templates import SEED, People
from facet.evaluation.intervals import wilson
from facet.runtime.cores import usable_cores
from gallery.calibration.nonmated_searches import Evidence, search_among_templates, typical_limit
from gallery.calibration.thresholds import ThresholdChoice, choose_threshold
from gallery.index.memory_index import MemoryIndex
from gallery.records.calibrations import CalibrationSource
from gallery.records.templates import EmbeddedTemplates
from gallery.search_pool import SearchPool

TARGETS = (0.1, 0.01)
"""Target FPIRs."""
SIZES = ((100, 1), (300, 1), (900, 1), (300, 5))
"""Galleries: the number of people, and the most templates of each."""
CLEAN = "clean"
KINDS: Mapping[str, float] = {
    CLEAN: 0.0,
    "5 % enrolled twice": 0.05,
    "10 % enrolled twice": 0.1,
    "20 % enrolled twice": 0.2,
    "a person under another id": 0.0,
    "half a person under another id": 0.0,
    "ten people under one id": 0.0,
}
"""What is wrong with a gallery, and the share of its people that are enrolled under a second id."""
MOST_LOST = 0.02
"""A loss of more FNIR than this, compared with the threshold of the clean gallery, is a silent loss unless refused."""

_MISFILED_PICTURES = 76
_PEOPLE_UNDER_ONE_ID, _THEIR_PICTURES = 10, 5

Rows = list[int]


@dataclass(frozen=True, slots=True)
class Contaminated:
    """Thresholds of galleries with one kind of contamination.

    Attributes:
        people: number of people in each gallery.
        templates: the most templates of each person.
        kind: what is wrong with the galleries.
        target: target FPIR.
        draws: number of galleries, each of other people.
        refused: how many calibrations were refused as unreliable.
        within: how many of the others have an FPIR within a factor of 2 of the target: the 95 % interval
            (Wilson) of the FPIR that strangers measure reaches from half to twice the target.
        measured_within: how many measured an FPIR within a factor of 2 itself.
        silent_losses: how many of the others lose more than :data:`MOST_LOST` of FNIR.
        largest_loss: the largest loss of FNIR among those that were not refused; negative for a gain. It is measured
            with everybody who has several pictures.
        threshold: median threshold of those that were not refused; ``None`` for none, like the following ones.
        fpir: mean FPIR that strangers measured.
        strangers: median number of strangers.
        contaminated: mean share of subjects that are contaminated.
        estimated: mean estimate of that share.
    """

    people: int
    templates: int
    kind: str
    target: float
    draws: int
    refused: int
    within: int
    measured_within: int
    silent_losses: int
    largest_loss: float | None
    threshold: float | None
    fpir: float | None
    strangers: int
    contaminated: float
    estimated: float


@dataclass(frozen=True, slots=True)
class Summary:
    """All calibrations together.

    Attributes:
        draws: number of calibrations.
        refused: how many were refused as unreliable.
        clean_draws: number of calibrations of clean galleries.
        clean_refused: how many of these were refused.
        within_factor_2: share of those that were not refused that have an FPIR within a factor of 2 of the target; see
            :attr:`Contaminated.within`. 1 if all were refused.
        measured_within_factor_2: share that measured such an FPIR.
        silent_losses: how many lose more than :data:`MOST_LOST` of FNIR.
    """

    draws: int
    refused: int
    clean_draws: int
    clean_refused: int
    within_factor_2: float
    measured_within_factor_2: float
    silent_losses: int


@dataclass(frozen=True, slots=True)
class _Gallery:
    """Which pictures are enrolled under which id.

    Attributes:
        enrolled: the pictures of each id.
        contaminated: ids that share a person with another one, or have several people.
    """

    enrolled: Mapping[str, Rows]
    contaminated: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Draw:
    """People drawn at random.

    Attributes:
        clean: their gallery.
        spare: further pictures of those who have some: the first one may be enrolled elsewhere.
        strangers: a picture of every person who is not drawn.
        big: the person with the most pictures.
    """

    clean: Mapping[str, Rows]
    spare: Mapping[str, Rows]
    strangers: Rows
    big: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    refused: bool
    threshold: float
    above: int
    loss: float
    contaminated: float
    estimated: float


def contaminated_galleries(
    people: People, draws: int, sizes: Sequence[tuple[int, int]] = SIZES
) -> Iterator[Contaminated]:
    """Contaminate galleries of random people, calibrate them against themselves, and measure the thresholds.

    Args:
        people: pictures of more people than the largest gallery has.
        draws: number of galleries of each size.
        sizes: see :data:`SIZES`; those with more than two thirds of the people are left out.

    Yields:
        A result for each size, kind and target.
    """
    rows: dict[str, Rows] = {}
    for row, subject in enumerate(people.subjects):
        rows.setdefault(subject, []).append(row)
    for size, most in sizes:
        if 3 * size > 2 * len(rows):
            continue
        rng = np.random.default_rng([SEED, size, most])
        mates = _mated(people, rows, most)
        outcomes: dict[tuple[str, float], list[_Outcome]] = {}
        strangers = []
        for _ in range(draws):
            draw = _draw(rows, size, most, rng)
            strangers.append(len(draw.strangers))
            for key, outcome in _measure(people, draw, size, mates, rng):
                outcomes.setdefault(key, []).append(outcome)
        for (kind, target), found in outcomes.items():
            yield _summary(size, most, kind, target, found, int(np.median(strangers)))


def summary(found: Sequence[Contaminated]) -> Summary:
    """Add up results."""
    draws, refused = sum(each.draws for each in found), sum(each.refused for each in found)
    clean = [each for each in found if each.kind == CLEAN]
    kept = draws - refused
    return Summary(
        draws=draws,
        refused=refused,
        clean_draws=sum(each.draws for each in clean),
        clean_refused=sum(each.refused for each in clean),
        within_factor_2=round(sum(each.within for each in found) / kept, 4) if kept else 1.0,
        measured_within_factor_2=round(sum(each.measured_within for each in found) / kept, 4) if kept else 1.0,
        silent_losses=sum(each.silent_losses for each in found),
    )


def _draw(rows: Mapping[str, Rows], size: int, most: int, rng: np.random.Generator) -> _Draw:
    """Draw people, among them enough with several pictures, and divide their pictures."""
    big = max(rows, key=lambda name: len(rows[name]))
    names = [name for name in rng.permutation(sorted(rows)).tolist() if name != big]
    with_spare = [name for name in names if len(rows[name]) > 1]
    needed = max(round(max(KINDS.values()) * size), _PEOPLE_UNDER_ONE_ID)
    first = with_spare[:needed]
    chosen = [*first, *[name for name in names if name not in set(first)]][: size - 1]
    mixed = {name: rng.permutation(rows[name]).tolist() for name in [big, *chosen]}
    enrolled = {name: max(1, min(most, len(mixed[name]) - 2)) for name in mixed}
    return _Draw(
        clean={name: mixed[name][: enrolled[name]] for name in mixed},
        spare={name: mixed[name][enrolled[name] :] for name in mixed},
        strangers=[int(rng.choice(rows[name])) for name in names if name not in mixed],
        big=big,
    )


def _contaminated(draw: _Draw, kind: str, size: int, rng: np.random.Generator) -> _Gallery:
    enrolled: dict[str, Rows] = {name: list(own) for name, own in draw.clean.items()}
    with_spare = [name for name in rng.permutation(sorted(enrolled)).tolist() if draw.spare[name]]
    other = next(name for name in reversed(with_spare) if name != draw.big)
    twice = with_spare[: round(KINDS[kind] * size)]
    if twice:
        enrolled |= {f"{name} again": draw.spare[name][:1] for name in twice}
        return _Gallery(enrolled, frozenset([*twice, *(f"{name} again" for name in twice)]))
    if "person" in kind:
        pictures = [*draw.clean[draw.big], *draw.spare[draw.big][:_MISFILED_PICTURES]]
        kept = len(pictures) // 2 if kind.startswith("half") else 1
        enrolled[draw.big] = pictures[:kept]
        enrolled[other] = [*draw.clean[other], *pictures[kept:]]
        return _Gallery(enrolled, frozenset([draw.big, other]))
    if "one id" in kind:
        several = with_spare[:_PEOPLE_UNDER_ONE_ID]
        enrolled["visitors"] = [row for name in several for row in draw.spare[name][:_THEIR_PICTURES]]
        return _Gallery(enrolled, frozenset([*several, "visitors"]))
    return _Gallery(enrolled, frozenset())


def _measure(
    people: People, draw: _Draw, size: int, mates: NDArray[np.float32], rng: np.random.Generator
) -> Iterator[tuple[tuple[str, float], _Outcome]]:
    """Calibrate one drawn gallery with each kind of contamination."""
    clean: dict[float, float] = {}
    for kind in KINDS:
        gallery = _contaminated(draw, kind, size, rng)
        templates = _templates(people, gallery)
        evidence = _evidence(templates)
        strangers = (people.probes[draw.strangers] @ templates.embeddings.T).max(axis=1)
        for target in TARGETS:
            choice = _choose(evidence, target, len(templates))
            missed = float((mates < choice.threshold).mean())
            clean.setdefault(target, missed)
            yield (
                (kind, target),
                _Outcome(
                    refused=bool(choice.forecast.unreliable),
                    threshold=choice.threshold,
                    above=int((strangers >= choice.threshold).sum()),
                    loss=missed - clean[target],
                    contaminated=len(gallery.contaminated) / len(gallery.enrolled),
                    estimated=choice.forecast.contamination,
                ),
            )


def _mated(people: People, rows: Mapping[str, Rows], most: int) -> NDArray[np.float32]:
    """Similarity of the last picture of everybody who has several to the others, at most so many."""
    pairs = [(own[: min(most, len(own) - 1)], own[-1]) for own in rows.values() if len(own) > 1]
    best = [(people.templates[own] @ people.probes[last]).max() for own, last in pairs]
    return np.array(best, np.float32)


def _templates(people: People, gallery: _Gallery) -> EmbeddedTemplates:
    names = [name for name, own in gallery.enrolled.items() for _ in own]
    rows = [row for own in gallery.enrolled.values() for row in own]
    return EmbeddedTemplates(names, names, [f"{number}" for number in range(len(rows))], people.templates[rows])


def _evidence(templates: EmbeddedTemplates) -> Evidence:
    """Search as a calibration of the gallery against itself does."""
    index = MemoryIndex(templates.embeddings.shape[1], SearchPool(usable_cores()))
    index.add(templates)
    several = {name for name, count in Counter(templates.subject_ids).items() if count > 1}
    searches, own = search_among_templates(index, templates, several, mean_of_best=1)
    return Evidence(CalibrationSource.ITSELF, searches, 0, "", "", own, typical_limit(templates))


def _choose(evidence: Evidence, target: float, templates: int) -> ThresholdChoice:
    return choose_threshold(
        evidence.scores(),
        target_fpir=target,
        for_templates=templates,
        without_suspects=True,
        own=evidence.own_pictures(),
    )


def _summary(
    size: int, most: int, kind: str, target: float, outcomes: Sequence[_Outcome], strangers: int
) -> Contaminated:
    kept = [each for each in outcomes if not each.refused]
    intervals = [wilson(each.above, strangers) for each in kept]
    return Contaminated(
        people=size,
        templates=most,
        kind=kind,
        target=target,
        draws=len(outcomes),
        refused=len(outcomes) - len(kept),
        within=sum(low <= 2 * target and high >= target / 2 for low, high in intervals),
        measured_within=sum(target / 2 <= each.above / strangers <= 2 * target for each in kept),
        silent_losses=sum(each.loss > MOST_LOST for each in kept),
        largest_loss=round(max(each.loss for each in kept), 4) if kept else None,
        threshold=round(float(np.median([each.threshold for each in kept])), 4) if kept else None,
        fpir=_mean(each.above / strangers for each in kept),
        strangers=strangers,
        contaminated=_mean(each.contaminated for each in outcomes) or 0.0,
        estimated=_mean(each.estimated for each in outcomes) or 0.0,
    )


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(float(np.mean(found)), 5) if found else None
