"""What is kept of a track's face."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.tracking.embedding_aggregate import Evidence, EvidenceSettings, Sample, similarity


def direction(*values: float) -> NDArray[np.float32]:
    vector = np.zeros(8, np.float32)
    vector[: len(values)] = values
    return vector / np.float32(np.linalg.norm(vector))


ANNE, BEN = direction(1), direction(0, 1)


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(EvidenceSettings(kept=4, strangers=3))


def test_nothing_is_known_before_the_first_sample(evidence: Evidence) -> None:
    assert evidence.mean is None
    assert similarity(evidence, evidence) == -1


def test_the_mean_is_weighted_with_quality_and_of_unit_length(evidence: Evidence) -> None:
    evidence.add(Sample(direction(2, 1), 0.9))
    evidence.add(Sample(direction(2, -1), 0.3))
    assert evidence.mean is not None
    assert np.linalg.norm(evidence.mean) == pytest.approx(1)
    assert evidence.mean == pytest.approx(direction(4, 1), abs=1e-6)


def test_only_the_best_are_kept(evidence: Evidence) -> None:
    for quality in (0.2, 0.9, 0.3, 0.8, 0.7, 0.6):
        evidence.add(Sample(ANNE, quality))
    assert evidence.taken == 6
    assert evidence.quality == pytest.approx(0.9 + 0.8 + 0.7 + 0.6)


def test_a_face_of_no_quality_counts_where_there_is_nothing_else(evidence: Evidence) -> None:
    evidence.add(Sample(ANNE, 0.0))
    assert evidence.mean == pytest.approx(ANNE)


def test_one_sample_of_somebody_else_changes_nothing_and_raises_doubt(evidence: Evidence) -> None:
    evidence.add(Sample(ANNE, 0.9))
    assert not evidence.add(Sample(BEN, 0.9))
    assert evidence.in_doubt
    assert evidence.mean == pytest.approx(ANNE)


def test_doubt_ends_with_the_person_s_own_face(evidence: Evidence) -> None:
    evidence.add(Sample(ANNE, 0.9))
    evidence.add(Sample(BEN, 0.9))
    evidence.add(Sample(ANNE, 0.9))
    assert not evidence.in_doubt


def test_several_samples_of_somebody_else_in_a_row_replace_all(evidence: Evidence) -> None:
    for _ in range(4):
        evidence.add(Sample(ANNE, 1.0))
    assert [evidence.add(Sample(BEN, 0.6)) for _ in range(3)] == [False, False, True]
    assert evidence.mean == pytest.approx(BEN)
    assert evidence.taken == 3


def test_a_poor_sample_says_nothing_about_whose_it_is(evidence: Evidence) -> None:
    evidence.add(Sample(ANNE, 0.9))
    for _ in range(5):
        assert not evidence.add(Sample(BEN, 0.1))
    assert not evidence.in_doubt
    assert evidence.mean is not None
    assert float(evidence.mean @ ANNE) > 0.9


def test_joined_evidence_is_of_both(evidence: Evidence) -> None:
    other = Evidence(EvidenceSettings())
    evidence.add(Sample(ANNE, 0.5))
    other.add(Sample(direction(1, 0.2), 0.5))
    evidence.join(other)
    assert evidence.taken == 2
    assert similarity(evidence, other) > 0.99
