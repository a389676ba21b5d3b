"""Embeddings as they come in: checked and brought to unit length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gallery.errors import InvalidEmbedding

MIN_LENGTH = 1e-6
"""An embedding shorter than this points nowhere."""

UNIT_TOLERANCE = 1e-3
"""An embedding is of unit length where the sum of its squares is this near to 1."""


def normalized(embeddings: NDArray[np.float32], *, dimension: int) -> NDArray[np.float32]:
    """Bring embeddings, shape ``(n, dimension)``, to unit length; a new float32 array of the same shape.

    Raises:
        InvalidEmbedding: another shape, a value that is not finite, or a length of less than
            :data:`MIN_LENGTH`.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != dimension:
        shape = "x".join(map(str, embeddings.shape[1:]))
        raise InvalidEmbedding(f"the embedding has {shape or 'no'} values; {dimension} are expected")
    values = embeddings.astype(np.float64)
    if not np.isfinite(values).all():
        raise InvalidEmbedding("the embedding has values that are not finite")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if (lengths < MIN_LENGTH).any():
        raise InvalidEmbedding("the embedding has no length")
    unit: NDArray[np.float32] = (values / lengths).astype(np.float32)
    return unit


def of_unit_length(embeddings: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which embeddings, shape ``(n, dimension)``, are of unit length; those with values that are not finite are not."""
    squares = np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64)
    # Told from the good side, which a NaN is not on.
    near: NDArray[np.bool_] = np.abs(squares - 1.0) <= UNIT_TOLERANCE
    return near
