"""Whoever gets a lock does the work of all who wait for it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gallery.together import MOST_TOGETHER, Together
from tests.waiting import PATIENCE, until

UNLUCKY = 13_000


class Doubling:
    """Doubles numbers that threads bring while the lock is held, and notes which were doubled together."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.together: Together[int, int] = Together(self.lock)
        self.groups: list[list[int]] = []

    def double(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        """The work: no number is below zero, and one of them fails the work."""
        self.groups.append(list(numbers))
        if UNLUCKY in numbers:
            raise RuntimeError("the work failed")
        return [2 * each if each >= 0 else ValueError(f"{each} is below zero") for each in numbers]

    def of(self, numbers: Sequence[int]) -> list[Future[int]]:
        """Have all numbers doubled, each by a thread that comes while the lock is held, in this order."""
        with ThreadPoolExecutor(len(numbers)) as threads:
            with self.lock:
                waiting = []
                for number in numbers:
                    waiting.append(threads.submit(self.together.do, number, self.double))
                    until(lambda: self.together.waiting == len(waiting))
            return waiting


def test_one_thread_does_the_work_of_all_who_wait() -> None:
    doubling = Doubling()
    assert [each.result() for each in doubling.of(range(5))] == [0, 2, 4, 6, 8]
    assert doubling.groups == [[0, 1, 2, 3, 4]]


def test_a_thread_that_is_alone_works_at_once() -> None:
    doubling = Doubling()
    assert [doubling.together.do(each, doubling.double) for each in (3, 4)] == [6, 8]
    assert doubling.groups == [[3], [4]]


def test_no_group_is_larger_than_allowed() -> None:
    doubling = Doubling()
    count = 2 * MOST_TOGETHER + 1
    assert [each.result() for each in doubling.of(range(count))] == [2 * each for each in range(count)]
    assert [len(each) for each in doubling.groups] == [MOST_TOGETHER, MOST_TOGETHER, 1]


def test_an_error_of_one_item_is_its_own() -> None:
    one, two, three = Doubling().of([1, -2, 3])
    assert (one.result(), three.result()) == (2, 6)
    with pytest.raises(ValueError, match="-2 is below zero"):
        two.result()


def test_an_error_of_the_work_is_told_to_all_and_the_next_ones_are_done() -> None:
    doubling = Doubling()
    for each in doubling.of([1, UNLUCKY]):
        with pytest.raises(RuntimeError):
            each.result()
    assert doubling.together.do(5, doubling.double) == 10


def test_an_error_of_the_work_keeps_no_item_in_memory() -> None:
    class Item:
        """An item."""

    def failing(items: Sequence[Item]) -> Sequence[Item | Exception]:
        raise RuntimeError("the work failed")

    together: Together[Item, Item] = Together(threading.Lock())
    item = Item()
    gone = weakref.ref(item)
    gc.disable()
    try:
        with pytest.raises(RuntimeError) as raised:
            together.do(item, failing)
        del item, raised
        assert gone() is None
    finally:
        gc.enable()


def test_whoever_has_an_answer_does_not_wait_for_the_next_ones() -> None:
    """The next one comes while they are worked on, and is held up; nobody before it needs the lock again."""
    doubling = Doubling()
    begun, held = threading.Event(), threading.Event()

    def work(numbers: Sequence[int]) -> Sequence[int | Exception]:
        if 2 in numbers:
            begun.set()
            until(lambda: doubling.together.waiting == 1)
        elif 100 in numbers:
            held.wait(PATIENCE)
        return doubling.double(numbers)

    with ThreadPoolExecutor(4) as threads:
        with doubling.lock:
            waiting = []
            for number in (2, 3):
                waiting.append(threads.submit(doubling.together.do, number, work))
                until(lambda: doubling.together.waiting == len(waiting))
        assert begun.wait(PATIENCE)
        late = [threads.submit(doubling.together.do, 100, work)]
        assert [each.result(PATIENCE) for each in waiting] == [4, 6]
        held.set()
        assert late[0].result(PATIENCE) == 200


def test_whoever_is_interrupted_while_it_waits_holds_nobody_up() -> None:
    doubling = Doubling()

    def interrupted(_: Sequence[int]) -> Sequence[int | Exception]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        doubling.together.do(1, interrupted)
    assert doubling.together.do(2, doubling.double) == 4
    assert doubling.together.waiting == 0
