"""From searches for unknown people to a threshold, and what a similarity means in a calibrated gallery."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.calibration import impostor_tail as tail
from gallery.calibration.impostor_tail import Tail
from gallery.records.calibrations import (
    MAX_CURVE_POINTS,
    Calibration,
    CalibrationState,
    CurvePoint,
    StaleReason,
    Standing,
)

MIN_SEARCHES = 100
MIN_PEOPLE = 50
"""Of how many people the searches must be: pictures of one person come as close as each other, and so tell little."""
MOST_PASSED = 0.5
"""The share of the searches with a face that a target may let pass; a threshold that more reach tells nobody apart."""
MIN_EXCEEDING = 0.5
"""How many of the searches must be expected above the threshold: the tail is followed so far beyond the data, and no
further."""
OUTGROWN = 1.1
"""A gallery may have so many times the templates that it was calibrated for."""
NOBODY = -1.0
"""The best similarity of a search that nothing was compared in."""

_ROUNDS = 1000
_SEED = 0
_DIGITS = 6
_OFTEN = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6)
"""Shares of the curve's first points; the others fall from a half by equal factors."""


OF_OTHER_SIMILARITIES = frozenset({StaleReason.CONTRACT_CHANGED, StaleReason.MEAN_OF_BEST_CHANGED})
"""Reasons for which the curve says nothing of similarities as they are now."""


@dataclass(frozen=True, slots=True)
class Searches:
    """Searches for people who are not there: each is without what the gallery has of its own subject.

    Attributes:
        best: the best similarity of each, shape ``(m,)``, float32; :data:`NOBODY` where nothing was compared.
        subjects: whom each was for.
        nearest: the best subject of each; empty where nothing was compared.
        templates: how many templates a search compared.
        itself: whether the gallery's own templates were searched for, so that two subjects may be each other's best.
    """

    best: NDArray[np.float32]
    subjects: Sequence[str]
    nearest: Sequence[str]
    templates: int
    itself: bool


@dataclass(frozen=True, slots=True)
class Suspect:
    """A search that came closer than a stranger is likely to: the two may be one person.

    Attributes:
        subject_id: whom the search was for.
        other_id: the best subject.
        similarity: their similarity.
    """

    subject_id: str
    other_id: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold and what it does; see :class:`gallery.records.calibrations.Calibration` for the attributes.

    Attributes:
        searches: how many were counted.
        identities: of how many people.
        suspects: by falling similarity, one of every two subjects.
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


def at_size(share: float, templates: int, wanted: int) -> float:
    """The share of searches that reach a similarity, in a gallery of another size.

    Every template is taken to be another chance of its own to be reached, which overstates the growth where people
    have several templates each.

    Args:
        share: at ``templates`` templates, [0, 1].
        templates: at least 1.
        wanted: the other size.
    """
    return 1.0 if share >= 1 else -math.expm1(wanted / templates * math.log1p(-share))


def searches_needed(target: float, templates: int, for_templates: int) -> int:
    """How many searches it takes to choose a threshold; see :func:`choose`."""
    here = at_size(target, for_templates, templates)
    return max(MIN_SEARCHES, math.ceil(MIN_EXCEEDING / here - 1e-6))


def choose(searches: Searches, *, target: float, for_templates: int, without_suspects: bool) -> Chosen:
    """Choose the threshold that a share of unknown people reaches.

    The interval is where the share at the chosen threshold may well lie: the tail is estimated again from people drawn
    with replacement (Efron 1979). All searches of a person are drawn together, and so are two people of whom each is
    the other's best, whose searches are one and the same pair.

    Suspects do not shape the tail. They count as they are where the searches are of a labelled set, whose word is taken
    for it that these are other people; ``without_suspects`` they do not count.

    Args:
        searches: at least as many that compared something as :func:`searches_needed` says.
        target: the share at ``for_templates`` templates, (0, 1).
        for_templates: the size that the threshold is for, at least 1.
        without_suspects: leave suspects out of the count.
    """
    best, groups = searches.best.astype(np.float64), _groups(searches)
    is_suspect = best > tail.implausible(best, alike=2 if searches.itself else 1)
    suspects = _suspects(searches, is_suspect)
    counted = np.flatnonzero(~is_suspect) if without_suspects else np.arange(len(best))
    best, groups, is_suspect = best[counted], groups[counted], is_suspect[counted]
    fitted = tail.fit(best[~is_suspect], best[is_suspect])
    threshold = fitted.threshold(at_size(target, for_templates, searches.templates))
    fpir = fitted.reached(threshold)
    low, high = _interval(fitted, best, groups, is_suspect, threshold)
    return Chosen(
        threshold=threshold,
        fpir=fpir,
        fpir_low=min(low, fpir),
        fpir_high=max(high, fpir),
        model=fitted.model(threshold),
        curve=_curve(fitted),
        searches=len(best),
        identities=len({searches.subjects[row] for row in counted.tolist()}),
        suspects=suspects,
    )


