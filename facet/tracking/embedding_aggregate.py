"""What a track's face looks like, from the best of its crops: a quality-weighted mean embedding.

Averaging over a set with the weight of each picture's quality is what NAN learns (Yang et al., 2017, arXiv:1603.05474);
a measured quality does as well where the crops are few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_WEIGHT = 0.05
"""A face in profile has no quality, and yet is better than nothing where there is nothing else."""


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What is kept of a track, and what is believed.

    Attributes:
        kept: so many samples, the best.
        stranger: a sample that is less similar than this to the mean of the others is somebody else's, [-1, 1];
            pictures of two people have 0.07 on average, of one person in a track 0.5 and more.
        judged_quality: worse samples say nothing about whose they are, [0, 1].
        strangers: so many in a row, and the track has come to be another person's.
    """

    kept: int = 8
    stranger: float = 0.15
    judged_quality: float = 0.3
    strangers: int = 3


@dataclass(frozen=True, slots=True)
class Sample:
    """One crop of a track.

    Attributes:
        embedding: float32 ``(d,)``, unit length.
        quality: [0, 1], see :class:`recognizer.quality.Quality`.
    """

    embedding: NDArray[np.float32]
    quality: float


class Evidence:
    """The best samples of a track's face.

    Attributes:
        taken: how many samples were taken since the evidence began, kept or not.
    """

    def __init__(self, settings: EvidenceSettings) -> None:
        self._settings = settings
        self._samples: list[Sample] = []
        self._strangers: list[Sample] = []
        self._mean: NDArray[np.float32] | None = None
        self.taken = 0

    @property
    def mean(self) -> NDArray[np.float32] | None:
        """Float32 ``(d,)``, unit length; ``None`` where there is no sample."""
        return self._mean

    @property
    def best_quality(self) -> float:
        """Of the samples; -1 where there is none."""
        return max((sample.quality for sample in self._samples), default=-1.0)

    @property
    def quality(self) -> float:
        """The sum over the samples."""
        return sum(sample.quality for sample in self._samples)

    @property
    def in_doubt(self) -> bool:
        """The last sample was somebody else's: the next one has to tell."""
        return bool(self._strangers)

    def is_stranger(self, sample: Sample) -> bool:
        """Whether a sample is somebody else's for all that can be told; what is too poor to be judged is not."""
        settings = self._settings
        if self._mean is None or min(self.best_quality, sample.quality) < settings.judged_quality:
            return False
        return float(self._mean @ sample.embedding) < settings.stranger

    def add(self, sample: Sample) -> bool:
        """Take a sample.

        Returns:
            Whether the track has come to be another person's: all that was taken before is forgotten.
        """
        if self.is_stranger(sample):
            self._strangers.append(sample)
            if len(self._strangers) < self._settings.strangers:
                return False
            self._keep(self._strangers)
            self.taken = len(self._strangers)
            self._strangers = []
            return True
        self._strangers = []
        self.taken += 1
        self._keep([*self._samples, sample])
        return False

    def join(self, other: Evidence) -> None:
        """Take over another track's samples, of the same person."""
        self.taken += other.taken
        self._keep([*self._samples, *other._samples])

    def _keep(self, samples: list[Sample]) -> None:
        """The best, the older ones of equals: what is decided from them should not change without a reason."""
        self._samples = sorted(samples, key=lambda sample: -sample.quality)[: self._settings.kept]
        if self._samples:
            total = np.sum([max(each.quality, _LEAST_WEIGHT) * each.embedding for each in self._samples], axis=0)
            self._mean = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)


def similarity(one: Evidence, other: Evidence) -> float:
    """Cosine of the means; -1 where one of them has none."""
    if one.mean is None or other.mean is None:
        return -1.0
    return float(one.mean @ other.mean)
