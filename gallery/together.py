"""Work that one thread does for all threads that wait to do the same."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_TOGETHER = 16
"""The most items of one piece of work: whoever comes next does not wait too long."""

Work: TypeAlias = Callable[[Sequence[Item]], Sequence[Answer | Exception]]


class Together(Generic[Item, Answer]):
    """A queue in front of a lock: the first one in it does the work of all who are waiting when it gets the lock.

    So a search reads memory once for several probes, and a transaction stores several templates. A thread that is alone
    waits for nobody. One whose work was done by another does not wait for the lock again.

    Args:
        lock: held by the thread that works.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._queue_lock = threading.Lock()
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._is_led = False

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
        mine: _Waiting[Item, Answer] = _Waiting(item)
        try:
            self._enter(mine)
            mine.woken.wait()
            if mine.leads:
                with self._lock:
                    self._work(work)
            return mine.answer.result()
        finally:
            self._leave(mine)
            del mine  # its error's traceback leads back here: such a circle would keep the items in memory

    def _enter(self, mine: _Waiting[Item, Answer]) -> None:
        with self._queue_lock:
            self._waiting.append(mine)
            if not self._is_led:
                self._is_led = mine.leads = True
                mine.woken.set()

    def _leave(self, mine: _Waiting[Item, Answer]) -> None:
        """Let the next one lead; whoever was interrupted while it waited is not waited for."""
        with self._queue_lock:
            if not mine.answer.done() and mine in self._waiting:
                self._waiting.remove(mine)
            if mine.leads:
                self._is_led = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].woken.set()

    def _work(self, work: Work[Item, Answer]) -> None:
        with self._queue_lock:
            group = list(islice(self._waiting, MOST_TOGETHER))
            for _ in range(len(group)):  # only now: whoever is in no group and not in the queue waits for ever
                self._waiting.popleft()
        try:
            for each, answer in zip(group, work([each.item for each in group]), strict=True):
                each.end(answer)
        except BaseException as error:
            _fail(group, error)
        finally:
            group.clear()  # the traceback of an error of the work leads here


class _Waiting(Generic[Item, Answer]):
    """An item in the queue; its thread is woken when it has an answer, or is to lead."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answer: Future[Answer] = Future()
        self.leads = False
        self.woken = threading.Event()

    def end(self, answer: Answer | BaseException) -> None:
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)
        self.woken.set()


def _fail(waiting: Sequence[_Waiting[Item, Answer]], error: BaseException) -> None:
    for each in waiting:
        if not each.answer.done():
            each.end(error)
