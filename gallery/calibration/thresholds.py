"""The choice of a threshold from nonmated searches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.contamination import Separation, separate
from gallery.calibration.doubts import Best, is_mixed, is_unexplained
from gallery.calibration.extreme_values import ExtremeValueLaw
from gallery.calibration.forecast import Forecast, Searched, make_forecast
from gallery.calibration.impostor_tail import EMPIRICAL, ImpostorTail, fit, pareto_moments, pareto_survival
from gallery.calibration.mates import Mates
from gallery.calibration.own_pictures import NO_OWN_PICTURES, OwnPictures
from gallery.records.calibrations import MAX_CURVE_POINTS, CurvePoint, fpir_at_size

MIN_SEARCHES = 100
MIN_PEOPLE = 50
"""The least number of people the searches must be for: searches for one person have similar results, and say little."""
MAX_TARGET_FPIR = 0.5
"""The highest target, as a share of the searches with a face. A threshold with a higher FPIR distinguishes nobody."""
MIN_EXPECTED_ABOVE = 0.5
"""The least number of searches that must be expected above the threshold; the tail is not extrapolated further."""
NO_SIMILARITY = -1.0
"""The best similarity of a search that compared nothing."""

_MORE_LIKELY = 0.5
_ROUNDS = 1000
_SEED = 0
_DIGITS = 6
_HIGH_SHARES = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6)
"""Shares of the first points of the curve; the others fall from a half by equal factors."""


@dataclass(frozen=True, slots=True)
class NonmatedScores:
    """Nonmated searches, column by column: each leaves out the gallery's templates of its own subject.

    Attributes:
        best: the best similarity of each, shape ``(m,)``, float32; :data:`NO_SIMILARITY` if nothing was compared.
        subject_ids: the subject each was for.
        other_ids: the best other subject of each; empty if nothing was compared.
        templates: the number of templates a search compared.
        is_cross_subject: whether the probes were the gallery's own templates, so that two subjects may be each other's
            best.
        runners_up: similarities of the next best other subjects of each, falling, shape ``(m, k)``;
            :data:`NO_SIMILARITY` if there is none.
        apart: which of the best and of the runners-up were told apart from the subject, so that they are certainly
            other people, shape ``(m, 1 + k)``; empty for none.
    """

    best: NDArray[np.float32]
    subject_ids: Sequence[str]
    other_ids: Sequence[str]
    templates: int
    is_cross_subject: bool
    runners_up: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    apart: NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 0), np.bool_))

    def told_apart(self) -> NDArray[np.bool_]:
        """Return ``apart`` with a row for each search."""
        shape = (len(self.best), 1 + self.runners_up.shape[1])
        return self.apart if self.apart.shape == shape else np.zeros(shape, np.bool_)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A search whose best other subject is more likely the same person than another one.

    Attributes:
        subject_id: the subject of the search.
        other_id: the best other subject.
        similarity: their similarity.
        chance: that the two are one person, [0, 1].
        search: which search it is, counted from 0.
    """

    subject_id: str
    other_id: str
    similarity: float
    chance: float
    search: int


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """A threshold and its FPIR; see :class:`gallery.records.calibrations.Calibration` for the other attributes.

    Attributes:
        searches: the number of searches that were counted.
        identities: the number of people they were for.
        suspects: by falling similarity, one for each pair of subjects.
        forecast: what the threshold will do.
    """

    threshold: float
    fpir: float
    fpir_low: float
    fpir_high: float
    model: str
    curve: tuple[CurvePoint, ...]
    searches: int
    identities: int
    suspects: tuple[Suspect, ...]
    forecast: Forecast


def searches_needed(target_fpir: float, templates: int, for_templates: int) -> int:
    """Return the number of searches that :func:`choose_threshold` needs."""
    here = fpir_at_size(target_fpir, for_templates, templates)
    return max(MIN_SEARCHES, math.ceil(MIN_EXPECTED_ABOVE / here - 1e-6))


