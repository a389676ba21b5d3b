"""Many calls at a time, and a server that goes away."""

from __future__ import annotations

import asyncio

import pytest
from google.rpc.status_pb2 import Status

from facet import Unavailable, from_status
from facet.evaluation.calls import Stopped, all_of, reason_of


def test_a_reason_is_the_servers_own_or_what_is_wrong_with_the_picture() -> None:
    over = "CLIENT: Received message larger than max (400 vs. 300)"
    assert reason_of(from_status(Status(code=8, message=over))) == "PICTURE_TOO_LARGE"
    assert reason_of(from_status(Status(code=8, message="the queue is full"))) == "RESOURCE_EXHAUSTED"
    assert reason_of(FileNotFoundError(2, "No such file or directory")) == "UNREADABLE"


async def test_answers_come_in_the_order_of_the_items() -> None:
    async def later(number: int) -> int:
        for _ in range(20 - number):
            await asyncio.sleep(0)
        return number * number

    found = await all_of(range(20), later)
    assert list(found.by_item.items()) == [(number, number * number) for number in range(20)]
    assert found.stopped is None


async def test_a_server_that_goes_away_leaves_what_was_answered_and_where_it_was() -> None:
    async def until_ten(number: int) -> int:
        if number >= 10:
            raise from_status(Status(code=14, message="gone"))
        return number

    found = await all_of(range(20), until_ten, name=lambda number: f"{number}.jpg")
    assert list(found.by_item) == list(range(10))
    assert found.stopped == Stopped("10.jpg", 10, 20, "UNAVAILABLE")


async def test_a_server_that_answers_nothing_is_an_error() -> None:
    async def never(number: int) -> int:
        raise from_status(Status(code=14, message="gone"))

    with pytest.raises(Unavailable):
        await all_of(range(3), never)
