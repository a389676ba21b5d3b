"""Searches of an index in memory, exact and coded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gallery.index.protocol import SearchResult
from gallery.index.sizes import IndexSizes

if TYPE_CHECKING:
    from tests.unit.gallery.index.conftest import Indexes

DIMENSION = 64
CODED_ERROR = 4e-4
"""Maximum error of a similarity in a coded segment."""


def test_every_template_finds_its_subject(indexes: Indexes) -> None:
    vectors = indexes.unit(300)
    found = indexes.filled(vectors, templates_each=3).search(vectors, subjects=1, mean_of_best=1)
    assert [each.candidates[0].template_id for each in found] == [f"t{n:05}" for n in range(300)]
    assert [each.candidates[0].similarity for each in found] == pytest.approx([1.0] * 300, abs=CODED_ERROR)
    assert {each.templates_compared for each in found} == {300}


def test_exact_similarities_have_no_error(exact: Indexes) -> None:
    vectors = exact.unit(300)
    found = exact.filled(vectors).search(vectors, subjects=1, mean_of_best=1)
    assert {each.candidates[0].similarity for each in found} <= {1.0, float(np.float32(1 - 2**-24))}


def test_no_probes_give_no_results_and_an_empty_index_no_candidates(indexes: Indexes) -> None:
    index = indexes.filled(indexes.unit(100))
    assert index.search(np.empty((0, DIMENSION), np.float32), subjects=1, mean_of_best=1) == ()
    assert indexes.search_one(indexes.empty(), indexes.unit(1)[0]) == SearchResult((), 0)


def test_a_probe_has_the_same_result_alone_and_in_a_batch(indexes: Indexes) -> None:
    index = indexes.filled(indexes.unit(500))
    index.settle()
    probes = indexes.unit(70)
    together = index.search(probes, subjects=5, mean_of_best=1)
    assert together == tuple(indexes.search_one(index, probe, 5) for probe in probes)


@pytest.mark.parametrize("count", [3, 17, 100, 257])
def test_equal_templates_have_equal_similarities_in_every_row(indexes: Indexes, count: int) -> None:
    (vector,) = indexes.unit(1)
    index = indexes.empty()
    others = indexes.unit(count)
    for number in indexes.rng.permutation(count):
        indexes.add(index, f"twin{number:03}", "", f"t{number}", vector)
        indexes.add(index, f"other{number:03}", "", f"o{number}", others[number])
    (probe,) = indexes.unit(1)
    for seen in (probe, vector):
        candidates = indexes.search_one(index, seen, 2 * count).candidates
        twins = [each for each in candidates if each.subject_id.startswith("twin")]
        assert len({each.similarity for each in twins}) == 1
        assert [each.subject_id for each in twins] == [f"twin{number:03}" for number in range(count)]


def test_ties_at_the_last_rank_go_to_the_lowest_ids(indexes: Indexes) -> None:
    for count in range(30, 120, 7):
        (vector, probe) = indexes.unit(2)
        index = indexes.empty()
        for number in indexes.rng.permutation(count):
            indexes.add(index, f"twin{number:03}", "", f"t{number}", vector)
        names = [each.subject_id for each in indexes.search_one(index, probe, 3).candidates]
        assert names == ["twin000", "twin001", "twin002"]


@pytest.mark.parametrize("exact_rows", [16_384, 20])
def test_a_subject_with_very_many_templates_does_not_crowd_out_others(
    sized: Callable[[IndexSizes], Indexes], exact_rows: int
) -> None:
    indexes = sized(IndexSizes(exact_rows=exact_rows, segment_rows=64, nearest_share=1 / 128, nearest_rows=5))
    (probe,) = indexes.unit(1)
    index = indexes.empty()
    for number in range(400):
        indexes.add(index, "crowd", "", f"c{number}", probe)
    for number, vector in enumerate(indexes.unit(6)):
        indexes.add(index, f"s{number}", "", f"t{number}", vector)
    found = [each.subject_id for each in indexes.search_one(index, probe, 5).candidates]
    assert found[0] == "crowd"
    assert len(found) == 5


def test_similarity_can_be_the_mean_over_the_best_templates(indexes: Indexes) -> None:
    owners = indexes.rng.integers(0, 40, 300)
    vectors = indexes.unit(300)
    index = indexes.empty()
    for number, (owner, vector) in enumerate(zip(owners, vectors, strict=True)):
        indexes.add(index, f"s{owner:02}", "", f"t{number}", vector)
    for probe in indexes.unit(20):
        scores = vectors.astype(np.float64) @ probe
        means = {f"s{owner:02}": np.sort(scores[owners == owner])[-3:].mean() for owner in set(owners)}
        expected = sorted(means, key=lambda subject: -means[subject])[:5]
        found = indexes.search_one(index, probe, 5, mean_of_best=3).candidates
        assert [each.similarity for each in found] == pytest.approx([means[each] for each in expected], abs=CODED_ERROR)
        own = index.similarity(found[0].subject_id, probe, mean_of_best=3)
        assert own == pytest.approx(found[0].similarity, abs=1e-6)


def test_a_new_name_is_in_the_next_result(indexes: Indexes) -> None:
    vectors = indexes.unit(30)
    index = indexes.filled(vectors)
    index.rename("s00001", "renamed")
    index.rename("unknown", "ignored")
    assert indexes.search_one(index, vectors[1]).candidates[0].display_name == "renamed"


def test_similarity_stays_within_minus_one_and_one(exact: Indexes) -> None:
    vector = np.full(DIMENSION, 1 / 8, np.float32) * np.float32(1 + 2**-22)
    index = exact.filled(vector[None])
    assert index.similarity("s00000", vector, mean_of_best=1) == 1.0
    assert index.similarity("s00000", -vector, mean_of_best=1) == -1.0


def test_a_template_id_that_is_too_long_is_refused(exact: Indexes) -> None:
    index = exact.filled(exact.unit(3))
    with pytest.raises(ValueError, match="at most 36"):
        exact.add(index, "s", "", "t" * 37, exact.unit(1)[0])
    assert len(index) == 3


@pytest.mark.parametrize("dimension", [1, 7, 64, 100, 512])
def test_embeddings_of_any_dimension_can_be_coded(sized: Callable[[IndexSizes], Indexes], dimension: int) -> None:
    indexes = sized(replace(IndexSizes(), exact_rows=20))
    vectors = indexes.unit(200, dimension)
    for found in indexes.filled(vectors).search(vectors[:50], subjects=1, mean_of_best=1):
        assert found.candidates[0].similarity == pytest.approx(1.0, abs=CODED_ERROR)
