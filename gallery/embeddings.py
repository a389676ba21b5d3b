"""Checks of embeddings, and scaling to unit length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gallery.errors import InvalidEmbedding

MIN_LENGTH = 1e-6
"""A shorter embedding has no direction that means anything."""

UNIT_TOLERANCE = 1e-3
"""An embedding has unit length if the sum of its squares is at most this far from 1."""


def normalized(embeddings: NDArray[np.float32], *, dimension: int) -> NDArray[np.float32]:
    """Scale embeddings, shape ``(n, dimension)``, to unit length; returns a new float32 array of the same shape.

    Raises:
        InvalidEmbedding: the shape is another, a value is not finite, or a length is below :data:`MIN_LENGTH`.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != dimension:
        shape = "x".join(map(str, embeddings.shape[1:]))
        raise InvalidEmbedding(f"the embedding has {shape or 'no'} values; {dimension} are expected")
    values = embeddings.astype(np.float64)
    if not np.isfinite(values).all():
        raise InvalidEmbedding("the embedding has values that are not finite")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if (lengths < MIN_LENGTH).any():
        raise InvalidEmbedding("the embedding has a length of zero")
    unit: NDArray[np.float32] = (values / lengths).astype(np.float32)
    return unit


def has_unit_length(embeddings: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which embeddings, shape ``(n, dimension)``, are finite and have unit length."""
    squares = np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64)
    # Written so that a NaN compares as False.
    is_unit: NDArray[np.bool_] = np.abs(squares - 1.0) <= UNIT_TOLERANCE
    return is_unit
