"""Binary codes: one bit for every value of an embedding, to rule out most templates of a large gallery cheaply.

A bit is set if the value is above the gallery's mean. For two vectors at an angle a, measured from the mean, each bit
differs with probability a / pi, so the Hamming distance estimates the angle with binomial noise (M. Charikar,
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
"""Noise allowed for, in standard deviations of the binomial distribution. On face embeddings the noise is 0.8 to 0.9 of
that, so one in a thousand is beyond it: docs/performance.md."""


def encode(vectors: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Compute the binary codes of vectors, shape ``(n, dimension)``; shape ``(n, ceil(dimension / 8))``."""
    return np.packbits(vectors > mean, axis=1)


def hamming_distances(probes: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Count the bits that differ: shapes ``(b, bytes)`` and ``(n, bytes)`` to ``(b, n)``."""
    distances = np.empty((len(probes), len(codes)), np.int32)
    faiss.hammings(
        faiss.swig_ptr(np.ascontiguousarray(probes)),
        faiss.swig_ptr(codes),
        len(probes),
        len(codes),
        codes.shape[1],
        faiss.swig_ptr(distances),
    )
    return distances


def best_products(
    probe: NDArray[np.float32], codes: NDArray[np.uint8], most: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the binary codes with the highest inner product with a probe; a bit counts as +1 or -1.

    This estimates the angle better than the Hamming distance to the probe's own code, which ignores how large the
    probe's values are (J. Gao and C. Long, RaBitQ, SIGMOD 2024), and takes a hundred times as long.

    Args:
        probe: shape ``(dimension,)``.
        codes: shape ``(n, bytes)``.
        most: how many to return, at most ``n``.

    Returns:
        Rows of the codes, the best first, and their products: a multiple of the cosine, with noise.
    """
    size = codes.shape[1]
    values = np.zeros(8 * size, np.float32)
    values[: probe.size] = probe
    products, rows = np.empty(most, np.float32), np.empty(most, np.int64)
    heap = faiss.float_minheap_array_t()
    heap.nh, heap.k, heap.val, heap.ids = 1, most, faiss.swig_ptr(products), faiss.swig_ptr(rows)
    _sign_quantizer(size).search_ip(faiss.swig_ptr(values), 1, faiss.swig_ptr(codes), len(codes), heap, True)
    return rows, products


def search_radius(similarity: float, dimension: int) -> float:
    """Return the Hamming distance within which 999 of 1000 vectors with at least this cosine are."""
    share = math.acos(min(1.0, max(-1.0, similarity))) / math.pi
    return dimension * share + _DEVIATIONS * math.sqrt(dimension * share * (1 - share))


@cache
def _sign_quantizer(size: int) -> Any:
    """Make a product quantizer that decodes every byte of a binary code to eight signs."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
    quantizer = faiss.ProductQuantizer(8 * size, size, 8)
    faiss.copy_array_to_vector(np.tile((2 * bits - 1).ravel(), size), quantizer.centroids)
    return quantizer
