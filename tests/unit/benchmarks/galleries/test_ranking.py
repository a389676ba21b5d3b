"""The experiment with a learned ranking, on made-up faces of which the answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facet.benchmarks.galleries.ranking import PLAIN, Ranking, Set, compare, similarities, smallness
from facet.benchmarks.galleries.templates import EmbeddedFace
from facet.evaluation.datasets.protocol import Entry, Role

pytest.importorskip("sklearn", reason="needs the package scikit-learn")

DIMENSION = 24
LOGISTIC, ISOTONIC = "logistic regression", "isotonic regression of the similarity"


def faces(*, telling: bool) -> Set:
    """Probes of 150 subjects and of as many strangers; where quality is telling, strangers have a low one."""
    rng = np.random.default_rng(2)
    people = rng.normal(size=(300, DIMENSION))

    def face(role: Role, person: int, noise: float) -> EmbeddedFace:
        vector = people[person] + noise * rng.normal(size=DIMENSION)
        low = telling and role == "nonmated"
        quality = rng.uniform(0.0, 0.3) if low else rng.uniform(0.7 if telling else 0.0, 1.0)
        entry = Entry(role, f"{person:03d}", f"{person}.jpg", Path(f"{person}.jpg"))
        return EmbeddedFace(entry, (vector / np.linalg.norm(vector)).astype(np.float32), quality)

    gallery = [face("gallery", person, 0.0) for person in range(150)]
    mated = [face("mated", person, 0.9) for person in range(150) for _ in range(3)]
    return similarities(gallery, mated + [face("nonmated", person, 0.0) for person in range(150, 300)])


def by_name(measured: list[Ranking]) -> dict[str, Ranking]:
    return {each.scorer: each for each in measured}


def test_what_tells_strangers_apart_is_learned_and_earns_its_place() -> None:
    measured = by_name(compare(faces(telling=True), splits=2))
    assert measured[PLAIN].fnir > 0.2
    assert measured[LOGISTIC].earns_its_place
    assert measured[LOGISTIC].fnir < measured[PLAIN].fnir / 2
    assert measured[LOGISTIC].splits_better == 4


def test_where_there_is_nothing_to_learn_nothing_earns_its_place() -> None:
    measured = by_name(compare(faces(telling=False), splits=2))
    assert not any(each.earns_its_place for each in measured.values())


def test_isotonic_regression_keeps_the_order_and_so_changes_nothing() -> None:
    isotonic = by_name(compare(faces(telling=False), splits=1))[ISOTONIC]
    assert (isotonic.difference, isotonic.low, isotonic.high) == (0.0, 0.0, 0.0)


def test_the_same_faces_give_the_same_figures() -> None:
    assert compare(faces(telling=True), splits=1) == compare(faces(telling=True), splits=1)


def test_a_set_that_is_too_small_to_be_halved_is_told() -> None:
    enough = faces(telling=True)
    assert smallness(enough).startswith("has 150 non-mated probes and 150 enrolled people")
    more = similarities(enough.gallery, [*enough.probes, *enough.probes[450:500]])
    assert smallness(more) == ""
    assert "0 enrolled people" in smallness(similarities([], enough.probes))
    assert "has 0 non-mated probes" in smallness(similarities(enough.gallery, []))
