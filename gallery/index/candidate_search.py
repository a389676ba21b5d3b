"""Candidate search: binary codes select the templates that are compared with a probe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gallery.index.binary_codes import encode, estimated_products, hamming_distances, search_radius
from gallery.index.scored_rows import ScoredRows, all_positions, by_segment, first_position, joined
from gallery.index.segment import DEAD, Segment
from gallery.index.sizes import IndexSizes
from gallery.search_pool import SearchPool

_FIRST_ROWS = 256
"""Rows rescored before it is decided whether to rescore more."""
_MOST_ROWS = 1024
"""The most rows rescored after the probe itself was compared with binary codes."""
_MOST_ROWS_ABOVE = 256
"""The same if only similarities of at least :data:`_SELDOM_REACHED` are wanted: few nonmated templates reach it."""
_SELDOM_REACHED = 0.25
_MOST_ROWS_THOROUGH = 8192
_SAMPLE_ROWS = 8192
"""Rows of the gallery sampled to find the Hamming distance of the nearest share."""
_BLOCK_ROWS = 16384
"""Rows whose binary codes stay in a processor's cache while several probes are compared with them."""
_MIN_SHARED_ROWS = 2048
"""Rescoring fewer rows than this takes less time than handing them to another core."""


@dataclass(frozen=True, slots=True)
class _NearRows:
    """Rows near a probe by binary code: all rows within a distance, and some beyond.

    Attributes:
        positions: see :mod:`gallery.index.scored_rows`.
        distances: shape ``(n,)``, Hamming distances.
    """

    positions: NDArray[np.int64]
    distances: NDArray[np.int32]


def search_candidates(
    segments: Sequence[Segment],
    probes: NDArray[np.float32],
    pool: SearchPool,
    *,
    subjects: int,
    at_least: float,
    thorough: bool,
    sizes: IndexSizes,
) -> Iterator[ScoredRows]:
    """Compare probes with the templates whose binary codes are near.

    The nearest few rows are rescored first. Then all rows within the distance at which a template as similar as the
    best one so far would be found (:func:`gallery.index.binary_codes.search_radius`), limited to the nearest share of
    the gallery. If these are more than :data:`_MOST_ROWS`, the ones whose codes have the highest inner product with
    the probe are rescored, which estimates more precisely than the probe's own code. The best subject is missed with a
    probability of about one in a thousand if a probe is well above nonmated similarities, and more often if it is not:
    docs/performance.md has figures. The runners-up are the best of the rescored rows. If these belong to fewer
    subjects than wanted, because a few subjects have very many templates, all templates are compared.

    Args:
        segments: coded segments.
        probes: shape ``(n, dimension)``, unit length.
        pool: the threads of the search.
        subjects: the number of subjects wanted for each probe, at most the number there are.
        at_least: templates with a lower similarity are not wanted, [-1, 1].
        thorough: always rescore more rows.
        sizes: how many rows are near.
    """
    is_seldom = at_least >= _SELDOM_REACHED and not thorough
    farthest = int(search_radius(at_least, probes.shape[1])) if is_seldom else probes.shape[1]
    near = _scan(segments, probes, pool, sizes, farthest)
    found = pool.run(
        [partial(_rescore, segments, pool, *each, at_least, thorough) for each in zip(probes, near, strict=True)]
    )
    for probe, scored in zip(probes, found, strict=True):
        is_enough = at_least >= _SELDOM_REACHED or np.unique(scored.subjects).size >= subjects
        yield scored if is_enough else _score(segments, all_positions(segments), probe, pool)


