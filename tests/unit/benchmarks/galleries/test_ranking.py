"""The experiment with a learned ranking, on made-up faces with a known answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facet.benchmarks.galleries.ranking import PLAIN, EmbeddedSet, Ranking, compare, shortage
from facet.benchmarks.galleries.templates import EmbeddedFace
from facet.evaluation.datasets.protocol import Entry, Role

pytest.importorskip("sklearn", reason="needs the package scikit-learn")

DIMENSION = 24
LOGISTIC, ISOTONIC = "logistic regression", "isotonic regression of the similarity"


def faces(*, is_quality_useful: bool) -> EmbeddedSet:
    """Probes of 150 subjects and of 150 strangers; if quality is useful, that of strangers is lower."""
    rng = np.random.default_rng(2)
    people = rng.normal(size=(300, DIMENSION))

    def face(role: Role, person: int, noise: float) -> EmbeddedFace:
        vector = people[person] + noise * rng.normal(size=DIMENSION)
        low = is_quality_useful and role == "nonmated"
        quality = rng.uniform(0.0, 0.3) if low else rng.uniform(0.7 if is_quality_useful else 0.0, 1.0)
        entry = Entry(role, f"{person:03d}", f"{person}.jpg", Path(f"{person}.jpg"))
        return EmbeddedFace(entry, (vector / np.linalg.norm(vector)).astype(np.float32), quality)

    gallery = [face("gallery", person, 0.0) for person in range(150)]
    mated = [face("mated", person, 0.9) for person in range(150) for _ in range(3)]
    return EmbeddedSet.of(gallery, mated + [face("nonmated", person, 0.0) for person in range(150, 300)])


def by_name(measured: list[Ranking]) -> dict[str, Ranking]:
    return {each.scorer: each for each in measured}


def test_a_useful_feature_is_learned_and_beats_the_similarity() -> None:
    measured = by_name(compare(faces(is_quality_useful=True), splits=2))
    assert measured[PLAIN].fnir > 0.2
    assert measured[LOGISTIC].is_better
    assert measured[LOGISTIC].fnir < measured[PLAIN].fnir / 2
    assert measured[LOGISTIC].splits_better == 4


def test_no_scorer_beats_the_similarity_if_there_is_nothing_to_learn() -> None:
    measured = by_name(compare(faces(is_quality_useful=False), splits=2))
    assert not any(each.is_better for each in measured.values())


def test_isotonic_regression_keeps_the_order_of_similarities_and_changes_nothing() -> None:
    isotonic = by_name(compare(faces(is_quality_useful=False), splits=1))[ISOTONIC]
    assert (isotonic.difference, isotonic.low, isotonic.high) == (0.0, 0.0, 0.0)


def test_figures_are_reproducible() -> None:
    assert compare(faces(is_quality_useful=True), splits=1) == compare(faces(is_quality_useful=True), splits=1)


def test_a_set_too_small_to_split_is_rejected_with_its_numbers() -> None:
    enough = faces(is_quality_useful=True)
    assert shortage(enough).startswith("too few pictures with a face: 150 nonmated probes and 150 enrolled people")
    more = EmbeddedSet.of(enough.gallery, [*enough.probes, *enough.probes[450:500]])
    assert shortage(more) == ""
    assert "0 enrolled people" in shortage(EmbeddedSet.of([], enough.probes))
    assert "0 nonmated probes" in shortage(EmbeddedSet.of(enough.gallery, []))
