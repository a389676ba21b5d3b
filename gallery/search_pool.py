"""Runs the parts of a search on several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class SearchPool:
    """Shares the parts of a search between the thread that searches and idle helper threads.

    Searches that run at the same time share the helpers. The calling thread works through its own tasks and helpers
    take some of them off it, so a search never waits for another one. Helpers end when nothing refers to the pool.

    Args:
        threads: most threads that work on one search, the calling one among them; at least 1. With 1 there are no
            helpers.
    """

    def __init__(self, threads: int = 1) -> None:
        self._helpers = threads - 1
        self._executor = ThreadPoolExecutor(max(1, self._helpers), thread_name_prefix="search")

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Run tasks and return their results, in the order of the tasks.

        Raises:
            Exception: what a task raises.
        """
        results: dict[int, T] = {}
        left = iter(enumerate(tasks))

        def work() -> None:
            for number, task in left:
                results[number] = task()

        helping = [self._executor.submit(work) for _ in range(min(len(tasks) - 1, self._helpers))]
        work()
        for helper in helping:
            if not helper.cancel():
                helper.result()
        return [results[number] for number in range(len(tasks))]
