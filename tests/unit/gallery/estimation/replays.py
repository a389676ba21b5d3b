"""Streams of faces whose labels are known, drawn from distributions, and a calibration that fits them."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gallery.observations.records import Counts
from gallery.observations.tally import FaceMeasures, Tally
from gallery.records.calibrations import Calibration
from gallery.records.identifications import Decision
from tests.unit.gallery.samples import CALIBRATION

TEMPLATES = 400
THRESHOLD = 0.33
_OTHERS = NormalDist(0.05, 0.075)
"""Similarities of two people."""
_SHARES = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, *np.geomspace(0.5, 0.002, 20).tolist())

Floats = NDArray[np.float64]


def fpir_at(threshold: float) -> float:
    """The FPIR by the distribution."""
    return float(1 - _OTHERS.cdf(threshold) ** TEMPLATES)


def calibration() -> Calibration:
    """The calibration of a gallery of :data:`TEMPLATES` templates."""
    fpir = fpir_at(THRESHOLD)
    return replace(
        CALIBRATION,
        threshold=THRESHOLD,
        fpir=fpir,
        fpir_low=fpir / 2,
        fpir_high=fpir * 2,
        templates=TEMPLATES,
        for_templates=TEMPLATES,
        curve=tuple((_OTHERS.inv_cdf((1 - share) ** (1 / TEMPLATES)), share) for share in _SHARES),
    )


def best_two_strangers(count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The best two of :data:`TEMPLATES` similarities to other people, of each search."""
    best = rng.random(count) ** (1 / TEMPLATES)
    runner_up = best * rng.random(count) ** (1 / (TEMPLATES - 1))
    return _at(best), _at(runner_up)


def searches(
    strangers: int, mates: int, rng: np.random.Generator, *, shift: float = 0.0
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Best and second similarity of searches, and whether each returned its own subject.

    Args:
        strangers: the number of searches for strangers.
        mates: the number of the others.
        rng: a generator.
        shift: of all similarities.
    """
    best, runner_up = best_two_strangers(strangers, rng)
    others, second = best_two_strangers(mates, rng)
    own = np.where(rng.random(mates) < 0.1, rng.normal(0.45, 0.1, mates), rng.normal(0.64, 0.09, mates))
    all_best = np.concatenate((best, np.maximum(own, others))) + shift
    all_second = np.concatenate((runner_up, np.where(own > others, others, np.maximum(own, second)))) + shift
    found = np.concatenate((np.zeros(strangers, bool), (own > others) & (own + shift >= THRESHOLD)))
    return all_best, all_second, found


def counted(best: Floats, runner_up: Floats | None, measures: FaceMeasures) -> Counts:
    """Count searches, all of faces alike."""
    tally = Tally()
    for place, similarity in enumerate(best.tolist()):
        decision = Decision.MATCH if similarity >= THRESHOLD else Decision.UNKNOWN
        second = None if runner_up is None else float(runner_up[place])
        tally.add_face(measures, decision, best=similarity, runner_up=second, templates_compared=TEMPLATES)
    return tally.counts()


def _at(shares: Floats) -> Floats:
    return np.array([_OTHERS.inv_cdf(share) for share in shares.tolist()])
