"""Removal from an index: removed rows are zeroed, running searches leave them out, and memory is given back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gallery.index.memory_index import MemoryIndex
from gallery.index.protocol import SearchResult
from gallery.index.segment import DEAD
from gallery.index.sizes import IndexSizes

if TYPE_CHECKING:
    from tests.unit.gallery.index.conftest import Indexes

CODED_ERROR = 4e-4
CODED = IndexSizes(exact_rows=20, nearest_share=1.0)


def zeroed_rows(index: MemoryIndex) -> int:
    """Count the dead rows, after checking that all their columns are zero."""
    dead = 0
    for segment in index.snapshot.segments:
        rows = np.flatnonzero(segment.subjects[: segment.count] == DEAD)
        columns = (segment.vectors, segment.scales, segment.template_ids, segment.codes)
        assert not any(column[rows].any() for column in columns)
        dead += rows.size
    return dead


def test_a_removed_template_is_not_found_and_its_row_is_zero(indexes: Indexes) -> None:
    vectors = indexes.unit(40)
    index = indexes.filled(vectors, templates_each=2)
    index.remove_subject("s00003")
    index.remove_template("s00000", "t00000")
    assert len(index) == 37
    assert index.similarity("s00003", vectors[6], mean_of_best=1) is None
    assert index.similarity("s00000", vectors[1], mean_of_best=1) == pytest.approx(1.0, abs=CODED_ERROR)
    assert zeroed_rows(index) == 3
    for row in (0, 6, 7):
        found = indexes.search_one(index, vectors[row], 20)
        assert all(each.template_id not in ("t00000", "t00006", "t00007") for each in found.candidates)
        assert found.templates_compared == 37


def test_a_search_that_began_before_a_removal_ignores_the_zeroed_row(indexes: Indexes) -> None:
    vectors = indexes.unit(40)
    index = indexes.filled(vectors)
    before = index.snapshot
    index.remove_subject("s00003")
    (found,) = before.search(vectors[3:4], subjects=40, mean_of_best=1, at_least=-1.0, thorough=False)
    assert len(found.candidates) == 39
    assert all(each.subject_id != "s00003" for each in found.candidates)


def test_a_search_that_began_before_renumbering_ignores_the_zeroed_row(
    sized: Callable[[IndexSizes], Indexes],
) -> None:
    indexes = sized(CODED)
    vectors = indexes.unit(400)
    index = indexes.filled(vectors)
    for subject in range(70):
        index.remove_subject(f"s{subject:05}")
    before = index.snapshot
    # Subject numbers as a running search has them after renumbering: in an array of its own.
    segments = tuple(replace(each, subjects=each.subjects.copy()) for each in before.segments)
    earlier = replace(before, segments=segments)
    index.remove_subject("s00399")
    (found,) = earlier.search(vectors[399:], subjects=3, mean_of_best=1, at_least=-1.0, thorough=False)
    assert found.candidates
    assert all(each.template_id and each.subject_id != "s00399" for each in found.candidates)


def test_an_emptied_index_returns_nobody_while_a_subject_is_added(sized: Callable[[IndexSizes], Indexes]) -> None:
    indexes = sized(replace(IndexSizes(), exact_rows=20))
    vectors = indexes.unit(30)
    index = indexes.filled(vectors)
    for subject in range(30):
        index.remove_subject(f"s{subject:05}")
    index.snapshot.subjects.add_templates(["new"], [""])
    assert indexes.search_one(index, vectors[0]) == SearchResult((), 0)


def test_repeated_filling_and_emptying_leaves_no_empty_segments(sized: Callable[[IndexSizes], Indexes]) -> None:
    indexes = sized(IndexSizes(exact_rows=20, segment_rows=64))
    index = indexes.empty()
    for turn in range(6):
        for number, vector in enumerate(indexes.unit(100)):
            indexes.add(index, f"s{number}", "", f"t{turn}-{number}", vector)
        for number in range(100):
            index.remove_subject(f"s{number}")
    assert len(index.snapshot.segments) <= 2


def test_segments_are_compacted_once_a_quarter_is_dead(indexes: Indexes) -> None:
    vectors = indexes.unit(1000)
    index = indexes.filled(vectors, templates_each=2)
    full = index.nbytes
    for subject in range(450):
        index.remove_subject(f"s{subject:05}")
        assert all(4 * segment.dead <= segment.count for segment in index.snapshot.segments)
    assert len(index) == 100
    assert len(index.snapshot.subjects) < 3 * 50
    assert index.nbytes < full / 3
    found = index.search(vectors[900:], subjects=1, mean_of_best=1)
    assert [each.candidates[0].template_id for each in found] == [f"t{n:05}" for n in range(900, 1000)]
    indexes.add(index, "s00001", "again", "new", vectors[3])
    assert indexes.search_one(index, vectors[3]).candidates[0].display_name == "again"


def test_a_cleared_index_holds_nothing(indexes: Indexes) -> None:
    vectors = indexes.unit(100)
    index = indexes.filled(vectors)
    segments = index.snapshot.segments
    index.clear()
    assert len(index) == 0
    assert not any(column.any() for each in segments for column in (each.vectors, each.codes, each.template_ids))
    assert indexes.search_one(index, vectors[0]).candidates == ()
