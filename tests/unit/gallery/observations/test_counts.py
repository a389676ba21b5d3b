"""Faces are counted in documented bins, and counts add up and survive storage."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from gallery.observations.counts_json import InvalidCounts, from_bytes, to_bytes
from gallery.observations.quantities import BINS, SHAPES, Quantity
from gallery.observations.records import NOTHING, Counts, total
from gallery.observations.tally import Tally
from gallery.records.identifications import Candidate, Decision, Identification
from tests.unit.gallery.observations.faces import MEASURES, a_tally


def _same(left: Counts, right: Counts) -> bool:
    return (
        left.decisions == right.decisions
        and (left.templates_compared, left.undecoded) == (right.templates_compared, right.undecoded)
        and all(np.array_equal(left.histograms[each], right.histograms[each]) for each in Quantity)
    )


def test_every_quantity_has_bins() -> None:
    assert SHAPES.keys() == set(Quantity)


@pytest.mark.parametrize(
    ("quantity", "value", "low", "high"),
    [
        (Quantity.BEST_SIMILARITY, 0.345, 0.34, 0.35),
        (Quantity.MARGIN, 0.405, 0.4, 0.41),
        (Quantity.FACE_SIZE, 64.0, 64.0, 76.109),
        (Quantity.YAW, -91.0, -90.0, -85.0),
        (Quantity.QUALITY, 1.0, 0.98, 1.0),
        (Quantity.FACES_PER_PICTURE, 0, 0.0, 1.0),
        (Quantity.FACES_PER_PICTURE, 1000, 100.0, 200.0),
    ],
)
def test_value_falls_into_its_bin(quantity: Quantity, value: float, low: float, high: float) -> None:
    bins = BINS[quantity]
    index = bins.index(value)
    assert bins.edges[index : index + 2] == pytest.approx((low, high), abs=1e-3)


def test_similarity_at_a_threshold_is_counted_above_it() -> None:
    bins = BINS[Quantity.BEST_SIMILARITY]
    for hundredths in range(-99, 100):
        threshold = float(np.float32(hundredths / 100))
        assert bins.edges[bins.index(threshold)] == threshold


def test_tally_counts_decisions_and_similarities_of_searches_only() -> None:
    counts = a_tally(matches=2, unknown=1, refused=1).counts()
    assert (counts.faces, counts.searches, counts.mean_templates) == (4, 3, 100)
    sums = {quantity: int(histogram.sum()) for quantity, histogram in counts.histograms.items()}
    assert sums[Quantity.BEST_SIMILARITY] == sums[Quantity.RUNNER_UP] == sums[Quantity.BEST_AND_QUALITY] == 3
    assert sums[Quantity.BEST_OF_MATCHES] == 2
    assert sums[Quantity.QUALITY] == sums[Quantity.FACES_PER_PICTURE] == 4


def test_tally_reads_the_runner_up_of_an_identification_with_one_candidate() -> None:
    tally = Tally()
    candidate = Candidate("anna", "", 0.6, "t")
    tally.add_identification(MEASURES, Identification(Decision.MATCH, (candidate,), 0.34, 0.35, 10), 0.34)
    (index,) = np.flatnonzero(tally.counts().histograms[Quantity.RUNNER_UP])
    assert BINS[Quantity.RUNNER_UP].edges[index] == pytest.approx(0.25)


def test_search_of_an_empty_gallery_has_no_similarity() -> None:
    tally = Tally()
    tally.add_identification(MEASURES, Identification(Decision.UNKNOWN, (), 0.34, None, 0), 0.34)
    counts = tally.counts()
    assert counts.searches == 1
    assert not counts.histograms[Quantity.BEST_SIMILARITY].any()


def test_counts_add_up() -> None:
    both = a_tally(2, 1, 0).counts() + a_tally(1, 0, 3).counts()
    assert _same(both, a_tally(3, 1, 3).counts())
    assert _same(total([]), NOTHING)


def test_counts_are_the_same_after_storage() -> None:
    counts = a_tally(40, 30, 20).counts()
    assert _same(from_bytes(to_bytes(counts)), counts)


def test_pictures_that_could_not_be_decoded_add_up_and_are_stored() -> None:
    tally = a_tally()
    tally.add_undecoded()
    counts = tally.counts() + tally.counts()
    assert from_bytes(to_bytes(counts)).undecoded == 2
    plain = json.loads(zlib.decompress(to_bytes(counts)))
    del plain["undecoded"]
    assert from_bytes(zlib.compress(json.dumps(plain).encode())).undecoded == 0, "earlier versions did not count them"


def test_quantities_of_newer_versions_are_ignored() -> None:
    plain = json.loads(zlib.decompress(to_bytes(a_tally().counts())))
    plain["histograms"]["not_known_yet"] = [[0], [1]]
    plain["decisions"]["not_known_yet"] = 5
    assert _same(from_bytes(zlib.compress(json.dumps(plain).encode())), a_tally().counts())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not compressed",
        zlib.compress(b"not json"),
        zlib.compress(b"[]"),
        zlib.compress(b'{"decisions":{},"templates_compared":-1,"histograms":{}}'),
        zlib.compress(b'{"decisions":{},"templates_compared":0,"histograms":{"yaw":[[99],[1]]}}'),
        zlib.compress(b'{"decisions":{},"templates_compared":0,"histograms":{"yaw":[[1],[]]}}'),
        zlib.compress(b" " * (2 << 20)),
        to_bytes(NOTHING)[:-5],
    ],
    ids=["empty", "plain", "no JSON", "a list", "negative", "no such bin", "no count", "too long", "cut off"],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidCounts):
        from_bytes(data)