def choose_threshold(
    scores: NonmatedScores,
    *,
    target_fpir: float,
    for_templates: int,
    without_suspects: bool,
    own: OwnPictures = NO_OWN_PICTURES,
) -> ThresholdChoice:
    """Choose the threshold with a target FPIR.

    The interval is a bootstrap over people (Efron 1979): all searches for a person are drawn together, and so are two
    people who are each other's best, because their searches are the same pair.

    If the probes are the gallery's own templates, the FPIR is that of the law of nonmated searches, which people who
    are enrolled twice do not distort; see :func:`gallery.calibration.contamination.separate`. Every person counts once.
    Otherwise the labels say who is nonmated: searches are counted, and the tail is fitted to those that are not
    suspects. Suspects count as false positives, unless ``without_suspects`` is set.

    Args:
        scores: at least :func:`searches_needed` searches that compared something.
        target_fpir: the FPIR at ``for_templates`` templates, (0, 1).
        for_templates: the gallery size that the threshold is for, at least 1.
        without_suspects: do not count suspects.
        own: the gallery's own pictures, to forecast how many the threshold misses.
    """
    best, groups = scores.best.astype(np.float64), _bootstrap_groups(scores)
    separation = _separate(scores, groups, own.mates)
    searched = Searched(scores.subject_ids, groups, separation)
    is_suspect = separation.mated > _MORE_LIKELY if separation else np.zeros(len(best), np.bool_)
    if is_suspect.all():  # nothing else is left to estimate from, and the forecast says so
        is_suspect = np.zeros(len(best), np.bool_)
    counted = np.flatnonzero(~is_suspect) if without_suspects else np.arange(len(best))
    here = fpir_at_size(target_fpir, for_templates, scores.templates)
    estimate: ExtremeValueLaw | ImpostorTail
    is_ambiguous = False
    if separation and scores.is_cross_subject:
        estimate = separation.law
        threshold = estimate.threshold(here)
        low, high = separation.interval(threshold)
        found = _best(scores)
        is_ambiguous = is_mixed(found, separation) or is_unexplained(
            found, separation.mates, threshold, estimate.fpir(threshold)
        )
    else:
        best, groups, is_suspect = best[counted], groups[counted], is_suspect[counted]
        estimate = fit(best[~is_suspect], best[is_suspect])
        threshold = estimate.threshold(here)
        low, high = _bootstrap_interval(estimate, best, groups, is_suspect, threshold)
    fpir = estimate.fpir(threshold)
    low, high = min(low, fpir), max(high, fpir)
    return ThresholdChoice(
        threshold=threshold,
        fpir=fpir,
        fpir_low=low,
        fpir_high=high,
        model=estimate.model(threshold),
        curve=_curve(estimate, len(counted)),
        searches=len(counted),
        identities=len({scores.subject_ids[row] for row in counted.tolist()}),
        suspects=_suspects(scores, separation.mated) if separation else (),
        forecast=make_forecast(
            threshold,
            (fpir, low, high),
            own,
            searched,
            is_cross_subject=scores.is_cross_subject,
            is_ambiguous=is_ambiguous,
        ),
    )


def _best(scores: NonmatedScores) -> Best:
    """Return the best of each search; every person counts once."""
    people, counts = np.unique(np.asarray(scores.subject_ids), return_inverse=True, return_counts=True)[1:]
    return Best(scores.best.astype(np.float64), 1 / counts[people], scores.told_apart()[:, 0])


def _separate(scores: NonmatedScores, groups: NDArray[np.intp], mates: Mates) -> Separation | None:
    """Tell which searches found the person under another id; every person counts once.

    Returns:
        As :func:`gallery.calibration.contamination.separate`, with a row for each search.
    """
    rows = np.flatnonzero([bool(other_id) for other_id in scores.other_ids])
    if not len(rows):
        return None
    similarities = [scores.best, *scores.runners_up.T]
    best = np.stack([column[rows] for column in similarities], axis=1).astype(np.float64)
    columns = int(np.cumprod((best > NO_SIMILARITY).all(axis=0)).sum())
    best = best[:, :columns]
    if not columns:
        return None
    people, counts = np.unique(np.asarray(scores.subject_ids)[rows], return_inverse=True, return_counts=True)[1:]
    apart = scores.told_apart()[rows, :columns]
    found = separate(best, 1 / counts[people], groups[rows], mates, apart)
    if found is None:
        return None
    mated = np.zeros(len(scores.best))
    mated[rows] = found.mated
    return replace(found, mated=mated)


