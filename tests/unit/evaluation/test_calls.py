"""Concurrent calls, reasons of errors, and a server that goes away."""

from __future__ import annotations

import pytest
from google.rpc.status_pb2 import Status

from facet import Unavailable, from_status
from facet.evaluation.calls import Stopped, call_all, reason_of
from tests.waiting import turns


def test_a_reason_comes_from_the_server_or_describes_the_picture() -> None:
    over = "CLIENT: Received message larger than max (400 vs. 300)"
    assert reason_of(from_status(Status(code=8, message=over))) == "PICTURE_TOO_LARGE"
    assert reason_of(from_status(Status(code=8, message="the queue is full"))) == "RESOURCE_EXHAUSTED"
    assert reason_of(FileNotFoundError(2, "No such file or directory")) == "UNREADABLE"


async def test_answers_are_in_the_order_of_the_items() -> None:
    async def later(number: int) -> int:
        await turns(20 - number)
        return number * number

    found = await call_all(range(20), later)
    assert list(found.by_item.items()) == [(number, number * number) for number in range(20)]
    assert found.stopped is None


async def test_a_server_that_goes_away_leaves_the_answers_so_far_and_the_item_it_stopped_at() -> None:
    async def until_ten(number: int) -> int:
        if number >= 10:
            raise from_status(Status(code=14, message="gone"))
        return number

    found = await call_all(range(20), until_ten, name=lambda number: f"{number}.jpg")
    assert list(found.by_item) == list(range(10))
    assert found.stopped == Stopped("10.jpg", 10, 20, "UNAVAILABLE")


async def test_a_server_that_never_answers_raises_its_error() -> None:
    async def never(number: int) -> int:
        raise from_status(Status(code=14, message="gone"))

    with pytest.raises(Unavailable):
        await call_all(range(3), never)
