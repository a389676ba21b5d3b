"""Work that one thread does for all threads that wait to do the same."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_TOGETHER = 16
"""The most items of one piece of work: whoever comes next does not wait too long."""

Work: TypeAlias = Callable[[Sequence[Item]], Sequence[Answer | Exception]]


class Together(Generic[Item, Answer]):
    """A queue in front of a lock: whoever gets the lock does the work of all who wait for it.

    So a search reads memory once for several probes, and a transaction stores several templates. A thread that is alone
    waits for nobody.

    Args:
        lock: held by the thread that works.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._waiting: deque[tuple[Item, Future[Answer]]] = deque()

    @property
    def waiting(self) -> int:
        """How many items wait for the lock."""
        return len(self._waiting)

    def do(self, item: Item, work: Work[Item, Answer]) -> Answer:
        """Have the work done for an item, by this thread or by another one.

        Args:
            item: the item.
            work: does the work for items, in the order in which they came, and returns an answer or an error for each.
                All callers give the same one. If it raises an error, all items get it.

        Raises:
            Exception: the item's error.
        """
        mine: Future[Answer] = Future()
        self._waiting.append((item, mine))
        try:
            while not mine.done():
                with self._lock:
                    if not mine.done():
                        self._work(work)
            return mine.result()
        finally:
            del mine  # its error's traceback leads back here: such a circle would keep the items in memory

    def _work(self, work: Work[Item, Answer]) -> None:
        group: list[tuple[Item, Future[Answer]]] = []
        try:
            while self._waiting and len(group) < MOST_TOGETHER:
                group.append(self._waiting.popleft())
            for (_, future), answer in zip(group, work([item for item, _ in group]), strict=True):
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        except BaseException as error:
            _fail([future for _, future in group if not future.done()], error)
        finally:
            group.clear()  # the traceback of an error of the work leads here


def _fail(futures: Sequence[Future[Answer]], error: BaseException) -> None:
    for future in futures:
        future.set_exception(error)
