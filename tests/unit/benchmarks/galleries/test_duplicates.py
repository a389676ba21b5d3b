"""The benchmark of duplicates finds those that it has planted, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facet.benchmarks.galleries.duplicates.planted_duplicates import Embedded, search, with_planted

DIMENSION = 64


def people(count: int) -> Embedded:
    """Draw people with two faces each."""
    chance = np.random.default_rng(2)
    persons = np.repeat(chance.standard_normal((count, DIMENSION)), 2, axis=0)
    faces = persons + 0.5 * chance.standard_normal(persons.shape)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    return Embedded(tuple(f"p{number // 2:03d}" for number in range(2 * count)), faces.astype(np.float32))


def test_planted_pairs_are_the_ones_that_are_found(tmp_path: Path) -> None:
    faces = people(100)
    assert search(faces, tmp_path / "own.sqlite3", least_chance=0.5) == []
    doubled, pairs = with_planted(faces, 10, np.random.default_rng(0))
    assert len(pairs) == 10
    assert len(set(doubled.subject_ids)) == 110
    found = {each.pair for each in search(doubled, tmp_path / "doubled.sqlite3", least_chance=0.5)}
    assert found == pairs
