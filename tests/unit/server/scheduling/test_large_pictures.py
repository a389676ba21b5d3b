"""Requests for large pictures wait for decoders. Few of them start at a time, and they hold up nobody else."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from facet.server.errors import DeadlineTooShort, QueueFull
from facet.server.scheduling.work import Work
from recognizer.progress import Turns

if TYPE_CHECKING:
    from tests.unit.server.scheduling.conftest import HeldWorkers, HoldWorkers, Until

LARGE = 12_000_000
PATIENCE = 30.0


class Decoder:
    """Decodes nothing until it is told to.

    Args:
        held: whose clock moves meanwhile.
    """

    def __init__(self, held: HeldWorkers) -> None:
        self._held = held
        self.started: list[str] = []
        self.is_done = threading.Event()

    def decode(self, name: str) -> Turns[str]:
        self.started.append(name)
        while not self.is_done.wait(0.001):
            self._held.clock.advance(0.001)
            yield
        return name


def send(held: HeldWorkers, decoder: Decoder, name: str, *, max_seconds: float | None = None) -> asyncio.Task[str]:
    deadline = None if max_seconds is None else held.clock() + max_seconds
    work = Work(caller=name, pixels=LARGE, deadline=deadline)
    return asyncio.ensure_future(held.workers.run_in_turns(work, decoder.decode(name)))


async def two_started(held: HeldWorkers, decoder: Decoder, until: Until) -> list[asyncio.Task[str]]:
    """Send four requests for large pictures, and wait until two of them have started."""
    sent = [send(held, decoder, name) for name in "abcd"]
    await until(lambda: len(decoder.started) == 2)
    return sent


async def test_of_many_large_pictures_two_start(hold_workers: HoldWorkers, until: Until) -> None:
    held = hold_workers(threads=2)
    decoder = Decoder(held)
    sent = await two_started(held, decoder, until)
    for _ in range(5):  # others are served meanwhile, so there is a thread for the other two as well
        assert await held.workers.run(Work(caller="other"), lambda: "served") == "served"
    assert decoder.started == ["a", "b"]
    decoder.is_done.set()
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*sent) == ["a", "b", "c", "d"]
    assert decoder.started == ["a", "b", "c", "d"]


@pytest.mark.parametrize("threads", [1, 2, 3])
async def test_a_client_that_leaves_makes_room(hold_workers: HoldWorkers, until: Until, threads: int) -> None:
    held = hold_workers(threads=threads)
    decoder = Decoder(held)
    sent = {name: send(held, decoder, name) for name in "abcdef"}
    most = max(2, threads)
    await until(lambda: len(decoder.started) == most)
    for name in "abcd":
        sent[name].cancel()
        await asyncio.wait([sent[name]])
    await until(lambda: decoder.started[-1] == "f")
    decoder.is_done.set()
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*(sent[name] for name in "ef")) == ["e", "f"]
    assert held.workers.busy == 0


async def test_a_picture_that_cannot_be_decoded_makes_room(hold_workers: HoldWorkers) -> None:
    held = hold_workers(threads=2)

    def fail() -> Turns[None]:
        yield
        raise ZeroDivisionError

    failing = [held.workers.run_in_turns(Work(caller="a", pixels=LARGE), fail()) for _ in range(6)]
    async with asyncio.timeout(PATIENCE):
        ended = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(error) for error in ended] == [ZeroDivisionError] * 6


async def test_the_queue_of_large_pictures_is_bounded(hold_workers: HoldWorkers, until: Until) -> None:
    held = hold_workers(threads=2, max_queue=2)
    decoder = Decoder(held)
    sent = await two_started(held, decoder, until)
    with pytest.raises(QueueFull):
        await send(held, decoder, "a")
    decoder.is_done.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*sent)


async def test_one_that_waits_is_refused_when_it_cannot_be_in_time(hold_workers: HoldWorkers, until: Until) -> None:
    held = hold_workers(threads=2)
    decoder = Decoder(held)
    await held.learn("", 1.0, pixels=LARGE)
    sent = await two_started(held, decoder, until)
    with pytest.raises(DeadlineTooShort):
        await send(held, decoder, "late", max_seconds=1.5)
    decoder.is_done.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*sent)
