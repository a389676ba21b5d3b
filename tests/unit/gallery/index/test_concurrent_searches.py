"""Searches while another thread changes the index."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gallery.index.sizes import IndexSizes

if TYPE_CHECKING:
    from tests.unit.gallery.index.conftest import Indexes

CODED_ERROR = 4e-4


@pytest.mark.parametrize("rows", [16_384, 50])
def test_searches_during_changes_return_only_true_results(sized: Callable[[IndexSizes], Indexes], rows: int) -> None:
    indexes = sized(IndexSizes(exact_rows=rows, segment_rows=4 * rows, nearest_share=1.0))
    stay, come = indexes.unit(50), indexes.unit(200)
    index = indexes.filled(stay)
    is_over = threading.Event()
    wrong: list[object] = []

    def search() -> None:
        while not is_over.is_set():
            for number, found in enumerate(index.search(stay, subjects=2, mean_of_best=1)):
                best = found.candidates[0]
                if best.subject_id != f"s{number:05}" or best.display_name != f"name {number}":
                    wrong.append(found)
            for probe, found in zip(come, index.search(come, subjects=2, mean_of_best=1), strict=True):
                for each in found.candidates:
                    kind, number = each.subject_id.rstrip("0123456789"), int(each.template_id[1:])
                    true = float(probe @ (come if kind == "come" else stay)[number])
                    if abs(each.similarity - true) > CODED_ERROR:
                        wrong.append((each, true))

    searchers = [threading.Thread(target=search) for _ in range(2)]
    for searcher in searchers:
        searcher.start()
    for _ in range(10):
        for number, vector in enumerate(come):
            indexes.add(index, f"come{number}", "", f"c{number}", vector)
        for number in range(len(come)):
            index.remove_subject(f"come{number}")
    is_over.set()
    for searcher in searchers:
        searcher.join()
    index.settle()
    assert wrong == []
