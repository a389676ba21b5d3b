"""From probes to the templates that may be the best ones, each with its similarity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gallery.index.binary_codes import hamming, most_agreeing, reach, sketch
from gallery.index.segment import DEAD, Segment, Vectors
from gallery.search_pool import SearchPool

NEAREST_SHARE = 1 / 64
"""The share of a gallery that is looked at more closely for a probe, at the most: those whose sketches are nearest."""
NEAREST_LEAST = 8192
_FIRST = 256
"""How many are rescored before it is asked whether more have to be."""
_MOST = 1024
"""How many are rescored at the most, after a comparison of the probe itself with the others' sketches."""
_MOST_ABOVE = 256
"""The same where only templates of at least :data:`_SELDOM_REACHED` are wanted: few strangers look more like them."""
_SELDOM_REACHED = 0.25
_MOST_THOROUGH = 8192
_SAMPLE = 8192
"""Rows of the whole gallery that tell how near the nearest share is."""
_BLOCK = 16384
"""Rows, whose sketches stay in a processor's cache while several probes are compared with them."""
_PLACES = 1 << 32
"""Of a segment, more than it has rows."""
_WORTH_SHARING = 2048
"""Rows, the rescoring of fewer of which takes less than handing them to another core."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Templates that were compared with a probe.

    Attributes:
        places: shape ``(n,)``, rising, in which segment and row they are: see :func:`by_segment`.
        codes: shape ``(n,)``, whose they are; dead ones are not among them.
        scores: shape ``(n,)``, float32, the cosines but for rounding.
    """

    places: NDArray[np.int64]
    codes: NDArray[np.int32]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Near:
    """What a scan found near a probe: all places within a distance, and some beyond.

    Attributes:
        places: as in :class:`Scored`.
        distances: shape ``(n,)``, of their sketches.
    """

    places: NDArray[np.int64]
    distances: NDArray[np.int32]


