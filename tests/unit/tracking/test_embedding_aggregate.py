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
    return EmbeddingAggregate(AggregateSettings(max_samples=4, max_outliers=3))


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


def test_one_outlier_changes_nothing_but_raises_doubt(aggregate: EmbeddingAggregate) -> None:
    aggregate.add(Sample(ANNE, 0.9))
    assert not aggregate.add(Sample(BEN, 0.9))
    assert aggregate.is_in_doubt
    assert aggregate.mean == pytest.approx(ANNE)


def test_doubt_ends_with_a_sample_that_fits(aggregate: EmbeddingAggregate) -> None:
    aggregate.add(Sample(ANNE, 0.9))
    aggregate.add(Sample(BEN, 0.9))
    aggregate.add(Sample(ANNE, 0.9))
    assert not aggregate.is_in_doubt


def test_several_outliers_in_a_row_replace_all_samples(aggregate: EmbeddingAggregate) -> None:
    for _ in range(4):
        aggregate.add(Sample(ANNE, 1.0))
    assert [aggregate.add(Sample(BEN, 0.6)) for _ in range(3)] == [False, False, True]
    assert aggregate.mean == pytest.approx(BEN)
    assert aggregate.sample_count == 3


def test_a_sample_of_low_quality_is_no_outlier(aggregate: EmbeddingAggregate) -> None:
    aggregate.add(Sample(ANNE, 0.9))
    for _ in range(5):
        assert not aggregate.add(Sample(BEN, 0.1))
    assert not aggregate.is_in_doubt
    assert aggregate.mean is not None
    assert float(aggregate.mean @ ANNE) > 0.9


def test_a_merged_aggregate_has_the_samples_of_both(aggregate: EmbeddingAggregate) -> None:
    other = EmbeddingAggregate(AggregateSettings())
    aggregate.add(Sample(ANNE, 0.5))
    other.add(Sample(direction(1, 0.2), 0.5))
    aggregate.merge(other)
    assert aggregate.sample_count == 2
    assert similarity(aggregate, other) > 0.99