def standing(
    calibration: Calibration | None, *, contract: str, threshold: float, mean_of_best: int, templates: int
) -> Standing:
    """How a calibration stands, given the server's contract and the gallery as it is now."""
    if calibration is None:
        return _NOT_CALIBRATED
    reasons = []
    if templates > OUTGROWN * calibration.for_templates:
        reasons.append(StaleReason.OUTGROWN)
    if contract != calibration.contract:
        reasons.append(StaleReason.CONTRACT_CHANGED)
    if threshold != calibration.threshold:
        reasons.append(StaleReason.THRESHOLD_CHANGED)
    if mean_of_best != calibration.mean_of_best:
        reasons.append(StaleReason.MEAN_OF_BEST_CHANGED)
    return Standing(CalibrationState.STALE, tuple(reasons)) if reasons else _CURRENT


def false_positive_rate(calibration: Calibration, similarity: float, templates: int) -> float:
    """The chance that the best similarity of an unknown person reaches this, in a gallery of so many templates.

    Between the points of the curve the logarithm of the share is interpolated. It is never less than the last point's,
    beyond which the searches say nothing.
    """
    curve = calibration.curve
    above = bisect_right(curve, (similarity, math.inf))
    if above == 0:
        share = 1.0
    elif above == len(curve) or curve[above - 1][0] == similarity:
        share = curve[above - 1][1]
    else:
        (left, more), (right, less) = curve[above - 1], curve[above]
        share = more * (less / more) ** ((similarity - left) / (right - left))
    return at_size(share, calibration.templates, templates)


_NOT_CALIBRATED = Standing(CalibrationState.NOT_CALIBRATED)
_CURRENT = Standing(CalibrationState.CURRENT)


def _groups(searches: Searches) -> NDArray[np.intp]:
    """What is drawn together, by number."""
    best_of: dict[str, tuple[float, str]] = {}
    for subject, nearest, best in zip(searches.subjects, searches.nearest, searches.best.tolist(), strict=True):
        best_of[subject] = max(best_of.get(subject, (-2.0, "")), (best, nearest))
    together = {}
    for subject, (_, nearest) in best_of.items():
        is_pair = searches.itself and nearest in best_of and best_of[nearest][1] == subject
        together[subject] = min(subject, nearest) if is_pair else subject
    numbers = {name: number for number, name in enumerate(sorted(set(together.values())))}
    return np.array([numbers[together[subject]] for subject in searches.subjects], np.intp)


def _suspects(searches: Searches, is_suspect: NDArray[np.bool_]) -> tuple[Suspect, ...]:
    found: dict[frozenset[str], Suspect] = {}
    rows = np.flatnonzero(is_suspect)
    for row in rows[np.argsort(-searches.best[rows], kind="stable")].tolist():
        subject, other = searches.subjects[row], searches.nearest[row]
        found.setdefault(frozenset((subject, other)), Suspect(subject, other, float(searches.best[row])))
    return tuple(found.values())


def _interval(
    fitted: Tail,
    best: NDArray[np.float64],
    groups: NDArray[np.intp],
    is_suspect: NDArray[np.bool_],
    threshold: float,
) -> tuple[float, float]:
    core = np.flatnonzero(~is_suspect)
    core = core[np.argsort(-best[core], kind="stable")]
    excesses = fitted.searched[: round(fitted.share * len(core))] - fitted.start
    in_tail = groups[core[: len(excesses)]]
    if fitted.model(threshold) == tail.EMPIRICAL:
        counted = groups[best >= threshold]
    else:
        counted = groups[is_suspect & (best >= threshold)]
    sizes = np.bincount(groups)
    rng = np.random.default_rng(_SEED)
    shares = []
    for _ in range(_ROUNDS):
        drawn = np.bincount(rng.integers(len(sizes), size=len(sizes)), minlength=len(sizes))
        total = float(drawn @ sizes)
        reached = float(drawn[counted].sum())
        if fitted.model(threshold) != tail.EMPIRICAL:
            weights = drawn[in_tail].astype(np.float64)
            shape, scale = tail.moments(excesses, weights)
            reached += float(weights.sum()) * tail.pareto(threshold - fitted.start, shape, scale)
        shares.append(reached / total)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def _short(value: float) -> float:
    """As many digits as are kept."""
    return float(f"{value:.{_DIGITS}g}")


def _curve(fitted: Tail) -> tuple[CurvePoint, ...]:
    total = len(fitted.searched) + len(fitted.set_apart)
    rare = np.geomspace(0.5, min(0.5, MIN_EXCEEDING / total), MAX_CURVE_POINTS - len(_OFTEN))
    points: list[CurvePoint] = []
    for wanted in (*_OFTEN, *rare.tolist()):
        similarity = fitted.threshold(wanted)
        point = _short(similarity), _short(max(fitted.reached(similarity), MIN_EXCEEDING / total))
        if not points or (point[0] > points[-1][0] and point[1] < points[-1][1]):
            points.append(point)
    return tuple(points)
