"""Decoding in processes: the same pixels, limits, and what becomes of a process that fails."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facet.runtime.decoders import DecoderEvent, DecoderPool, limits, pixel_room
from facet.runtime.decoders.decoder import Decoder, NoDecoder
from facet.runtime.pictures import InvalidPicture, PictureError, PictureTooLarge, PictureTooSlow, decode
from facet.server.wire.errors import outcome_of
from recognizer.progress import finish
from tests.unit.runtime.decoders.processes import state, stop
from tests.unit.runtime.pictures.samples import ENOUGH, FORMATS, encode, pixels
from tests.waiting import PATIENCE, until

PICTURE = encode("PNG")


class Pool:
    """A pool of one process, and what it reports."""

    def __init__(self) -> None:
        self.events: list[DecoderEvent] = []
        self.pool = DecoderPool(1, self.events.append)

    @property
    def decoder(self) -> Decoder:
        (decoder,) = self.pool._idle
        assert decoder is not None
        return decoder

    def decode(self, data: bytes = PICTURE) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return self.pool.decode(data, max_pixels=ENOUGH)


@pytest.fixture
def pool() -> Iterator[Pool]:
    started = Pool()
    yield started
    started.pool.close()


def test_every_format_has_the_same_pixels_as_in_this_process(pool: Pool) -> None:
    for kind in FORMATS:
        data = encode(kind)
        assert np.array_equal(pool.decode(data), decode(data, max_pixels=ENOUGH)), kind


@pytest.mark.parametrize("data", [b"", b"no picture", PICTURE[:-20], encode("JPEG")[:-100]])
def test_refusals_are_the_same_as_in_this_process(pool: Pool, data: bytes) -> None:
    with pytest.raises(PictureError) as here:
        decode(data, max_pixels=ENOUGH)
    with pytest.raises(type(here.value)) as there:
        pool.decode(data)
    assert str(there.value) == str(here.value)
    with pytest.raises(PictureTooLarge, match="64x48"):
        pool.pool.decode(PICTURE, max_pixels=100)
    assert pool.events == []


def test_a_picture_keeps_its_pixels_while_others_are_decoded(pool: Pool) -> None:
    first = pool.decode()
    view = first[10:20, 5:]
    expected = first.copy()
    del first
    for value in range(5):
        pool.decode(encode("PNG", np.full((48, 64, 3), value, np.uint8)))
    assert np.array_equal(view, expected[10:20, 5:])


def test_pictures_leave_no_descriptors_behind(pool: Pool) -> None:
    def used() -> int:
        gc.collect()
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    pool.decode()
    before = used()
    for size in range(1, 12):
        pool.decode(encode("PNG", pixels(10 * size, 10 * size)))
        with pytest.raises(InvalidPicture):
            pool.decode(PICTURE[:-20])
    held = [pool.decode() for _ in range(10)]
    assert used() > before
    del held
    assert used() <= before + 1


def waiting_request(decoder: Decoder) -> bool:
    """Whether a request lies in the socket of a decoder that does not read."""
    unread = fcntl.ioctl(decoder._socket, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(unread, sys.byteorder) > 0


def end_during_a_picture(pool: Pool, number: signal.Signals) -> list[object]:
    """End a decoder by a signal while it has a picture; returns what came of the picture."""
    pool.decode()
    decoder = pool.decoder
    stop(decoder)
    outcomes: list[object] = []

    def decode_one() -> None:
        try:
            outcomes.append(pool.decode().tolist())
        except PictureError as error:
            outcomes.append(type(error))

    thread = threading.Thread(target=decode_one)
    thread.start()
    until(lambda: waiting_request(decoder) or not thread.is_alive())
    os.kill(decoder.pid, number)
    os.kill(decoder.pid, signal.SIGCONT)
    thread.join(PATIENCE)
    return outcomes


def test_a_crash_refuses_one_picture_and_nothing_else(pool: Pool) -> None:
    assert end_during_a_picture(pool, signal.SIGSEGV) == [InvalidPicture]
    assert [event.kind for event in pool.events] == ["crash"]
    assert np.array_equal(pool.decode(), pixels())


def test_a_picture_whose_decoder_is_killed_is_decoded_by_another(pool: Pool) -> None:
    # When memory runs out, the system kills a decoder, whichever picture it has.
    assert end_during_a_picture(pool, signal.SIGKILL) == [pixels().tolist()]
    assert [event.kind for event in pool.events] == ["crash"]


def test_without_a_decoder_the_machine_is_at_fault_and_not_the_picture(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.decode()
    os.kill(pool.decoder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, pool.decoder.pid, os.WEXITED | os.WNOWAIT)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", shutil.which("false"))
        for _ in range(2):
            with pytest.raises(NoDecoder, match="does not start") as refusal:
                pool.decode()
            assert outcome_of(refusal.value) == ("RESOURCE_EXHAUSTED", "OUT_OF_RESOURCES")
    assert {event.kind for event in pool.events} == {"crash"}
    pool.decoder.kill()
    assert np.array_equal(pool.decode(), pixels())


def test_a_process_that_died_while_it_waited_costs_no_picture(pool: Pool) -> None:
    pool.decode()
    os.kill(pool.decoder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, pool.decoder.pid, os.WEXITED | os.WNOWAIT)
    assert np.array_equal(pool.decode(), pixels())
    assert [event.kind for event in pool.events] == ["crash"]


def test_a_decoding_that_does_not_end_is_stopped(pool: Pool) -> None:
    pool.decode()
    stop(pool.decoder)
    with pytest.raises(PictureTooSlow, match="takes too long"):
        pool.decode()
    assert [event.kind for event in pool.events] == ["timeout"]
    assert np.array_equal(pool.decode(), pixels())


def test_the_memory_of_a_process_is_limited_by_the_permitted_pixels(pool: Pool) -> None:
    def allowed() -> int:
        lines = Path(f"/proc/{pool.decoder.pid}/limits").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Max address space")).split()[3])

    pool.pool.decode(PICTURE, max_pixels=1_000_000)
    first = allowed()
    pool.pool.decode(PICTURE, max_pixels=2_000_000)
    assert allowed() - first == 9 * 1_000_000
    assert limits.memory_bytes(50_000_000, 2**24) == 9 * 50_000_000 + 64 * 2**20


def large(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((2050, 2000, 3), value, np.uint8)


def test_a_large_picture_waits_until_another_is_freed_and_small_ones_do_not_wait() -> None:
    pool = DecoderPool(2)
    most = 2 * limits.LARGE_PIXELS - 1
    first = pool.decode(encode("PNG", large(1)), max_pixels=most)
    decoded: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []
    second = threading.Thread(target=lambda: decoded.append(pool.decode(encode("PNG", large(2)), max_pixels=most)))
    second.start()
    try:
        until(lambda: pool._room._waiting)
        assert np.array_equal(pool.decode(PICTURE, max_pixels=most), pixels())
        assert not decoded
        assert (first == 1).all()
        del first
        second.join(PATIENCE)
        assert (decoded.pop() == 2).all()
        with pytest.raises(InvalidPicture):
            pool.decode(encode("PNG", large(3))[:-20], max_pixels=most)
        assert pool._room._taken == 0
    finally:
        pool.close()


def test_a_large_picture_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_room, "_MAX_SECONDS", 0.01)
    room = pixel_room.PixelRoom()
    for _ in range(2):
        assert finish(room.take(8, 10, 0.001)) == 8


def test_time_grows_with_pixels_and_bytes_up_to_a_limit_for_pictures_that_hold_a_worker() -> None:
    most = limits.LARGE_PIXELS
    assert limits.cpu_seconds(0, 0) < limits.cpu_seconds(1_000_000, 0) < limits.cpu_seconds(1_000_000, 2**24)
    assert limits.cpu_seconds(most, 2**24 * 5) == limits.cpu_seconds(0, 10**9) == limits.MAX_SECONDS == 1.5
    assert limits.MAX_SECONDS < limits.cpu_seconds(3 * most, 0) < limits.cpu_seconds(4 * most, 0)


def test_what_a_library_writes_is_reported_and_not_written(pool: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    jpeg = encode("JPEG", np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    middle = (jpeg.index(b"\xff\xda") + len(jpeg)) // 2
    pool.decode(jpeg[:middle] + b"\xff\xd8" + jpeg[middle:])
    assert [(event.kind, "Corrupt JPEG data" in event.detail) for event in pool.events] == [("output", True)]
    assert capfd.readouterr() == ("", "")


PARENT = """
import signal
from facet.runtime.decoders import DecoderPool
from tests.unit.runtime.pictures.samples import encode
pool = DecoderPool(2)
for _ in range(2):
    pool.decode(encode("PNG"), max_pixels=10**6)
print(*(decoder.pid for decoder in pool._idle), flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_decoders_end_with_the_process_that_started_them(number: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        decoders = [Path(f"/proc/{pid}") for pid in said.readline().split()]
    assert len(decoders) == 2
    assert all(decoder.exists() for decoder in decoders)
    parent.send_signal(number)
    parent.wait(PATIENCE)
    until(lambda: all(state(decoder) in ("", "Z") for decoder in decoders))


def test_a_process_does_not_see_the_settings_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_SERVER__TOKEN", "a secret of the server")
    started = Pool()
    try:
        started.decode()
        assert b"a secret" not in Path(f"/proc/{started.decoder.pid}/environ").read_bytes()
    finally:
        started.pool.close()


def test_a_closed_pool_refuses_pictures(pool: Pool) -> None:
    pool.pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.decode()