def by_segment(places: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The segments that rising places are in, and the rows in each."""
    start = 0
    while start < len(places):
        number = int(places[start]) // _PLACES
        stop = int(np.searchsorted(places, (number + 1) * _PLACES))
        yield number, places[start:stop] - number * _PLACES
        start = stop


def all_places(segments: Sequence[Segment]) -> NDArray[np.int64]:
    """Of all rows, the dead ones among them."""
    return np.concatenate([np.arange(each.count) + number * _PLACES for number, each in enumerate(segments)])


def compare_all(segments: Sequence[Segment], probes: NDArray[np.float32], pool: SearchPool) -> Iterator[Scored]:
    """Compare probes, shape ``(n, dimension)``, with all templates of a plain segment, which is the only one."""
    (segment,) = segments
    scores = _products(probes, segment.vectors[: segment.count], pool)
    # Read after the product: a row that was zeroed before has had its code marked dead before that.
    codes = segment.codes[: segment.count].copy()
    is_living = codes != DEAD
    if is_living.all():
        yield from (Scored(np.arange(codes.size), codes, of_probe) for of_probe in scores)
        return
    living = np.flatnonzero(is_living)
    yield from (Scored(living, codes[living], of_probe[living]) for of_probe in scores)


def compare_nearest(
    segments: Sequence[Segment],
    probes: NDArray[np.float32],
    pool: SearchPool,
    *,
    subjects: int,
    at_least: float,
    thorough: bool,
) -> Iterator[Scored]:
    """Compare probes with those templates whose sketches are near.

    The nearest few are rescored, then those within the distance at which a template as similar as the best one so far
    would be (see :func:`reach`), as far as :data:`NEAREST_SHARE` goes; where these are more than
    :data:`_MOST`, the ones whose sketches agree best with the probe's own values, which tell more than its sketch. So
    the best subject is missed with a probability of about one in a thousand where a probe is well above what
    strangers reach, and more often where it is not: docs/performance.md has figures. The runners-up are the best of
    what was rescored. Should those be fewer than the wanted subjects, because few have very many templates, all
    templates are compared.

    Args:
        segments: sketched ones.
        probes: shape ``(n, dimension)``, of unit length.
        pool: the threads that search.
        subjects: how many are wanted of each, not more than there are.
        at_least: templates of a lower similarity are not wanted, [-1, 1].
        thorough: rescore more, whatever is found.
    """
    near = _scan(segments, probes, pool)
    found = pool.run(
        [partial(_rescore, segments, pool, *each, at_least, thorough) for each in zip(probes, near, strict=True)]
    )
    for probe, scored in zip(probes, found, strict=True):
        is_enough = at_least >= _SELDOM_REACHED or np.unique(scored.codes).size >= subjects
        yield scored if is_enough else _score(segments, all_places(segments), probe, pool)


def _products(probes: NDArray[np.float32], vectors: Vectors, pool: SearchPool) -> NDArray[np.float32]:
    """The products of every probe with every vector."""
    starts = range(0, max(1, len(vectors)), _WORTH_SHARING)
    blocks = [vectors[start : start + _WORTH_SHARING] for start in starts]
    if len(probes) == 1:
        return np.concatenate(pool.run([partial(np.vecdot, block, probes[0]) for block in blocks]))[None]
    return np.concatenate(pool.run([partial(np.matmul, probes, block.T) for block in blocks]), axis=1)


def _scan(segments: Sequence[Segment], probes: NDArray[np.float32], pool: SearchPool) -> list[_Near]:
    """What is near each probe, found block by block by all the cores that are free.

    How near that is says a sample of the whole gallery, so that people who were enrolled together, and are in one
    block, do not take each other's place.
    """
    # One probe passes over long blocks; several share short ones.
    rows = max(_BLOCK, 8 * _BLOCK // len(probes))
    sketches = [sketch(probes, segment.mean) for segment in segments]
    limits = _limits(segments, sketches)
    blocks = [
        partial(_scan_block, segment, number * _PLACES, of_probes, start, min(start + rows, segment.count), limits)
        for number, (segment, of_probes) in enumerate(zip(segments, sketches, strict=True))
        for start in range(0, segment.count, rows)
    ]
    return [
        _Near(np.concatenate([near.places for near in of_probe]), np.concatenate([near.distances for near in of_probe]))
        for of_probe in zip(*pool.run(blocks), strict=True)
    ]


def _limits(segments: Sequence[Segment], probes: Sequence[NDArray[np.uint8]]) -> NDArray[np.int32]:
    """For each probe, the distance within which about the nearest share of the gallery is."""
    count = sum(segment.count for segment in segments)
    step = max(1, count // _SAMPLE)
    sample = np.concatenate(
        [
            hamming(sketches, np.ascontiguousarray(segment.sketches[: segment.count : step]))
            for segment, sketches in zip(segments, probes, strict=True)
        ],
        axis=1,
    )
    share = min(1.0, max(NEAREST_SHARE, NEAREST_LEAST / count))
    last = math.ceil(sample.shape[1] * share) - 1
    limits: NDArray[np.int32] = np.partition(sample, last, axis=1)[:, last]
    return limits


def _scan_block(
    segment: Segment, place: int, probes: NDArray[np.uint8], start: int, stop: int, limits: NDArray[np.int32]
) -> list[_Near]:
    distances = hamming(probes, segment.sketches[start:stop])
    rows_of = [np.flatnonzero(of_probe <= limit) for of_probe, limit in zip(distances, limits, strict=True)]
    return [_Near(rows + (place + start), of_probe[rows]) for rows, of_probe in zip(rows_of, distances, strict=True)]


def _rescore(
    segments: Sequence[Segment],
    pool: SearchPool,
    probe: NDArray[np.float32],
    near: _Near,
    at_least: float,
    thorough: bool,
) -> Scored:
    if thorough:
        return _score(segments, _agreeing(segments, near.places, probe, _MOST_THOROUGH, pool), probe, pool)
    if at_least >= _SELDOM_REACHED:
        within = near.places[near.distances <= reach(at_least, probe.size)]
        return _score(segments, _agreeing(segments, within, probe, _MOST_ABOVE, pool), probe, pool)
    if near.places.size <= _FIRST:
        return _score(segments, near.places, probe, pool)
    limit = np.partition(near.distances, _FIRST)[_FIRST]
    is_first = near.distances <= limit
    found = _score(segments, near.places[is_first], probe, pool)
    needed = reach(float(found.scores.max(initial=-1.0)), probe.size)
    if needed <= limit:
        return found
    further = _agreeing(segments, near.places[~is_first & (near.distances <= needed)], probe, _MOST, pool)
    return _joined([found, _score(segments, further, probe, pool)])


def _agreeing(
    segments: Sequence[Segment], places: NDArray[np.int64], probe: NDArray[np.float32], most: int, pool: SearchPool
) -> NDArray[np.int64]:
    """The places, or so many of them, whose sketches agree best with a probe."""
    if places.size <= most:
        return places
    size = max(2 * _WORTH_SHARING, most)
    parts = [places[start : start + size] for start in range(0, places.size, size)]
    agreements = np.concatenate(pool.run([partial(_agreements, segments, part, probe, most) for part in parts]))
    least = np.partition(agreements, -most)[-most]
    best: NDArray[np.int64] = places[agreements >= least]
    return best


def _agreements(
    segments: Sequence[Segment], places: NDArray[np.int64], probe: NDArray[np.float32], most: int
) -> NDArray[np.float32]:
    """How well the sketches in places agree with a probe; ``-inf`` of all but so many of the best."""
    sketches = np.concatenate([segments[number].sketches.take(rows, axis=0) for number, rows in by_segment(places)])
    rows, products = most_agreeing(probe, sketches, min(most, places.size))
    agreements = np.full(places.size, -np.inf, np.float32)
    agreements[rows] = products
    return agreements


def _score(
    segments: Sequence[Segment], places: NDArray[np.int64], probe: NDArray[np.float32], pool: SearchPool
) -> Scored:
    """Compare a probe with the templates in places."""
    tasks = [
        partial(_score_rows, segments[number], number * _PLACES, rows[start : start + _BLOCK], probe)
        for number, rows in by_segment(places)
        for start in range(0, rows.size, _BLOCK)
    ]
    return _joined(pool.run(tasks) if places.size > _WORTH_SHARING else [task() for task in tasks])


def _score_rows(segment: Segment, place: int, rows: NDArray[np.int64], probe: NDArray[np.float32]) -> Scored:
    scores = segment.estimates(rows, probe)
    # Read last: see Segment.
    codes = segment.codes[rows]
    living = codes != DEAD
    if living.all():
        return Scored(rows + place, codes, scores)
    return Scored(rows[living] + place, codes[living], scores[living])


def _joined(parts: Sequence[Scored]) -> Scored:
    if not parts:
        return Scored(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    if len(parts) == 1:
        return parts[0]
    return Scored(
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
