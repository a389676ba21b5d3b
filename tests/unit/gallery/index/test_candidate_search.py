"""Candidate search in a large gallery: how reliably it finds mated and nonmated templates, and how its mean adapts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.index.memory_index import MemoryIndex
from gallery.index.sizes import IndexSizes
from gallery.records.templates import EmbeddedTemplates

if TYPE_CHECKING:
    from tests.unit.gallery.index.conftest import Indexes

DIMENSION = 64


@pytest.fixture(scope="module")
def nonmated() -> NDArray[np.float32]:
    vectors = np.random.default_rng(11).normal(size=(60_000, 512))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def large(nonmated: NDArray[np.float32]) -> MemoryIndex:
    index = filled(nonmated)
    (segment,) = index.snapshot.segments
    assert segment.is_coded
    return index


def filled(vectors: NDArray[np.float32]) -> MemoryIndex:
    index = MemoryIndex(vectors.shape[1])
    ids = range(len(vectors))
    index.add(EmbeddedTemplates([f"s{n:05}" for n in ids], [""] * len(vectors), [f"t{n:05}" for n in ids], vectors))
    index.settle()
    return index


# No nonmated template reaches a cosine of 0.35. An enrolment only asks for subjects above a threshold.
@pytest.mark.parametrize(("cosine", "at_least"), [(0.45, -1.0), (0.35, -1.0), (0.45, 0.3), (0.35, 0.3)])
def test_mated_templates_are_found(
    exact: Indexes, large: MemoryIndex, nonmated: NDArray[np.float32], cosine: float, at_least: float
) -> None:
    mates = exact.rng.integers(0, len(nonmated), 300)
    probes = exact.near(nonmated[mates], cosine)
    results = large.search(probes, subjects=1, mean_of_best=1, at_least=at_least)
    found = [each.candidates[0].subject_id for each in results if each.candidates]
    assert sum(f"s{mate:05}" == one for one, mate in zip(found, mates, strict=True)) >= 299


def test_the_best_nonmated_template_is_usually_found(
    exact: Indexes, large: MemoryIndex, nonmated: NDArray[np.float32]
) -> None:
    probes = exact.unit(300, 512)
    nearest = (probes @ nonmated.T).argmax(axis=1)
    found = [each.candidates[0].subject_id for each in large.search(probes, subjects=1, mean_of_best=1)]
    assert sum(f"s{row:05}" == one for one, row in zip(found, nearest, strict=True)) >= 290


# In the last block, which is short, and among the others.
@pytest.mark.parametrize("after", [0, 20_000])
def test_people_enrolled_together_do_not_hide_the_second_best(
    exact: Indexes, nonmated: NDArray[np.float32], after: int
) -> None:
    index = filled(nonmated[: len(nonmated) - after])
    faces = exact.unit(10, 512)
    for number, face in enumerate(faces):
        many = exact.near(np.repeat(face[None], 60, axis=0), 0.7)
        ids = [f"m{number}-{each}" for each in range(60)]
        index.add(EmbeddedTemplates([f"many{number}"] * 60, [""] * 60, ids, many))
        exact.add(index, f"second{number}", "", f"2nd{number}", exact.near(face[None], 0.45)[0])
    for number, vector in enumerate(nonmated[len(nonmated) - after :]):
        exact.add(index, f"late{number}", "", f"l{number}", vector)
    index.settle()
    for number, found in enumerate(index.search(faces, subjects=2, mean_of_best=1)):
        assert [each.subject_id for each in found.candidates] == [f"many{number}", f"second{number}"]


def test_a_search_for_similar_subjects_alone_invents_none(exact: Indexes, large: MemoryIndex) -> None:
    for found in large.search(exact.unit(20, 512), subjects=5, mean_of_best=1, at_least=0.9):
        assert all(candidate.similarity < 0.9 for candidate in found.candidates)


def test_thorough_search_finds_the_true_runners_up() -> None:
    vectors = np.random.default_rng(3).normal(size=(20_000, 32))
    embeddings = np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
    index = filled(embeddings)
    rows = np.arange(0, 20_000, 200)
    similarities = embeddings[rows] @ embeddings.T
    similarities[np.arange(len(rows)), rows] = -1
    results = index.search(embeddings[rows], subjects=2, mean_of_best=1, thorough=True)
    found = np.array([each.candidates[1].similarity for each in results])
    assert (np.abs(found - similarities.max(axis=1)) < 1e-3).mean() >= 0.98


def test_the_mean_follows_a_gallery_that_drifts(sized: Callable[[IndexSizes], Indexes]) -> None:
    indexes = sized(replace(IndexSizes(), exact_rows=100))
    index = indexes.filled(indexes.unit(101))
    (away,) = indexes.unit(1)
    drifted = indexes.unit(4000) + 2 * away
    drifted /= np.linalg.norm(drifted, axis=1, keepdims=True)
    for number, vector in enumerate(drifted.astype(np.float32)):
        indexes.add(index, f"d{number}", "", f"d{number}", vector)
    index.settle()
    (segment,) = index.snapshot.segments
    assert segment.mean_rows > segment.count / 2
    assert segment.mean == pytest.approx(drifted.mean(axis=0), abs=0.05)
    expected = np.packbits(segment.values(slice(segment.count)) > segment.mean, axis=1)
    different = np.bitwise_count(segment.codes[: segment.count] ^ expected).sum()
    # Rows added after the estimate were coded before they were rounded to 16 bits.
    assert different < 1e-4 * segment.count * DIMENSION


def test_the_mean_follows_when_people_are_replaced(sized: Callable[[IndexSizes], Indexes]) -> None:
    indexes = sized(replace(IndexSizes(), exact_rows=100))
    index = indexes.filled(indexes.unit(1000))
    (away,) = indexes.unit(1)
    others = indexes.unit(4000) + 2 * away
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    for number, vector in enumerate(others.astype(np.float32)):
        index.remove_subject(f"s{number:05}" if number < 1000 else f"d{number - 1000}")
        indexes.add(index, f"d{number}", "", f"d{number}", vector)
    index.settle()
    assert len(index) == 1000
    assert index.snapshot.segments[-1].mean == pytest.approx(others.mean(axis=0), abs=0.05)
