"""Work that one thread does for all threads that wait to do the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_TOGETHER = 16
"""The most items of one piece of work: whoever comes next does not wait too long."""

_SECONDS = 1.0
"""How often whoever waits looks whether anybody works."""

Work: TypeAlias = Callable[[Callable[[], Sequence[Item]]], Sequence[Answer | Exception]]


class Together(Generic[Item, Answer]):
    """A queue in front of a lock: the first one in it does the work of all who are waiting when it gets the lock.

    So a search reads memory once for several probes, and a transaction stores several templates. A thread that is alone
    waits for nobody. One whose work was done by another does not wait for the lock again.

    A thread may be interrupted anywhere, as Ctrl-C interrupts the main thread. The others do not wait for it for ever,
    and their items that it was working on are worked on again.

    Args:
        lock: held by the thread that works.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._queue_lock = threading.Lock()
        self._waiting: list[_Waiting[Item, Answer]] = []

    @property
    def waiting(self) -> int:
        """How many items have no answer yet."""
        return len(self._waiting)

    def do(self, item: Item, work: Work[Item, Answer]) -> Answer:
        """Have the work done for an item, by this thread or by another one.

        Args:
            item: the item.
            work: calls what it is given, once, to get the items that wait by then, in the order in which they came. It
                does the work for them, and returns an answer or an error for each. If it raises an error, all of them
                get it. All callers give the same one.

        Raises:
            Exception: the item's error.
        """
        mine: _Waiting[Item, Answer] = _Waiting(item)
        try:
            self._enter(mine)
            while not mine.answers:
                if mine.leads:
                    with self._lock:
                        if not mine.answers:  # somebody else may have led, too
                            self._work(work)
                elif not mine.is_woken() and not self._lock.locked():
                    mine.leads = True  # whoever led may have been interrupted before it could wake anybody
            if isinstance(mine.answers[0], Exception):
                raise mine.answers[0]
            return mine.answers[0]
        finally:
            self._leave(mine)
            del mine  # its error's traceback leads back here: such a circle would keep the items in memory

    def _enter(self, mine: _Waiting[Item, Answer]) -> None:
        with self._queue_lock:
            mine.leads = not self._waiting
            self._waiting.append(mine)

    def _leave(self, mine: _Waiting[Item, Answer]) -> None:
        """Let the next one lead."""
        with self._queue_lock:
            self._waiting = [each for each in self._waiting if each is not mine and not each.answers]
            if mine.leads and self._waiting:
                self._waiting[0].lead()

    def _work(self, work: Work[Item, Answer]) -> None:
        group: list[_Waiting[Item, Answer]] = []

        def take() -> list[Item]:
            with self._queue_lock:
                group[:] = [each for each in self._waiting if not each.answers][:MOST_TOGETHER]
            return [each.item for each in group]

        try:
            _answer(group, work(take))
        except Exception as error:
            if not group:
                take()
            _fail(group, error)
        finally:
            group.clear()  # the traceback of an error of the work leads here


class _Waiting(Generic[Item, Answer]):
    """An item in the queue; its thread is woken when it has an answer, or is to lead.

    A thread that is interrupted leaves no lock of it locked, as it could leave that of a :class:`threading.Event`.

    Attributes:
        item: the item.
        answers: its answer, or its error; empty while it has none.
        leads: whether its thread does the work, and wakes the next one.
    """

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answers: list[Answer | Exception] = []
        self.leads = False
        self._calls: SimpleQueue[None] = SimpleQueue()

    def lead(self) -> None:
        self.leads = True
        self._calls.put(None)

    def end(self, answer: Answer | Exception) -> None:
        self.answers.append(answer)
        self._calls.put(None)

    def is_woken(self) -> bool:
        """Wait to be woken; return whether that happened in time."""
        try:
            self._calls.get(timeout=_SECONDS)
        except Empty:
            return False
        return True


def _answer(waiting: Sequence[_Waiting[Item, Answer]], answers: Sequence[Answer | Exception]) -> None:
    # In a function of its own: the traceback of an error leads to the variables of its caller.
    for each, answer in zip(waiting, answers, strict=True):
        each.end(answer)


def _fail(waiting: Sequence[_Waiting[Item, Answer]], error: Exception) -> None:
    for each in waiting:
        if not each.answers:
            each.end(error)
