"""Whoever gets a lock does the work of all who wait for it."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

import pytest

from gallery import together
from gallery.together import MOST_TOGETHER, Together, Work
from tests.waiting import PATIENCE, until

UNLUCKY = 13_000


class Doubling:
    """Doubles numbers that threads bring while the lock is held, and notes which were doubled together."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.together: Together[int, int] = Together(self.lock)
        self.groups: list[list[int]] = []

    def double(self, take: Callable[[], Sequence[int]]) -> Sequence[int | Exception]:
        """The work on those who wait."""
        return self.doubled(take())

    def doubled(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
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


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_error_of_the_work_keeps_no_item_in_memory(has_begun: bool) -> None:
    class Item:
        """An item."""

    def failing(take: Callable[[], Sequence[Item]]) -> Sequence[Item | Exception]:
        if has_begun:
            take()
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

    def work(take: Callable[[], Sequence[int]]) -> Sequence[int | Exception]:
        numbers = take()
        if 2 in numbers:
            begun.set()
            until(lambda: doubling.together.waiting == 3)
        elif 100 in numbers:
            held.wait(PATIENCE)
        return doubling.doubled(numbers)

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


def test_whoever_comes_before_the_work_takes_its_items_is_among_them() -> None:
    """As those who come while an enrolment waits for the database."""
    doubling = Doubling()
    has_come = threading.Event()

    def work(take: Callable[[], Sequence[int]]) -> Sequence[int | Exception]:
        has_come.wait(PATIENCE)
        return doubling.double(take)

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(doubling.together.do, number, work) for number in (1, 2)]
        until(lambda: doubling.together.waiting == 2)
        has_come.set()
        assert [each.result(PATIENCE) for each in waiting] == [2, 4]
    assert [sorted(group) for group in doubling.groups] == [[1, 2]]


def test_work_that_fails_before_it_takes_its_items_fails_all_who_wait() -> None:
    doubling = Doubling()

    def work(_: Callable[[], Sequence[int]]) -> Sequence[int | Exception]:
        until(lambda: doubling.together.waiting == 2)
        raise RuntimeError("the work cannot begin")

    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(doubling.together.do, number, work) for number in (1, 2)]:
            with pytest.raises(RuntimeError, match="cannot begin"):
                each.result(PATIENCE)
    assert doubling.together.do(5, doubling.double) == 10


class Interruption(BaseException):
    """What a thread is interrupted by."""


def test_an_interruption_of_the_work_is_not_told_to_others_and_their_items_are_done() -> None:
    doubling = Doubling()
    interruptions = [Interruption(), Interruption()]

    def work(take: Callable[[], Sequence[int]]) -> Sequence[int | Exception]:
        numbers = take()
        if interruptions:
            raise interruptions.pop()
        return doubling.doubled(numbers)

    with ThreadPoolExecutor(4) as threads:
        with doubling.lock:
            waiting = []
            for number in range(4):
                waiting.append(threads.submit(doubling.together.do, number, work))
                until(lambda: doubling.together.waiting == len(waiting))
        for each in waiting[:2]:
            with pytest.raises(Interruption):
                each.result(PATIENCE)
        assert [each.result(PATIENCE) for each in waiting[2:]] == [4, 6]
    assert doubling.together.waiting == 0


@pytest.mark.parametrize("place", range(3))
def test_whoever_is_interrupted_anywhere_holds_nobody_up(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of three threads that wait is interrupted before each line of the queue in turn."""
    monkeypatch.setattr(together, "_SECONDS", 0.01)
    line = 1
    while is_interrupted(place, line):
        line += 1
    assert line > 10


def is_interrupted(place: int, line: int) -> bool:
    """Have three numbers doubled, of which one may be interrupted; return whether it was."""
    doubling = Doubling()
    with ThreadPoolExecutor(3) as threads:
        with doubling.lock:
            waiting: list[Future[int]] = []
            for number in range(3):
                do = partial(interrupted, line, doubling) if number == place else doubling.together.do
                waiting.append(threads.submit(do, number, doubling.double))
                until(lambda: has_come(doubling, len(waiting) - 1) or waiting[-1].done())
        others = [each.result(PATIENCE) for number, each in enumerate(waiting) if number != place]
    assert others == [2 * each for each in range(3) if each != place]
    assert doubling.together.do(5, doubling.double) == 10
    return waiting[place].exception() is not None


def has_come(doubling: Doubling, number: int) -> bool:
    return any(each.item == number for each in doubling.together._waiting)


def interrupted(line: int, doubling: Doubling, number: int, work: Work[int, int]) -> int:
    """Have a number doubled by a thread that is interrupted when it comes to the nth line of the queue.

    No line counts twice in one call: the second time is the end of a with statement, where Python interrupts nobody.
    """
    lines: set[tuple[FrameType, int]] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != together.__file__:
            return None
        if event == "line" and (frame, frame.f_lineno) not in lines:
            lines.add((frame, frame.f_lineno))
            if len(lines) == line:
                raise Interruption
        return trace

    sys.settrace(trace)
    try:
        return doubling.together.do(number, work)
    finally:
        sys.settrace(None)