def _scan(
    segments: Sequence[Segment],
    probes: NDArray[np.float32],
    pool: SearchPool,
    sizes: IndexSizes,
    farthest: int,
) -> list[_NearRows]:
    """Find the rows near each probe, at most ``farthest`` away, block by block on the threads of the pool.

    A sample of the whole gallery sets the distance that counts as near. People who were enrolled together share a
    block; a limit for every block would let them displace each other.
    """
    # A single probe passes over long blocks; several probes share short ones.
    rows = max(_BLOCK_ROWS, 8 * _BLOCK_ROWS // len(probes))
    codes = [encode(probes, segment.mean) for segment in segments]
    limits = np.minimum(_distance_limits(segments, codes, sizes), np.int32(farthest))
    blocks = [
        partial(
            _scan_block, segment, first_position(number), of_probes, start, min(start + rows, segment.count), limits
        )
        for number, (segment, of_probes) in enumerate(zip(segments, codes, strict=True))
        for start in range(0, segment.count, rows)
    ]
    return [
        _NearRows(
            np.concatenate([near.positions for near in of_probe]), np.concatenate([near.distances for near in of_probe])
        )
        for of_probe in zip(*pool.run(blocks), strict=True)
    ]


def _distance_limits(
    segments: Sequence[Segment], probes: Sequence[NDArray[np.uint8]], sizes: IndexSizes
) -> NDArray[np.int32]:
    """Estimate, for each probe, the distance within which the nearest share of the gallery is."""
    count = sum(segment.count for segment in segments)
    step = max(1, count // _SAMPLE_ROWS)
    sample = np.concatenate(
        [
            hamming_distances(codes, np.ascontiguousarray(segment.codes[: segment.count : step]))
            for segment, codes in zip(segments, probes, strict=True)
        ],
        axis=1,
    )
    share = min(1.0, max(sizes.nearest_share, sizes.nearest_rows / count))
    last = math.ceil(sample.shape[1] * share) - 1
    limits: NDArray[np.int32] = np.partition(sample, last, axis=1)[:, last]
    return limits


def _scan_block(
    segment: Segment, position: int, probes: NDArray[np.uint8], start: int, stop: int, limits: NDArray[np.int32]
) -> list[_NearRows]:
    distances = hamming_distances(probes, segment.codes[start:stop])
    rows_of = [np.flatnonzero(of_probe <= limit) for of_probe, limit in zip(distances, limits, strict=True)]
    return [
        _NearRows(rows + (position + start), of_probe[rows]) for rows, of_probe in zip(rows_of, distances, strict=True)
    ]


def _rescore(
    segments: Sequence[Segment],
    pool: SearchPool,
    probe: NDArray[np.float32],
    near: _NearRows,
    at_least: float,
    thorough: bool,
) -> ScoredRows:
    if thorough:
        return _score(
            segments, _best_by_product(segments, near.positions, probe, _MOST_ROWS_THOROUGH, pool), probe, pool
        )
    if at_least >= _SELDOM_REACHED:
        return _score(segments, _best_by_product(segments, near.positions, probe, _MOST_ROWS_ABOVE, pool), probe, pool)
    if near.positions.size <= _FIRST_ROWS:
        return _score(segments, near.positions, probe, pool)
    limit = np.partition(near.distances, _FIRST_ROWS)[_FIRST_ROWS]
    is_first = near.distances <= limit
    found = _score(segments, near.positions[is_first], probe, pool)
    radius = search_radius(float(found.scores.max(initial=-1.0)), probe.size)
    if radius <= limit:
        return found
    within = near.positions[~is_first & (near.distances <= radius)]
    return joined([found, _score(segments, _best_by_product(segments, within, probe, _MOST_ROWS, pool), probe, pool)])


def _best_by_product(
    segments: Sequence[Segment], positions: NDArray[np.int64], probe: NDArray[np.float32], most: int, pool: SearchPool
) -> NDArray[np.int64]:
    """Keep the positions whose binary codes have the highest inner product with a probe, at most ``most``."""
    if positions.size <= most:
        return positions
    parts = [positions[start : start + _BLOCK_ROWS] for start in range(0, positions.size, _BLOCK_ROWS)]
    products = np.concatenate(pool.run([partial(_products, segments, part, probe) for part in parts]))
    least = np.partition(products, -most)[-most]
    best: NDArray[np.int64] = positions[products >= least]
    return best


def _products(
    segments: Sequence[Segment], positions: NDArray[np.int64], probe: NDArray[np.float32]
) -> NDArray[np.int32]:
    codes = [segments[number].codes.take(rows, axis=0) for number, rows in by_segment(positions)]
    return estimated_products(probe, np.concatenate(codes))


def _score(
    segments: Sequence[Segment], positions: NDArray[np.int64], probe: NDArray[np.float32], pool: SearchPool
) -> ScoredRows:
    """Compare a probe with the templates at these positions."""
    tasks = [
        partial(_score_rows, segments[number], first_position(number), rows[start : start + _BLOCK_ROWS], probe)
        for number, rows in by_segment(positions)
        for start in range(0, rows.size, _BLOCK_ROWS)
    ]
    return joined(pool.run(tasks) if positions.size > _MIN_SHARED_ROWS else [task() for task in tasks])


def _score_rows(segment: Segment, position: int, rows: NDArray[np.int64], probe: NDArray[np.float32]) -> ScoredRows:
    scores = segment.estimates(rows, probe)
    # Read last: see Segment.
    subjects = segment.subjects[rows]
    living = subjects != DEAD
    if living.all():
        return ScoredRows(rows + position, subjects, scores)
    return ScoredRows(rows[living] + position, subjects[living], scores[living])
