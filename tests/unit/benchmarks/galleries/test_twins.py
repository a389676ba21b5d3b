"""People who are made as similar as twins are confused more often, and less often beyond a margin."""

from __future__ import annotations

import numpy as np

from facet.benchmarks.galleries.duplicates.planted_duplicates import Embedded
from facet.benchmarks.galleries.twins.twins import measure

PEOPLE, PICTURES, DIMENSION = 30, 6, 64


def faces() -> Embedded:
    """Faces of people whose pictures have a cosine of about 0.6."""
    chance = np.random.default_rng(3)
    means = chance.normal(size=(PEOPLE, 1, DIMENSION))
    drawn = means + 0.8 * chance.normal(size=(PEOPLE, PICTURES, DIMENSION))
    unit = (drawn / np.linalg.norm(drawn, axis=2, keepdims=True)).reshape(-1, DIMENSION)
    names = tuple(f"s{number:02}" for number in range(PEOPLE) for _ in range(PICTURES))
    return Embedded(names, unit.astype(np.float32))


def test_a_margin_leaves_fewer_confusions_and_several_templates_fewer_still() -> None:
    rows = {(each.cosine, each.templates): each for each in measure(faces(), 0.1)}
    alike, less = rows[0.8, 1], rows[0.5, 1]
    assert alike.wrong > less.wrong
    assert alike.wrong_beyond < alike.wrong
    assert alike.kept < less.kept
    assert rows[0.8, 3].wrong < alike.wrong
    assert all(each.searches for each in rows.values())
