"""Exact search: a probe is compared with every template."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gallery.index.scored_rows import ScoredRows
from gallery.index.segment import DEAD, Segment, Vectors
from gallery.search_pool import SearchPool

_ROWS_PER_TASK = 2048


def compare_all(segment: Segment, probes: NDArray[np.float32], pool: SearchPool) -> Iterator[ScoredRows]:
    """Compare probes, shape ``(n, dimension)``, with all templates of an exact segment, on the threads of a pool."""
    scores = _products(probes, segment.vectors[: segment.count], pool)
    # Read after the product: before a row is zeroed, its subject number is set to dead.
    subjects = segment.subjects[: segment.count].copy()
    is_living = subjects != DEAD
    if is_living.all():
        yield from (ScoredRows(np.arange(subjects.size), subjects, of_probe) for of_probe in scores)
        return
    living = np.flatnonzero(is_living)
    yield from (ScoredRows(living, subjects[living], of_probe[living]) for of_probe in scores)


def _products(probes: NDArray[np.float32], vectors: Vectors, pool: SearchPool) -> NDArray[np.float32]:
    """Return the inner product of every probe with every vector."""
    starts = range(0, max(1, len(vectors)), _ROWS_PER_TASK)
    blocks = [vectors[start : start + _ROWS_PER_TASK] for start in starts]
    if len(probes) == 1:
        return np.concatenate(pool.run([partial(np.vecdot, block, probes[0]) for block in blocks]))[None]
    return np.concatenate(pool.run([partial(np.matmul, probes, block.T) for block in blocks]), axis=1)
