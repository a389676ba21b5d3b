"""Decoders of large pictures: whoever waits for one can do other things meanwhile, and can give up."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.runtime.decoders import DecoderEvent, DecoderPool
from facet.runtime.decoders.decoder import Decoder
from facet.runtime.pictures import DecodedPicture
from recognizer.progress import Turns
from tests.unit.runtime.decoders.processes import stop
from tests.unit.runtime.pictures.samples import encode, pixels
from tests.waiting import PATIENCE

PICTURE = encode("PNG")
MAX_PIXELS = 50_000_000
"""Many, because a decoder may take the longer the more are permitted, and a test must not be slower than that."""


class Pool:
    """A pool of one process for large pictures, and what it reports."""

    def __init__(self) -> None:
        self.events: list[DecoderEvent] = []
        self.pool = DecoderPool(1, self.events.append, for_large=True)

    @property
    def decoder(self) -> Decoder | None:
        (decoder,) = self.pool._idle
        return decoder

    def decode(self) -> NDArray[np.uint8]:
        return self.pool.decode(PICTURE, max_pixels=MAX_PIXELS)

    def turns(self) -> Turns[DecodedPicture]:
        return self.pool.decode_in_turns(PICTURE, max_pixels=MAX_PIXELS, seconds=0.01)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.pool.close()


def running(pool: Pool) -> Decoder:
    """The process, ready for pictures."""
    assert np.array_equal(pool.decode(), pixels())
    assert pool.decoder is not None
    return pool.decoder


def end(turns: Turns[DecodedPicture]) -> NDArray[np.uint8]:
    """Wait for the end of the work."""
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        try:
            next(turns)
        except StopIteration as finished:
            picture: DecodedPicture = finished.value
            return picture.pixels
    raise TimeoutError


def test_a_process_yields_to_others_from_its_start(pool: Pool) -> None:
    assert pool.decoder is not None
    assert os.getpriority(os.PRIO_PROCESS, pool.decoder.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, running(pool).pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_the_one_who_waits_gets_control_back_until_the_picture_is_there(pool: Pool) -> None:
    decoder = running(pool)
    stop(decoder)
    first, second = pool.turns(), pool.turns()
    for _ in range(3):
        next(first)
        next(second)  # no process is free
    os.kill(decoder.pid, signal.SIGCONT)
    assert np.array_equal(end(first), pixels())
    assert np.array_equal(end(second), pixels())
    assert pool.decoder is decoder
    assert pool.events == []


def test_a_picture_that_was_decoded_in_time_is_taken_however_late(pool: Pool) -> None:
    decoder = running(pool)
    turns = pool.turns()
    stop(decoder)
    next(turns)
    os.kill(decoder.pid, signal.SIGCONT)
    assert select.select([decoder._socket], [], [], PATIENCE)[0], "the reply is there"
    decoder._max_seconds = 0.0  # its time is over
    assert np.array_equal(end(turns), pixels())
    assert pool.decoder is decoder
    assert pool.events == []


def test_a_decoding_that_nobody_waits_for_is_stopped(pool: Pool) -> None:
    decoder = running(pool)
    stop(decoder)
    turns = pool.turns()
    next(turns)
    turns.close()
    assert np.array_equal(pool.decode(), pixels())
    assert pool.decoder is not decoder
    assert not Path(f"/proc/{decoder.pid}").exists()
    assert pool.events == []


def test_the_one_who_gives_up_before_a_process_is_free_stops_none(pool: Pool) -> None:
    decoder = running(pool)
    stop(decoder)
    first, second = pool.turns(), pool.turns()
    next(first)
    next(second)
    second.close()
    os.kill(decoder.pid, signal.SIGCONT)
    assert np.array_equal(end(first), pixels())
    assert pool.decoder is decoder
