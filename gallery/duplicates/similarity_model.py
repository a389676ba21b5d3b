"""How similar templates of one person are, and templates of different people; the chances that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gallery.calibration.contamination import separate
from gallery.calibration.mates import MATES_OF_LFW

_STRANGERS = (0.01, 0.067)
"""Mean and deviation of the similarity of two templates of different people before any is seen: those of LFW."""
_PRIOR_WEIGHT = 30
"""How many observations these and :data:`gallery.calibration.mates.MATES_OF_LFW` count for."""
_HARD_SHARE = 0.005
"""Share of pairs of one person that have any similarity: children, beards, poor pictures."""
_DUPLICATE_SHARE, _WRONG_SHARE = 0.01, 0.01
"""Share of templates whose person is enrolled twice, and share of wrong templates, before any is seen."""
_SHARE_WEIGHT = 100
"""How many templates these two count for."""
_ENROLLED_SHARE = 0.5
"""Share of wrong templates whose person is enrolled as well."""
_FEWEST = 10
"""Fewer searches say nothing about strangers."""
_ROUNDS = 50
_LOWER, _UPPER = 0.25, 0.75
_NARROWEST = 1e-3
"""The least deviation, so that a gallery of equal templates has densities."""


@dataclass(frozen=True, slots=True)
class SimilarityModel:
    """The similarities of a gallery's templates, as a mixture of people and strangers.

    The similarity of a template to the most similar other subject follows a Gumbel distribution, as the maximum of
    many strangers' similarities does (Fisher and Tippett 1928; Gumbel 1958), unless that subject is the same person.
    Then it follows that of mates: a normal distribution whose mean and deviation are those of templates within
    subjects, with a small uniform part below the mean. The shares of the two are estimated by expectation maximisation
    (Dempster, Laird and Rubin 1977). A chance is the posterior probability of the mixture, known as one minus the local
    false discovery rate (Efron 2004). It never falls as the similarity rises.

    A gallery with one template for each subject says nothing about mates: then they are as in LFW under the packaged
    model.

    Attributes:
        mode: of the Gumbel distribution.
        scale: of the Gumbel distribution, above 0.
        stranger_mean: of two templates of different people.
        stranger_deviation: the same, above 0.
        mate_mean: of two templates of one person.
        mate_deviation: the same, above 0.
        duplicate_share: share of the templates whose person is enrolled under another id as well, (0, 1).
        wrong_share: share of the templates that are not of their subject, (0, 1).
    """

    mode: float
    scale: float
    stranger_mean: float
    stranger_deviation: float
    mate_mean: float
    mate_deviation: float
    duplicate_share: float
    wrong_share: float

    def __post_init__(self) -> None:
        scales = (self.scale, self.stranger_deviation, self.mate_deviation)
        places = (self.mode, self.stranger_mean, self.mate_mean)
        shares = (self.duplicate_share, self.wrong_share)
        if not (
            all(0 < each < math.inf for each in scales)
            and all(math.isfinite(each) for each in places)
            and all(0 < each < 1 for each in shares)
        ):
            raise ValueError("the model is out of range")

    def mate(self, similarity: float) -> float:
        """Return the density of a similarity of one person's templates; flat above the mean."""
        below = min(similarity, self.mate_mean)
        bell = NormalDist(self.mate_mean, self.mate_deviation).pdf(below)
        return (1 - _HARD_SHARE) * bell + _HARD_SHARE / (self.mate_mean + 1)

    def stranger(self, similarity: float, comparisons: int) -> float:
        """Return the density of the highest of several similarities of different people; flat below its mode."""
        reduced = max((similarity - self.stranger_mean) / self.stranger_deviation, _highest_mode(comparisons))
        bell = NormalDist()
        return comparisons * bell.pdf(reduced) * bell.cdf(reduced) ** (comparisons - 1) / self.stranger_deviation

    def best_other(self, similarity: float) -> float:
        """Return the density of a template's similarity to the best other subject if that is a stranger."""
        return float(_gumbel(np.array([similarity]), self.mode, self.scale)[0])

    def among(self, level: float, rank: int) -> SimilarityModel:
        """Return the model for a template in a group of people who resemble each other.

        Args:
            level: the similarity of the template to one of the most similar other subjects.
            rank: which one that is, 2 or more. So many further ids of one person are rare.
        """
        if level <= self.mode:
            return self  # all people differ a little in how similar they are to others
        # The best of so many strangers is higher by this (Weissman 1978).
        mode = min(level + self.scale * math.log(rank), self.highest_mode)
        return replace(self, mode=mode) if mode > self.mode else self

    def chance_same(self, similarity: float) -> float:
        """Return the chance that a template and its best other subject are one person."""
        mates = self.duplicate_share * self.mate(similarity)
        return mates / (mates + (1 - self.duplicate_share) * self.best_other(similarity))

    def chance_wrong(self, similarity: float, comparisons: int) -> float:
        """Return the chance that templates are not of their subject.

        Args:
            similarity: the highest to the other templates of the subject.
            comparisons: how many similarities this is the highest of, at least 1.
        """
        wrong = self.wrong_share * self.stranger(similarity, comparisons)
        return wrong / (wrong + (1 - self.wrong_share) * self.mate(similarity))

    def chances_of_pair(
        self, similarity: float, searches: int, *, links: tuple[tuple[float, int] | None, tuple[float, int] | None]
    ) -> tuple[float, tuple[float, float]]:
        """Return the chances of a pair of subjects: that they are one person, and that templates of either are wrong.

        Args:
            similarity: of their two most similar templates.
            searches: how many templates of one subject were searched for.
            links: for each subject how the templates that resemble the other subject are linked to the rest of their
                own: the highest similarity, and of how many; ``None`` if there is no rest.
        """
        same, other = self.mate(similarity), searches * self.best_other(similarity)
        right, wrong = zip(*(self._own(link) for link in links), strict=True)
        one_person = self.duplicate_share * same * right[0] * right[1]
        nothing = (1 - self.duplicate_share) * other * right[0] * right[1]
        wrong_is_other = [_ENROLLED_SHARE * same * each for each in (wrong[0] * right[1], right[0] * wrong[1])]
        wrong_is_nobody = (1 - _ENROLLED_SHARE) * other * (wrong[0] * right[1] + right[0] * wrong[1])
        both_wrong = (_ENROLLED_SHARE * same + (1 - _ENROLLED_SHARE) * other) * wrong[0] * wrong[1]
        total = one_person + nothing + sum(wrong_is_other) + wrong_is_nobody + both_wrong
        return one_person / total, (wrong_is_other[0] / total, wrong_is_other[1] / total)

    def similarity_at(self, chance: float, *, is_wrong: bool = False) -> float:
        """Return the lowest similarity to another subject at which a template may be one of it.

        Args:
            chance: the least chance, (0, 1).
            is_wrong: whether the template is known not to be of its own subject.
        """
        share = _ENROLLED_SHARE if is_wrong else self.duplicate_share
        low, high = -1.0, 1.0
        for _ in range(_ROUNDS):
            middle = (low + high) / 2
            mates = share * self.mate(middle)
            reaches = mates >= chance * (mates + (1 - share) * self.best_other(middle))
            low, high = (low, middle) if reaches else (middle, high)
        return high

    @property
    def highest_mode(self) -> float:
        """The highest plausible similarity of strangers: one person under many ids is not a group of look-alikes."""
        return self.mate_mean - self.mate_deviation

    @property
    def link_similarity(self) -> float:
        """The similarity from which two templates rather show one person, if either is as likely before."""
        low, high = min(self.stranger_mean, self.mate_mean), self.mate_mean
        for _ in range(_ROUNDS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.mate(middle) >= self.stranger(middle, 1) else (middle, high)
        return high

    def _own(self, link: tuple[float, int] | None) -> tuple[float, float]:
        if link is None:
            return 1.0, 0.0
        return (1 - self.wrong_share) * self.mate(link[0]), self.wrong_share * self.stranger(*link)


def fit(
    best_others: NDArray[np.float64],
    searched: NDArray[np.intp],
    mates: NDArray[np.float64],
    own_bests: NDArray[np.float64],
    strangers: NDArray[np.float64],
    *,
    templates: int,
) -> SimilarityModel:
    """Estimate the model of a gallery.

    The law of strangers is that of :func:`gallery.calibration.contamination.separate`. Quartiles are used for the rest,
    because a few wrong labels do not move them.

    Args:
        best_others: the similarities of some templates to the most similar other subjects, falling, shape ``(n, k)``.
        searched: the number of the subject of each of these templates, shape ``(n,)``.
        mates: the similarity of two templates of a subject, one for each subject, shape ``(m,)``.
        own_bests: the similarity of templates to the most similar template of their own subject, shape ``(k,)``.
        strangers: similarities of templates of different subjects, shape ``(p,)``.
        templates: in the gallery.
    """
    stranger_mean, stranger_deviation = _bell(strangers, _STRANGERS)
    mate_mean, mate_deviation = _bell(mates, MATES_OF_LFW)
    # What strangers of this spread would give, until there are enough searches.
    unseen = NormalDist(stranger_mean, stranger_deviation)
    likely_mode = unseen.inv_cdf(1 - 1 / max(templates, 2))
    likely_scale = 1 / (max(templates, 2) * unseen.pdf(likely_mode))
    model = SimilarityModel(
        *(likely_mode, max(likely_scale, _NARROWEST), stranger_mean, stranger_deviation, mate_mean, mate_deviation),
        *(_DUPLICATE_SHARE, _WRONG_SHARE),
    )
    wrong_share = _share([model.chance_wrong(each, 1) for each in own_bests.tolist()], _WRONG_SHARE)
    mode, scale = _strangers_law(best_others, searched, model)
    mode = min(mode, model.highest_mode)
    rising, share = best_others[:, 0] if best_others.size else np.empty(0), _DUPLICATE_SHARE
    mate_density = np.array([model.mate(each) for each in rising.tolist()])
    for _ in range(_ROUNDS if rising.size else 0):
        same = share * mate_density
        share = _share(same / (same + (1 - share) * _gumbel(rising, mode, scale)), _DUPLICATE_SHARE)
    return SimilarityModel(
        mode, scale, stranger_mean, stranger_deviation, mate_mean, mate_deviation, share, wrong_share
    )


def _strangers_law(
    best_others: NDArray[np.float64], searched: NDArray[np.intp], model: SimilarityModel
) -> tuple[float, float]:
    """Return mode and scale of the similarity to the best other subject, if that is a stranger.

    The runners-up show it even if everybody is enrolled twice, so that every best similarity is a mate's.
    """
    weights = 1 / np.bincount(searched)[searched] if searched.size else np.empty(0)
    separation = separate(best_others, weights, searched) if len(best_others) >= _FEWEST else None
    if separation is None:
        return model.mode, model.scale
    weight = len(best_others) / (len(best_others) + _PRIOR_WEIGHT)
    scale = weight * separation.law.scale + (1 - weight) * model.scale
    return weight * separation.law.location + (1 - weight) * model.mode, max(scale, _NARROWEST)


@lru_cache(maxsize=4096)
def _highest_mode(count: int) -> float:
    """Return the mode of the highest of several standard normal values."""
    bell, low, high = NormalDist(), 0.0, 8.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        is_rising = (count - 1) * bell.pdf(middle) > middle * bell.cdf(middle)
        low, high = (middle, high) if is_rising else (low, middle)
    return high


def _bell(values: NDArray[np.float64], prior: tuple[float, float]) -> tuple[float, float]:
    """Estimate mean and deviation from quartiles, and from the prior."""
    if not values.size:
        return prior
    low, middle, high = np.quantile(values, [_LOWER, 0.5, _UPPER]).tolist()
    weight = values.size / (values.size + _PRIOR_WEIGHT)
    deviation = (high - low) / (NormalDist().inv_cdf(_UPPER) - NormalDist().inv_cdf(_LOWER))
    mean = weight * middle + (1 - weight) * prior[0]
    return mean, max(weight * deviation + (1 - weight) * prior[1], _NARROWEST)


def _share(chances: NDArray[np.float64] | list[float], prior: float) -> float:
    return float((np.sum(chances) + _SHARE_WEIGHT * prior) / (len(chances) + _SHARE_WEIGHT))


def _gumbel(values: NDArray[np.float64], mode: float, scale: float) -> NDArray[np.float64]:
    """Return the density of a Gumbel distribution; flat below its mode."""
    reduced = np.maximum((values - mode) / scale, 0.0)
    density: NDArray[np.float64] = np.exp(-reduced - np.exp(-reduced)) / scale
    return density
