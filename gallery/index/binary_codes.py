"""Sketches: one bit for every value of an embedding, by which most templates of a large gallery are passed over.

A bit says on which side of the gallery's mean a value lies. Of two vectors at an angle a, measured from the mean, each
bit differs with probability a / pi, so their Hamming distance tells the angle but for binomial noise (M. Charikar,
Similarity estimation techniques from rounding algorithms, STOC 2002).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

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


def most_agreeing(
    probe: NDArray[np.float32], sketches: NDArray[np.uint8], most: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The sketches whose bits agree best with the values of a probe, each bit counting for as much as the value is.

    This tells the angle better than the probe's own sketch does, which has lost how large its values are (J. Gao and
    C. Long, RaBitQ, SIGMOD 2024), and takes a hundred times as long.

    Args:
        probe: shape ``(dimension,)``.
        sketches: shape ``(n, bytes)``.
        most: how many, at most ``n``.

    Returns:
        Rows of the sketches, the best first, and how well they agree: a multiple of the cosine, but for noise.
    """
    size = sketches.shape[1]
    values = np.zeros(8 * size, np.float32)
    values[: probe.size] = probe
    products, rows = np.empty(most, np.float32), np.empty(most, np.int64)
    heap = faiss.float_minheap_array_t()
    heap.nh, heap.k, heap.val, heap.ids = 1, most, faiss.swig_ptr(products), faiss.swig_ptr(rows)
    _signs(size).search_ip(faiss.swig_ptr(values), 1, faiss.swig_ptr(sketches), len(sketches), heap, True)
    return rows, products


def reach(similarity: float, dimension: int) -> float:
    """Within which Hamming distance a vector of at least this cosine is found, but for one in a thousand."""
    share = math.acos(min(1.0, max(-1.0, similarity))) / math.pi
    return dimension * share + _DEVIATIONS * math.sqrt(dimension * share * (1 - share))


@cache
def _signs(size: int) -> Any:
    """A product quantizer whose codes are sketches: eight signs for every byte."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
    quantizer = faiss.ProductQuantizer(8 * size, size, 8)
    faiss.copy_array_to_vector(np.tile((2 * bits - 1).ravel(), size), quantizer.centroids)
    return quantizer
