"""Scores of a search's best candidate: the plain similarity, and models that learn from searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.templates import SEED

Features: TypeAlias = NDArray[np.float64]
"""Shape ``(n, 5)``: similarity, margin to the runner-up, quality of the probe, mean quality of the candidate's
templates, number of the candidate's templates."""

Scorer: TypeAlias = Callable[[Features], NDArray[np.float64]]
"""Gives scores ``(n,)`` for features; a higher score means a more certain match."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best candidate of every probe in a gallery.

    Attributes:
        features: of the candidates.
        right: whether the candidate is the probe's mate, ``(n,)``.
        mated: whether the probe's mate is in the gallery, ``(n,)``.
        subjects: true subject of every probe.
    """

    features: Features
    right: NDArray[np.bool_]
    mated: NDArray[np.bool_]
    subjects: tuple[str, ...]


def plain(features: Features) -> NDArray[np.float64]:
    """Score by the similarity alone."""
    return features[:, 0]


def _train_logistic(candidates: Candidates) -> Scorer:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(candidates.features, candidates.right)
    return lambda features: np.asarray(model.decision_function(features))


def _train_isotonic(candidates: Candidates) -> Scorer:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip").fit(candidates.features[:, 0], candidates.right)
    return lambda features: np.asarray(model.predict(features[:, 0]))


def _train_boosting(candidates: Candidates) -> Scorer:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        max_iter=100, max_depth=3, learning_rate=0.05, monotonic_cst=[1, 1, 0, 0, 0], random_state=SEED
    )
    with threadpool_limits(1):  # on so little data, waking threads takes longer than training
        model.fit(candidates.features, candidates.right)
    return lambda features: np.asarray(model.decision_function(features))


TRAINERS: dict[str, Callable[[Candidates], Scorer]] = {
    "logistic regression": _train_logistic,
    "isotonic regression of the similarity": _train_isotonic,
    "gradient boosting": _train_boosting,
}
"""Functions that train a scorer, by name."""
