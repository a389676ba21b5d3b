"""The error-versus-discard curve (Grother and Tabassi, 2007)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.intervals import Identities, Weights, bootstrapped_together
from facet.evaluation.quality.run import QUALITY, DegradedProbe

DISCARDED = (0.0, 0.05, 0.1, 0.2)
"""Shares of the probes that are discarded, those of the lowest quality first."""


def quality_figures(probes: Sequence[DegradedProbe], threshold: float) -> dict[str, Any]:
    """Compute false non-match rates (FNMR) after discarding, and by degradation.

    Probes without a face have no quality; they are counted, and no curve contains them.

    Args:
        probes: the probes.
        threshold: minimum similarity of a match.
    """
    found = [probe for probe in probes if probe.found]
    missed = np.array([probe.similarity < threshold for probe in found], np.bool_)
    names = list(dict.fromkeys(probe.degradation for probe in probes))
    measures = list(found[0].measures) if found else [QUALITY]
    curves = {name: _curve(found, name, missed) for name in measures}
    return {
        "threshold": threshold,
        "probes": len(probes),
        "without_face": len(probes) - len(found),
        "error_versus_discard": curves[QUALITY],
        "candidates": {name: curve for name, curve in curves.items() if name != QUALITY},
        "degradations": [_of(name, [each for each in probes if each.degradation == name], threshold) for name in names],
    }


def _curve(found: Sequence[DegradedProbe], measure: str, missed: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """The curve of one measure, with intervals over the pairs: the probes of one pair are alike."""
    if not found:
        return [{"discarded": share, "fnmr": None, "false_non_matches_left": None} for share in DISCARDED]
    values = np.array([probe.measures[measure] for probe in found])
    _, levels = np.unique(values, return_inverse=True)
    pairs = [probe.pair for probe in found]

    def left(weights: Weights) -> dict[str, float | None]:
        total = float(weights[missed].sum())
        return {str(share): _left(levels, missed, weights, share) / total if total else None for share in DISCARDED}

    figures = bootstrapped_together(left, len(found), Identities(pairs, seed=0).weights(pairs))
    ones = np.ones(len(found), np.int64)
    return [
        {
            "discarded": share,
            "fnmr": _left(levels, missed, ones, share) / (len(found) * (1 - share)),
            "false_non_matches_left": figures[str(share)].value,
            "low": figures[str(share)].low,
            "high": figures[str(share)].high,
        }
        for share in DISCARDED
    ]


def _left(levels: NDArray[np.intp], missed: NDArray[np.bool_], weights: Weights, share: float) -> float:
    """Number of false non-matches among the probes that remain.

    Probes of the same quality are discarded in equal parts, so their order decides nothing.

    Args:
        levels: for each probe the rank of its quality, the lowest is 0.
        missed: whether each probe is a false non-match.
        weights: how often each probe counts.
        share: of the probes that is discarded.
    """
    at_level = np.bincount(levels, weights)
    below = np.cumsum(at_level) - at_level
    parts = np.clip((share * at_level.sum() - below) / np.maximum(at_level, 1), 0, 1)
    return float(((1 - parts) * np.bincount(levels, weights * missed)).sum())


def _of(name: str, probes: Sequence[DegradedProbe], threshold: float) -> dict[str, Any]:
    found = [probe for probe in probes if probe.found]
    return {
        "degradation": name,
        "probes": len(probes),
        "without_face": len(probes) - len(found),
        "fnmr": float(np.mean([probe.similarity < threshold for probe in found])) if found else None,
        "median_quality": float(np.median([probe.measures[QUALITY] for probe in found])) if found else None,
        "refused": dict(Counter(probe.refused for probe in found if probe.refused).most_common()),
    }
