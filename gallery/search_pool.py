"""Work for all the cores that are free."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")

_HELPERS = len(os.sched_getaffinity(0)) - 1
_pool = ThreadPoolExecutor(max(1, _HELPERS), thread_name_prefix="gallery")


def shared_out(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The results of tasks, in their order.

    The caller does them itself, but for those that a core with nothing else to do takes off it; so it never waits for
    others who share out work at the same time.
    """
    results: dict[int, T] = {}
    left = iter(enumerate(tasks))

    def work() -> None:
        for number, task in left:
            results[number] = task()

    helping = [_pool.submit(work) for _ in range(min(len(tasks) - 1, _HELPERS))]
    work()
    for helper in helping:
        if not helper.cancel():
            helper.result()
    return [results[number] for number in range(len(tasks))]


def leave_cores_to_callers() -> None:
    """Let linear algebra and OpenMP work on the thread that calls them, in the whole process.

    Their own threads go on spinning when a product is done, and take the core from whatever comes next: on two cores,
    faces were embedded half as fast after a search of two probes.
    """
    threadpool_limits(1)
