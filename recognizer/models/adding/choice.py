"""Finds out how a recogniser wants its input, from how well it separates people with each usual way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.runtime.models import UnsupportedModel
from recognizer.models.adding.preprocessing import Preprocessing
from recognizer.models.adding.reference_faces import altered, reference_faces

Embed = Callable[[NDArray[np.uint8], Preprocessing], NDArray[np.float32]]
"""Vectors ``(n, d)``, as the model gives them, for aligned faces BGR ``(n, 112, 112, 3)``."""

MIN_GAP = 0.4
"""Minimum difference of the mean similarities of a face's copies and of different people.

Recognisers have 0.8 or more. Those that get raw samples instead of normalised ones have less than 0.3, and networks for
landmarks or of random weights less than 0.1.
"""
_AS_GOOD = 0.8
"""Candidates that separate at least this share as well as the best one are decided by the length of their vectors."""
_SAME_SIMILARITY = 0.999
"""Mean similarity of the embeddings of two candidates from which both are the same."""
NEAR = 0.01
"""Two candidates closer than this share are too near to choose."""
_LENGTHS_DIFFER = 0.001


@dataclass(frozen=True, slots=True)
class Separation:
    """How a model separates the reference faces, as cosine similarities.

    Attributes:
        same_face: mean of a face and altered copies of it.
        different_people: mean of the faces of two people.
        sharpness: difference of both means in standard deviations (d').
        length: mean length of the vectors before they are normalised. Networks give longer vectors for faces that look
            like those that they were trained on (Ranjan et al., 2017, arXiv:1703.09507).
    """

    same_face: float
    different_people: float
    sharpness: float
    length: float

    @property
    def gap(self) -> float:
        """Difference of the means."""
        return self.same_face - self.different_people

    def __str__(self) -> str:
        """Return the figures as people read them."""
        return f"similarity {self.same_face:.2f} of the same face, {self.different_people:.2f} of different people"


@dataclass(frozen=True, slots=True)
class Choice:
    """The preprocessing of a model.

    Attributes:
        preprocessing: the best candidate.
        separation: its figures.
        second: the best of those that give other embeddings; ``None`` if there is none.
        lead: by which share of its own figure the best is ahead of ``second``; 0 without one.
    """

    preprocessing: Preprocessing
    separation: Separation
    second: Preprocessing | None = None
    lead: float = 0.0

    @property
    def is_near(self) -> bool:
        """Whether the second is too near to be sure."""
        return self.second is not None and self.lead < NEAR


def choose(embed: Embed, candidates: Sequence[Preprocessing], name: str) -> Choice:
    """Choose the preprocessing with which a model separates the reference faces best.

    Args:
        embed: the model.
        candidates: those to try; the first one wins a draw.
        name: of the model, for the message.

    Raises:
        UnsupportedModel: the model separates people with none of them.
    """
    faces = reference_faces()
    pictures = np.concatenate([faces, *altered(faces)])
    tried = [_Tried(candidate, *_measured(embed(pictures, candidate), len(faces))) for candidate in candidates]
    best = max(tried, key=lambda each: each.separation.sharpness)
    if not best.separation.gap >= MIN_GAP:
        best = max(tried, key=lambda each: each.separation.gap)
        if not best.separation.gap >= MIN_GAP:
            raise UnsupportedModel(
                f"{name} does not tell people apart: {best.separation}, expected a difference of at least {MIN_GAP} "
                f"({best.preprocessing}{' is the best of those that were tried' if len(tried) > 1 else ''})"
            )
    good = [
        each
        for each in tried
        if each.separation.gap >= MIN_GAP and each.separation.sharpness >= _AS_GOOD * best.separation.sharpness
    ]
    lengths = [each.separation.length for each in good]
    by_length = max(lengths) > (1 + _LENGTHS_DIFFER) * min(lengths)

    def figure(each: _Tried) -> float:
        return each.separation.length if by_length else each.separation.sharpness

    ranked = sorted(good, key=lambda each: -figure(each))
    first = ranked[0]
    second = next((each for each in ranked if each.similarity(first) < _SAME_SIMILARITY), None)
    if second is None:
        return Choice(first.preprocessing, first.separation)
    return Choice(first.preprocessing, first.separation, second.preprocessing, 1 - figure(second) / figure(first))


@dataclass(frozen=True, slots=True)
class _Tried:
    preprocessing: Preprocessing
    separation: Separation
    vectors: NDArray[np.float32]

    def similarity(self, other: _Tried) -> float:
        return float((self.vectors * other.vectors).sum(1).mean())


def _measured(vectors: NDArray[np.float32], count: int) -> tuple[Separation, NDArray[np.float32]]:
    """The figures of a candidate, and its unit vectors: those of ``count`` faces, then of copies in the same order."""
    lengths = np.linalg.norm(vectors, axis=1)
    units = np.nan_to_num(vectors / np.maximum(lengths, 1e-12)[:, None])
    similarities = units[:count] @ units[:count].T
    different = similarities[np.triu_indices(count, 1)]
    same = (units[count:].reshape(-1, count, units.shape[1]) * units[:count]).sum(2).ravel()
    spread = max(float(np.sqrt((same.var() + different.var()) / 2)), 1e-6)
    gap = float(same.mean() - different.mean())
    return Separation(float(same.mean()), float(different.mean()), gap / spread, float(lengths[:count].mean())), units
