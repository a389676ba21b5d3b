"""Runs the parts of a search on several threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")


BACKGROUND = 5
"""The niceness of work that nobody waits for: beside a busy thread it gets a quarter of a core. With less, it would
hold up all other threads whenever it has Python's lock and no core."""


def lower_priority(niceness: int) -> None:
    """Let other threads run before the calling one, if the system gives threads a niceness of their own.

    Args:
        niceness: 0 to 19, see nice(2); 0 changes nothing.
    """
    if niceness and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


class SearchPool:
    """Shares the parts of a search between the thread that searches and idle helper threads.

    Searches that run at the same time share the helpers. The calling thread works through its own tasks and helpers
    take some of them off it, so a search never waits for another one. Helpers end when nothing refers to the pool.

    Args:
        threads: most threads that work on one search, the calling one among them; at least 1. With 1 there are no
            helpers.
        niceness: of the helpers, see :func:`lower_priority`.
    """

    def __init__(self, threads: int = 1, *, niceness: int = 0) -> None:
        self._helpers = threads - 1
        self._executor = ThreadPoolExecutor(
            max(1, self._helpers), thread_name_prefix="search", initializer=partial(lower_priority, niceness)
        )

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
