"""One embedding for a track: the quality-weighted mean over its best face crops.

NAN (Yang et al., 2017, arXiv:1603.05474) learns such weights. With few crops, a measured quality does as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_MIN_WEIGHT = 0.05
"""A face in profile has quality 0 but still counts if there is nothing better."""


@dataclass(frozen=True, slots=True)
class AggregateSettings:
    """Which samples an aggregate keeps, and which it takes for another person's.

    Attributes:
        max_samples: how many samples are kept, the best ones.
        max_crops: of how many of them the crops are kept, the best ones; 37 KB each.
        same_face_similarity: a sample at least this similar to the mean shows the same person, [-1, 1]. Of the pairs of
            different people in LFW, 1 in 20,000 reaches it; of the pairs of one person, 99 in 100 do.
        certain_face_similarity: a sample at least this similar shows no lookalike either, [-1, 1]. Of 1,000 people of
            LFW, 6 have one among the 2,882 others who reaches it; most of these are people under two names.
        outlier_similarity: a sample less similar to the mean than this is an outlier: another person's face, [-1, 1].
        outlier_min_quality: samples of lower quality are never outliers, [0, 1].
    """

    max_samples: int = 8
    max_crops: int = 5
    same_face_similarity: float = 0.3
    certain_face_similarity: float = 0.4
    outlier_similarity: float = 0.15
    outlier_min_quality: float = 0.3


@dataclass(frozen=True, slots=True)
class Sample:
    """One face crop of a track.

    Attributes:
        embedding: float32 ``(d,)``, unit length.
        quality: [0, 1], see :class:`recognizer.quality.Quality`.
        crop: the aligned face, BGR ``(112, 112, 3)``; ``None`` if it is not kept.
    """

    embedding: NDArray[np.float32]
    quality: float
    crop: NDArray[np.uint8] | None = None


class EmbeddingAggregate:
    """The best face samples of a track, and their mean. All embeddings are of one contract.

    Args:
        settings: which samples are kept, and which are outliers.

    Attributes:
        sample_count: how many samples were added, kept or not.
    """

    def __init__(self, settings: AggregateSettings) -> None:
        self._settings = settings
        self._samples: list[Sample] = []
        self._mean: NDArray[np.float32] | None = None
        self.sample_count = 0

    @property
    def mean(self) -> NDArray[np.float32] | None:
        """Quality-weighted mean embedding: float32 ``(d,)``, unit length; ``None`` without samples."""
        return self._mean

    @property
    def best_quality(self) -> float:
        """Highest quality of the samples; -1 without samples."""
        return max((sample.quality for sample in self._samples), default=-1.0)

    @property
    def total_quality(self) -> float:
        """Sum of the qualities of the samples."""
        return sum(sample.quality for sample in self._samples)

    def is_same_face(self, embedding: NDArray[np.float32]) -> bool:
        """Whether an embedding ``(d,)`` clearly shows the person of the aggregate; true of the first one."""
        return self._likeness(embedding) >= self._settings.same_face_similarity

    def is_certain_face(self, embedding: NDArray[np.float32]) -> bool:
        """Whether it shows that person and no lookalike; true of the first one."""
        return self._likeness(embedding) >= self._settings.certain_face_similarity

    def is_outlier(self, sample: Sample) -> bool:
        """Whether a sample clearly shows another person; never of a sample of low quality."""
        settings = self._settings
        if min(self.best_quality, sample.quality) < settings.outlier_min_quality:
            return False
        return self._likeness(sample.embedding) < settings.outlier_similarity

    def _likeness(self, embedding: NDArray[np.float32]) -> float:
        return 1.0 if self._mean is None else float(self._mean @ embedding)

    def add(self, sample: Sample) -> None:
        """Add a sample."""
        self.sample_count += 1
        self._keep_best([*self._samples, sample])

    def merge(self, other: EmbeddingAggregate) -> None:
        """Add the samples of another track of the same person."""
        self.sample_count += other.sample_count
        self._keep_best([*self._samples, *other._samples])

    def crops(self, most: int) -> list[NDArray[np.uint8]]:
        """Return the crops of the best samples, at most so many: at least one if there are samples."""
        return [each.crop for each in self._samples[:most] if each.crop is not None]

    def embed_anew(self, embeddings: Sequence[NDArray[np.float32]]) -> None:
        """Continue with embeddings of another contract.

        Only the samples that have one are left, and count: decisions need as much evidence as ever.

        Args:
            embeddings: of the first :meth:`crops`, ``(d,)`` each, unit length.
        """
        kept = [replace(each, embedding=anew) for each, anew in zip(self._samples, embeddings, strict=False)]
        self.sample_count, self._mean = len(kept), None
        self._keep_best(kept)

    def _keep_best(self, samples: list[Sample]) -> None:
        """Keep the best samples; of equals the older ones, so that decisions do not change without a reason."""
        best, crops = sorted(samples, key=lambda sample: -sample.quality), self._settings.max_crops
        del best[self._settings.max_samples :]
        self._samples = best[:crops] + [replace(each, crop=None) for each in best[crops:]]
        if self._samples:
            total = np.sum([max(each.quality, _MIN_WEIGHT) * each.embedding for each in self._samples], axis=0)
            self._mean = (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)


def similarity(one: EmbeddingAggregate, other: EmbeddingAggregate) -> float:
    """Cosine of the means of two aggregates; -1 if one has no samples."""
    if one.mean is None or other.mean is None:
        return -1.0
    return float(one.mean @ other.mean)
