"""Three experiments on calibrated thresholds: people held out, a gallery that grows, a known distribution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.templates import SEED, Faces
from facet.evaluation.intervals import wilson
from facet.runtime.cores import usable_cores
from gallery.calibration.nonmated_searches import Evidence, NonmatedSearch, search_nonmated
from gallery.calibration.thresholds import NonmatedScores, ThresholdChoice, choose_threshold, searches_needed
from gallery.index.memory_index import MemoryIndex
from gallery.records.calibrations import CalibrationSource
from gallery.records.templates import EmbeddedTemplates
from gallery.search_pool import SearchPool

Vectors: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.intp]

TARGETS = (0.1, 0.03, 0.01, 0.003)
"""Target FPIRs of the first experiment."""

_PART_SHARES, _GROWN_TARGETS = (0.2, 0.5), (0.1, 0.01)

_KNOWN_TEMPLATES, _KNOWN_DEVIATION = 1871, 0.07
"""The known distribution is the best of this many normal similarities with mean 0 and this standard deviation."""
_KNOWN_SEARCHES, _KNOWN_TARGETS = (200, 1000, 5000), (0.1, 0.01, 0.003)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Thresholds chosen on one half of the searches, and the FPIR measured by the other half.

    Attributes:
        method: what the thresholds were chosen from.
        target: target FPIR.
        splits: number of random splits whose first half has enough searches for the target.
        threshold: median of the chosen thresholds.
        measured: mean of the measured FPIR.
        target_in_measured: number of splits in which the target lies in the 95 % interval (Wilson) of the measured
            FPIR.
        measured_in_promised: number of splits in which the measured FPIR lies in the interval that the calibration
            reported.
        missed: share of mated probes that do not find their subject in the whole gallery at the median threshold
            (FNIR).
    """

    method: str
    target: float
    splits: int
    threshold: float
    measured: float
    target_in_measured: int
    measured_in_promised: int
    missed: float


@dataclass(frozen=True, slots=True)
class Grown:
    """Thresholds chosen in parts of the gallery for the size of the whole, and the FPIR of the whole.

    Attributes:
        templates: size of each part, drawn at random.
        target: target FPIR of the whole gallery.
        parts: number of parts.
        measured: mean FPIR of the whole gallery, without suspects.
    """

    templates: int
    target: float
    parts: int
    measured: float


@dataclass(frozen=True, slots=True)
class Known:
    """Thresholds chosen from sets of searches drawn from a known distribution, and their true FPIR.

    Attributes:
        searches: number of searches in each set.
        target: target FPIR.
        sets: number of sets.
        median: of the true FPIR.
        quarter: first quartile of the true FPIR.
        three_quarters: third quartile of the true FPIR.
        truth_in_promised: number of sets in which the true FPIR lies in the interval that the calibration reported.
    """

    searches: int
    target: float
    sets: int
    median: float
    quarter: float
    three_quarters: float
    truth_in_promised: int


@dataclass(frozen=True, slots=True)
class _Method:
    """A way to choose a threshold.

    Attributes:
        name: of the method.
        searches: nonmated searches to split; one half of them measures.
        without_suspects: whether the choice leaves out suspects.
        itself: searches of the gallery's own templates, from which every split chooses; empty if the other half of
            ``searches`` chooses.
    """

    name: str
    searches: Sequence[NonmatedSearch]
    without_suspects: bool
    itself: Sequence[NonmatedSearch] = ()

    def choose(self, rows: Rows, target: float) -> ThresholdChoice | None:
        """Choose a threshold from some of the searches; ``None`` if these are too few for the target."""
        scores = _scores(self.itself, is_cross_subject=True) if self.itself else _scores(_take(self.searches, rows))
        if len(scores.best) < searches_needed(target, scores.templates, scores.templates):
            return None
        return choose_threshold(
            scores,
            target_fpir=target,
            for_templates=scores.templates,
            without_suspects=self.without_suspects,
        )


