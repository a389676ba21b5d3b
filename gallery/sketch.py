"""Sketches: one bit for every value of an embedding, by which most templates of a large gallery are passed over.

A bit says on which side of the gallery's mean a value lies. Of two vectors at an angle a, measured from the mean, each
bit differs with probability a / pi, so their Hamming distance tells the angle but for binomial noise (M. Charikar,
Similarity estimation techniques from rounding algorithms, STOC 2002).
"""

from __future__ import annotations

import math

import faiss
import numpy as np
from numpy.typing import NDArray

_DEVIATIONS = 2.6
"""How much noise is reckoned with, in standard deviations of the binomial distribution. On face embeddings the noise
has 0.8 to 0.9 of that, so one in a thousand is further off: docs/performance.md."""


def sketch(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The sketches of vectors, shape ``(n, dimension)``; shape ``(n, ceil(dimension / 8))``."""
    return np.packbits(vectors > mean, axis=1)


def hamming(probes: NDArray[np.uint8], sketches: NDArray[np.uint8]) -> NDArray[np.int32]:
    """In how many bits sketches differ: shapes ``(b, bytes)`` and ``(n, bytes)`` to ``(b, n)``."""
    distances = np.empty((len(probes), len(sketches)), np.int32)
    faiss.hammings(
        faiss.swig_ptr(np.ascontiguousarray(probes)),
        faiss.swig_ptr(sketches),
        len(probes),
        len(sketches),
        sketches.shape[1],
        faiss.swig_ptr(distances),
    )
    return distances


def reach(similarity: float, dimension: int) -> float:
    """Within which Hamming distance a vector of at least this cosine is found, but for one in a thousand."""
    share = math.acos(min(1.0, max(-1.0, similarity))) / math.pi
    return dimension * share + _DEVIATIONS * math.sqrt(dimension * share * (1 - share))
