"""The error-versus-discard curve (Grother and Tabassi, 2007)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.quality.run import DegradedProbe

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
    quality = np.array([probe.quality for probe in found])
    missed = np.array([probe.similarity < threshold for probe in found], np.bool_)
    names = list(dict.fromkeys(probe.degradation for probe in probes))
    return {
        "threshold": threshold,
        "probes": len(probes),
        "without_face": len(probes) - len(found),
        "error_versus_discard": [_after_discarding(quality, missed, share) for share in DISCARDED],
        "degradations": [_of(name, [each for each in probes if each.degradation == name], threshold) for name in names],
    }


def _after_discarding(quality: NDArray[np.float64], missed: NDArray[np.bool_], share: float) -> dict[str, Any]:
    """FNMR of the probes that remain, and the share of all false non-matches that it contains.

    Probes of the same quality are discarded in equal parts, so their order decides nothing.
    """
    total = int(missed.sum())
    if not len(quality):
        return {"discarded": share, "fnmr": None, "false_non_matches_left": None}
    budget, removed = share * len(quality), 0.0
    for level in np.unique(quality):
        at_level = quality == level
        part = min(1.0, budget / at_level.sum())
        removed += part * float(missed[at_level].sum())
        budget -= part * at_level.sum()
        if budget <= 0:
            break
    left = total - removed
    return {
        "discarded": share,
        "fnmr": left / (len(quality) * (1 - share)),
        "false_non_matches_left": left / total if total else None,
    }


def _of(name: str, probes: Sequence[DegradedProbe], threshold: float) -> dict[str, Any]:
    found = [probe for probe in probes if probe.found]
    return {
        "degradation": name,
        "probes": len(probes),
        "without_face": len(probes) - len(found),
        "fnmr": float(np.mean([probe.similarity < threshold for probe in found])) if found else None,
        "median_quality": float(np.median([probe.quality for probe in found])) if found else None,
    }