def hold_out(faces: Faces, splits: int) -> list[HeldOut]:
    """Choose thresholds on random halves of the nonmated probes, and measure them on the other halves.

    Args:
        faces: gallery and probes.
        splits: number of random splits.

    Returns:
        One result for each method and each target of :data:`TARGETS` that enough searches allow.
    """
    mated = _mated_scores(faces)
    results = (_measure_held_out(method, target, splits, mated) for method in _methods(faces) for target in TARGETS)
    return [each for each in results if each is not None]


def grow(faces: Faces, parts: int) -> list[Grown]:
    """Calibrate random parts of the gallery for the size of the whole, and measure the FPIR of the whole.

    Args:
        faces: gallery and nonmated probes.
        parts: number of random parts of each size, a fifth and a half.

    Returns:
        One result for each size and target that enough searches allow.
    """
    templates, rng = faces.templates, np.random.default_rng(SEED)
    names, strangers = _names(faces)
    whole = _scores(_without_suspects(_search(_index(templates, names), faces.nonmated, strangers)))
    results = []
    for share in _PART_SHARES:
        size = round(share * len(templates))
        measured: dict[float, list[float]] = {target: [] for target in _GROWN_TARGETS}
        for _ in range(parts):
            rows = np.sort(rng.permutation(len(templates))[:size])
            part = _index(templates[rows], [names[row] for row in rows])
            searches = _scores(_search(part, faces.nonmated, strangers))
            for target, fpirs in measured.items():
                if len(searches.best) >= searches_needed(target, size, len(templates)):
                    choice = choose_threshold(
                        searches, target_fpir=target, for_templates=len(templates), without_suspects=True
                    )
                    fpirs.append(float((whole.best >= choice.threshold).mean()))
        results += [
            Grown(size, target, len(fpirs), round(float(np.mean(fpirs)), 5))
            for target, fpirs in measured.items()
            if fpirs
        ]
    return results


def draw_known(draws: int) -> Iterator[Known]:
    """Choose thresholds from searches drawn from a known distribution, and compute their true FPIR.

    Args:
        draws: number of sets of each size.

    Yields:
        A result for each size of the sets and each target that this size allows.
    """
    for searches in _KNOWN_SEARCHES:
        for target in _KNOWN_TARGETS:
            if draws and searches >= searches_needed(target, _KNOWN_TEMPLATES, _KNOWN_TEMPLATES):
                yield _measure_known(searches, target, draws)


def _methods(faces: Faces) -> list[_Method]:
    templates = faces.templates
    names, strangers = _names(faces)
    index = _index(templates, names)
    probes = _search(index, faces.nonmated, strangers)
    itself = _search(index, templates, names)
    half, cohort = _halves(len(templates))
    half_index, half_names = _index(templates[half], [names[row] for row in half]), [names[row] for row in half]
    half_probes = _search(half_index, faces.nonmated, strangers)
    half_itself = _search(half_index, templates[half], half_names)
    half_cohort = _search(half_index, templates[cohort], [names[row] for row in cohort])
    return [
        _Method("probes", probes, without_suspects=False),
        _Method("probes, without suspects", _without_suspects(probes), without_suspects=True),
        _Method("itself", probes, without_suspects=True, itself=itself),
        _Method("itself and a cohort", half_probes, without_suspects=True, itself=[*half_itself, *half_cohort]),
    ]


