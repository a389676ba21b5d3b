"""The aggregated embedding of a track."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.tracking.embedding_aggregate import AggregateSettings, EmbeddingAggregate, Sample, similarity


def direction(*values: float) -> NDArray[np.float32]:
    vector = np.zeros(8, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


ANNE, BEN = direction(1), direction(0, 1)


@pytest.fixture
def aggregate() -> EmbeddingAggregate:
    return EmbeddingAggregate(AggregateSettings(max_samples=4))


def test_there_is_no_mean_without_samples(aggregate: EmbeddingAggregate) -> None:
    assert aggregate.mean is None
    assert similarity(aggregate, aggregate) == -1


def test_the_mean_is_weighted_by_quality_and_has_unit_length(aggregate: EmbeddingAggregate) -> None:
    aggregate.add(Sample(direction(2, 1), 0.9))
    aggregate.add(Sample(direction(2, -1), 0.3))
    assert aggregate.mean is not None
    assert np.linalg.norm(aggregate.mean) == pytest.approx(1)
    assert aggregate.mean == pytest.approx(direction(4, 1), abs=1e-6)


def test_only_the_best_samples_are_kept(aggregate: EmbeddingAggregate) -> None:
    for quality in (0.2, 0.9, 0.3, 0.8, 0.7, 0.6):
        aggregate.add(Sample(ANNE, quality))
    assert aggregate.sample_count == 6
    assert aggregate.total_quality == pytest.approx(0.9 + 0.8 + 0.7 + 0.6)


def test_a_face_of_quality_zero_counts_if_it_is_the_only_one(aggregate: EmbeddingAggregate) -> None:
    aggregate.add(Sample(ANNE, 0.0))
    assert aggregate.mean == pytest.approx(ANNE)


def test_a_sample_is_of_the_same_face_an_outlier_or_neither(aggregate: EmbeddingAggregate) -> None:
    aggregate.add(Sample(ANNE, 0.9))
    same, unclear, other = (Sample(direction(tilt, 1), 0.9) for tilt in (0.4, 0.2, 0.1))
    assert [aggregate.is_same_face(each.embedding) for each in (same, unclear, other)] == [True, False, False]
    assert [aggregate.is_outlier(each) for each in (same, unclear, other)] == [False, False, True]


def test_a_sample_of_low_quality_is_no_outlier_and_not_the_same_face(aggregate: EmbeddingAggregate) -> None:
    aggregate.add(Sample(ANNE, 0.9))
    assert not aggregate.is_outlier(Sample(BEN, 0.1))
    assert not aggregate.is_same_face(BEN)


def test_the_first_sample_is_of_the_same_face(aggregate: EmbeddingAggregate) -> None:
    assert aggregate.is_same_face(ANNE)
    assert not aggregate.is_outlier(Sample(ANNE, 0.9))


def test_a_merged_aggregate_has_the_samples_of_both(aggregate: EmbeddingAggregate) -> None:
    other = EmbeddingAggregate(AggregateSettings())
    aggregate.add(Sample(ANNE, 0.5))
    other.add(Sample(direction(1, 0.2), 0.5))
    aggregate.merge(other)
    assert aggregate.sample_count == 2
    assert similarity(aggregate, other) > 0.99


def test_the_crops_of_the_best_samples_are_kept() -> None:
    aggregate = EmbeddingAggregate(AggregateSettings(max_samples=4, max_crops=2))
    assert aggregate.crops(9) == []
    for quality in (0.2, 0.9, 0.3, 0.8, 0.7):
        aggregate.add(Sample(ANNE, quality, np.full((112, 112, 3), 100 * quality, np.uint8)))
    assert [int(crop[0, 0, 0]) for crop in aggregate.crops(9)] == [90, 80]
    assert [int(crop[0, 0, 0]) for crop in aggregate.crops(1)] == [90]


def test_after_a_change_of_the_model_only_what_it_has_embedded_counts(aggregate: EmbeddingAggregate) -> None:
    for quality in (0.2, 0.9, 0.3, 0.8):
        aggregate.add(Sample(ANNE, quality, np.zeros((112, 112, 3), np.uint8)))
    anew = direction(0, 0, 1)[:4]  # of another dimension
    aggregate.embed_anew([anew, anew])
    assert aggregate.sample_count == 2
    assert aggregate.total_quality == pytest.approx(0.9 + 0.8)
    assert aggregate.mean == pytest.approx(anew)
    aggregate.add(Sample(anew, 0.1))
    assert aggregate.sample_count == 3
