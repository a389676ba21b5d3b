"""Threads that share the parts of a search."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest

from gallery.index.memory_index import MemoryIndex
from gallery.index.sizes import IndexSizes
from gallery.records.templates import EmbeddedTemplates
from gallery.search_pool import SearchPool

DIMENSION = 32


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_are_in_the_order_of_the_tasks(threads: int, count: int) -> None:
    assert SearchPool(threads).run([partial(int, number) for number in range(count)]) == list(range(count))


def test_a_pool_of_one_thread_runs_everything_on_the_caller() -> None:
    assert set(SearchPool(1).run([threading.get_ident] * 20)) == {threading.get_ident()}


def test_helpers_work_beside_the_caller() -> None:
    meeting = threading.Barrier(3, timeout=60)
    assert len(SearchPool(3).run([meeting.wait] * 3)) == 3


def test_searches_do_not_wait_for_helpers_that_another_search_keeps_busy() -> None:
    pool, begun, free = SearchPool(2), threading.Barrier(3, timeout=60), threading.Event()

    def block() -> bool:
        begun.wait()
        return free.wait(60)

    other = threading.Thread(target=pool.run, args=([block, block],))
    other.start()
    begun.wait()
    assert pool.run([partial(int, number) for number in range(5)]) == list(range(5))
    free.set()
    other.join()


def test_an_error_of_a_task_is_raised() -> None:
    for threads in (1, 3):
        with pytest.raises(ZeroDivisionError):
            SearchPool(threads).run([lambda: 1, lambda: 1 // 0])


def test_an_index_finds_the_same_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((IndexSizes().exact_rows + 4000, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [str(number) for number in range(len(vectors))]
    found = []
    for pool in (None, SearchPool(3)):
        index = MemoryIndex(DIMENSION, pool)
        index.add(EmbeddedTemplates(names, names, names, vectors))
        found.append(index.search(vectors[:5], subjects=3, mean_of_best=1))
    assert found[0] == found[1]