def _measure_held_out(method: _Method, target: float, splits: int, mated: NDArray[np.float32]) -> HeldOut | None:
    rng = np.random.default_rng(SEED)
    best = _scores(method.searches).best
    outcomes: list[tuple[ThresholdChoice, float, tuple[float, float]]] = []
    choice: ThresholdChoice | None = None
    for _ in range(splits):
        order = rng.permutation(len(best))
        chosen_on, measured_on = np.sort(order[::2]), order[1::2]
        if choice is None or not method.itself:
            choice = method.choose(chosen_on, target)
        if choice is None:
            return None
        above = int((best[measured_on] >= choice.threshold).sum())
        outcomes.append((choice, above / len(measured_on), wilson(above, len(measured_on))))
    threshold = float(np.median([choice.threshold for choice, _, _ in outcomes]))
    return HeldOut(
        method.name,
        target,
        len(outcomes),
        threshold=round(threshold, 4),
        measured=round(float(np.mean([fpir for _, fpir, _ in outcomes])), 5),
        target_in_measured=sum(low <= target <= high for _, _, (low, high) in outcomes),
        measured_in_promised=sum(choice.fpir_low <= fpir <= choice.fpir_high for choice, fpir, _ in outcomes),
        missed=round(float((mated < threshold).mean()), 4),
    )


def _measure_known(searches: int, target: float, draws: int) -> Known:
    rng = np.random.default_rng(SEED)
    names = [str(number) for number in range(searches)]
    normal = NormalDist(0, _KNOWN_DEVIATION)
    fpirs: list[float] = []
    in_promised = 0
    for _ in range(draws):
        best = [normal.inv_cdf(share) for share in rng.random(searches) ** (1 / _KNOWN_TEMPLATES)]
        drawn = NonmatedScores(np.array(best, np.float32), names, names, _KNOWN_TEMPLATES, is_cross_subject=False)
        choice = choose_threshold(drawn, target_fpir=target, for_templates=_KNOWN_TEMPLATES, without_suspects=False)
        fpir = 1 - normal.cdf(choice.threshold) ** _KNOWN_TEMPLATES
        fpirs.append(fpir)
        in_promised += choice.fpir_low <= fpir <= choice.fpir_high
    quarter, median, three_quarters = np.quantile(fpirs, [0.25, 0.5, 0.75]).round(5).tolist()
    return Known(searches, target, draws, median, quarter, three_quarters, in_promised)


def _mated_scores(faces: Faces) -> NDArray[np.float32]:
    """Similarity of each mated probe to its mate, -inf if another subject is more similar."""
    similarities = faces.mated @ faces.templates.T
    mates = similarities[np.arange(len(faces.mates)), faces.mates]
    return np.where(mates >= similarities.max(axis=1), mates, -np.inf)


def _names(faces: Faces) -> tuple[list[str], list[str]]:
    """Ids for the subjects of the templates and of the nonmated probes."""
    subjects = [f"subject {number}" for number in range(len(faces.templates))]
    return subjects, [f"stranger {number}" for number in range(len(faces.nonmated))]


def _halves(count: int) -> tuple[Rows, Rows]:
    order = np.random.default_rng(SEED).permutation(count)
    return np.sort(order[::2]), np.sort(order[1::2])


def _index(templates: Vectors, names: Sequence[str]) -> MemoryIndex:
    index = MemoryIndex(templates.shape[1], SearchPool(usable_cores()))
    index.add(EmbeddedTemplates(names, names, [f"{number}" for number in range(len(names))], templates))
    return index


def _search(index: MemoryIndex, probes: Vectors, names: Sequence[str]) -> list[NonmatedSearch]:
    return search_nonmated(index, probes, names, mean_of_best=1)


def _scores(searches: Sequence[NonmatedSearch], *, is_cross_subject: bool = False) -> NonmatedScores:
    source = CalibrationSource.ITSELF if is_cross_subject else CalibrationSource.PROBES
    return Evidence(source, searches, 0, "", "").scores()


def _take(searches: Sequence[NonmatedSearch], rows: Rows) -> list[NonmatedSearch]:
    return [searches[row] for row in rows.tolist()]


def _without_suspects(searches: Sequence[NonmatedSearch]) -> list[NonmatedSearch]:
    """Leave out searches that are suspects among all, so that the rest measures an FPIR of strangers only."""
    scores = _scores(searches)
    choice = choose_threshold(scores, target_fpir=0.1, for_templates=scores.templates, without_suspects=True)
    suspects = {each.subject_id for each in choice.suspects}
    return [each for each in searches if each.subject_id not in suspects]