def _bootstrap_groups(scores: NonmatedScores) -> NDArray[np.intp]:
    """Number the groups of searches that are drawn together."""
    best_of: dict[str, tuple[float, str]] = {}
    for subject_id, other_id, best in zip(scores.subject_ids, scores.other_ids, scores.best.tolist(), strict=True):
        best_of[subject_id] = max(best_of.get(subject_id, (-2.0, "")), (best, other_id))
    group_of = {}
    for subject_id, (_, other_id) in best_of.items():
        is_pair = scores.is_cross_subject and other_id in best_of and best_of[other_id][1] == subject_id
        group_of[subject_id] = min(subject_id, other_id) if is_pair else subject_id
    numbers = {name: number for number, name in enumerate(sorted(set(group_of.values())))}
    return np.array([numbers[group_of[subject_id]] for subject_id in scores.subject_ids], np.intp)


def _suspects(scores: NonmatedScores, mated: NDArray[np.float64]) -> tuple[Suspect, ...]:
    found: dict[frozenset[str], Suspect] = {}
    rows = np.flatnonzero(mated > _MORE_LIKELY)
    for row in rows[np.argsort(-scores.best[rows], kind="stable")].tolist():
        subject_id, other_id = scores.subject_ids[row], scores.other_ids[row]
        suspect = Suspect(subject_id, other_id, float(scores.best[row]), float(mated[row]), row)
        found.setdefault(frozenset((subject_id, other_id)), suspect)
    return tuple(found.values())


def _bootstrap_interval(
    tail: ImpostorTail,
    best: NDArray[np.float64],
    groups: NDArray[np.intp],
    is_suspect: NDArray[np.bool_],
    threshold: float,
) -> tuple[float, float]:
    """Return the 95 % interval of the FPIR at a threshold."""
    core = np.flatnonzero(~is_suspect)
    core = core[np.argsort(-best[core], kind="stable")]
    excesses = tail.similarities[: round(tail.share * len(core))] - tail.start
    groups_in_tail = groups[core[: len(excesses)]]
    is_empirical = tail.model(threshold) == EMPIRICAL
    counted = groups[best >= threshold] if is_empirical else groups[is_suspect & (best >= threshold)]
    sizes = np.bincount(groups)
    rng = np.random.default_rng(_SEED)
    shares = []
    for _ in range(_ROUNDS):
        drawn = np.bincount(rng.integers(len(sizes), size=len(sizes)), minlength=len(sizes))
        total = float(drawn @ sizes)
        above = float(drawn[counted].sum())
        if not is_empirical:
            weights = drawn[groups_in_tail].astype(np.float64)
            shape, scale = pareto_moments(excesses, weights)
            above += float(weights.sum()) * pareto_survival(threshold - tail.start, shape, scale)
        shares.append(above / total)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def _curve(estimate: ExtremeValueLaw | ImpostorTail, searches: int) -> tuple[CurvePoint, ...]:
    lowest = MIN_EXPECTED_ABOVE / searches
    low_shares = np.geomspace(0.5, min(0.5, lowest), MAX_CURVE_POINTS - len(_HIGH_SHARES))
    points: list[CurvePoint] = []
    for wanted in (*_HIGH_SHARES, *low_shares.tolist()):
        similarity = estimate.threshold(wanted)
        point = _stored(similarity), _stored(max(estimate.fpir(similarity), lowest))
        if not points or (point[0] > points[-1][0] and point[1] < points[-1][1]):
            points.append(point)
    return tuple(points)


def _stored(value: float) -> float:
    """Round to the digits that are stored."""
    return float(f"{value:.{_DIGITS}g}")
