"""A few decoder processes for the threads of one server."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from facet.runtime.decoders import limits
from facet.runtime.decoders.decoder import Decoder, DecoderStopped, NoDecoder
from facet.runtime.decoders.messages import Request, Size
from facet.runtime.decoders.pixel_room import PixelRoom
from facet.runtime.decoders.shared_buffer import SharedBuffer, SharedBuffers
from facet.runtime.pictures.decoded import DecodedPicture
from facet.runtime.pictures.errors import InvalidPicture, PictureError, PictureTooSlow
from facet.runtime.pictures.formats.jpeg import MAX_REDUCTION

T = TypeVar("T")

_ATTEMPTS = 2
_LONG = 3600.0
_NICENESS = 5
"""Of decoders of large pictures: beside a process of usual priority, such a process gets a quarter of a core."""


@dataclass(frozen=True, slots=True)
class DecoderEvent:
    """What an operator may want to know.

    Attributes:
        kind: ``"output"``: a library wrote to standard error; ``"timeout"`` and ``"crash"``: a decoder ended and was
            replaced.
        detail: the lines, or how it ended.
    """

    kind: Literal["output", "timeout", "crash"]
    detail: str


class DecoderPool:
    """Decodes pictures in processes of their own. Safe to use from several threads.

    A process decodes one picture at a time, within the limits of :mod:`facet.runtime.decoders.limits`. If it exceeds
    its time or crashes, the picture is refused and the process replaced. If the system ends it, another one decodes the
    picture. Large pictures wait for each other, see :class:`facet.runtime.decoders.pixel_room.PixelRoom`.

    Args:
        processes: number of processes. One more than threads that decode, so that none waits for a replacement; fewer
            for large pictures, which wait for a process in turns.
        report: called on the decoding thread.
        for_large: whether it is for pictures of more than :data:`facet.runtime.decoders.limits.LARGE_PIXELS`. They may
            take more time, at a lower priority.
    """

    def __init__(
        self,
        processes: int,
        report: Callable[[DecoderEvent], None] = lambda _: None,
        *,
        for_large: bool = False,
    ) -> None:
        self._report = report
        self._for_large = for_large
        self._buffers = SharedBuffers(processes)
        # Pictures of the permitted size, as many as processes for large ones, do not wait for room.
        self._largest = max(1, processes if for_large else processes // 2)
        self._room = PixelRoom()
        self._changed = threading.Condition()
        self._closed = False
        self._idle: deque[Decoder | None] = deque()
        """Those that wait for a picture; ``None`` is one that could not be started."""
        try:
            for _ in range(processes):
                self._idle.append(self._new_decoder())
        except BaseException:
            self.close()
            raise

    def decode(self, data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
        """Decode a picture as :func:`facet.runtime.pictures.decode` does, with the same result.

        Raises:
            InvalidPicture: the data is empty, truncated, damaged, or not a picture, or it crashed the decoder.
            PictureTooLarge: the picture has more than ``max_pixels``, or needs too much memory.
            PictureTooSlow: the picture needs too much time.
            NoDecoder: no decoder can be started, or the system ends each.
            RuntimeError: the pool is closed.
        """
        return _finished(self.decode_in_turns(data, max_pixels=max_pixels, seconds=_LONG)).pixels

    def decode_unless_large(self, data: bytes, *, max_pixels: int) -> DecodedPicture | None:
        """Decode a picture like :meth:`decode`; ``None`` if it is large: that is known before it is decoded."""
        buffer = self._buffers.take()
        try:
            size = _finished(self._fill(buffer, data, max_pixels, _LONG, limits.LARGE_PIXELS))
            if size.is_decoded:
                pixels = self._buffers.picture(buffer, size.height, size.width, lambda: None)
                return DecodedPicture(pixels, size.placement)
        except BaseException:
            buffer.close()
            raise
        buffer.close()
        return None

    def decode_in_turns(
        self, data: bytes, *, max_pixels: int, seconds: float, longer_side: int | None = None
    ) -> Generator[None, None, DecodedPicture]:
        """Decode as :func:`facet.runtime.pictures.decode_reduced` does; yield after every such wait for a process.

        Close the generator if nobody wants the picture any more: that stops the process.
        """
        buffer, taken = self._buffers.take(), 0
        try:
            size = yield from self._fill(buffer, data, max_pixels, seconds, limits.LARGE_PIXELS, longer_side)
            if not size.is_decoded:
                taken = yield from self._room.take(size.pixels, self._largest * max_pixels, seconds)
                size = yield from self._fill(buffer, data, max_pixels, seconds, max_pixels, longer_side)
            give_back = partial(self._room.give_back, taken)
            return DecodedPicture(self._buffers.picture(buffer, size.height, size.width, give_back), size.placement)
        except BaseException:
            buffer.close()
            self._room.give_back(taken)
            raise

    def close(self) -> None:
        """End the processes; one that decodes a picture ends when it has done so."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            idle = [self._idle.popleft() for _ in range(len(self._idle))]
        decoders = [decoder for decoder in idle if decoder is not None]
        for decoder in decoders:
            decoder.hang_up()
        for decoder in decoders:
            decoder.close()
        self._buffers.close()

    def _fill(
        self,
        buffer: SharedBuffer,
        data: bytes,
        max_pixels: int,
        seconds: float,
        room: int,
        longer_side: int | None = None,
    ) -> Generator[None, None, Size]:
        """Decode into a buffer, if the picture has no more pixels than there is room for."""
        request = Request(len(data), max_pixels, room, longer_side)
        for _ in range(_ATTEMPTS):
            buffer.write(data)
            size = yield from self._run(buffer, request, seconds)
            if size is not None:
                return size
        raise NoDecoder("the system ended each decoder of the picture")

    def _run(self, buffer: SharedBuffer, request: Request, seconds: float) -> Generator[None, None, Size | None]:
        """The size of the picture; ``None`` if the system has ended its decoder."""
        while (decoder := self._take(seconds)) is None:
            yield
        healthy = False
        try:
            while not decoder.wait_until_ready(seconds):
                yield
            decoder.start(buffer, request, self._max_seconds(request))
            while (size := decoder.result(seconds)) is None:
                yield
            healthy = True
        except PictureError:
            healthy = True
            raise
        except DecoderStopped as stopped:
            self._report(DecoderEvent("timeout" if stopped.timed_out else "crash", str(stopped)))
            if stopped.timed_out:
                raise PictureTooSlow from None
            if stopped.killed:
                return None
            raise InvalidPicture("the picture cannot be decoded") from None
        except NoDecoder as error:
            self._report(DecoderEvent("crash", error.strerror or ""))
            raise
        except GeneratorExit:  # on the event loop, which must not wait for a process
            decoder.abandon()
            raise
        finally:
            if output := decoder.output():
                self._report(DecoderEvent("output", output))
            self._give_back(decoder, healthy=healthy)
        return size

    def _max_seconds(self, request: Request) -> float:
        if self._for_large:
            pixels = request.max_pixels * (1 if request.longer_side is None else MAX_REDUCTION)
            return limits.cpu_seconds(pixels, request.length)
        return limits.MAX_SECONDS

    def _new_decoder(self) -> Decoder:
        if self._for_large:
            return Decoder(niceness=_NICENESS, max_waiting_seconds=limits.MAX_WAITING_SECONDS_LARGE)
        return Decoder(max_waiting_seconds=limits.MAX_WAITING_SECONDS)

    def _take(self, seconds: float) -> Decoder | None:
        """A decoder without a picture; ``None`` if there is none for this time."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._closed, seconds)
            if self._closed:
                raise RuntimeError("the decoders of pictures are closed")
            if not self._idle:
                return None
            decoder = self._idle.pop()
        if decoder is not None and not decoder.abandoned and decoder.alive:
            return decoder
        try:
            if decoder is not None:
                decoder.kill()
                if not decoder.abandoned:  # the system ended it while it waited, which is no picture's fault
                    self._report(DecoderEvent("crash", "it ended without a picture"))
            return self._new_decoder()
        except BaseException:
            self._keep(None, last=True)
            raise

    def _give_back(self, decoder: Decoder, *, healthy: bool) -> None:
        """Keep a decoder for the next picture; replace one that is not healthy, and use the new one last."""
        if healthy or decoder.abandoned:
            self._keep(decoder, last=not healthy)
            return
        decoder.kill()
        replacement = None
        with suppress(OSError):  # too many processes or descriptors: whoever needs it next tries again
            replacement = self._new_decoder()
        self._keep(replacement, last=True)

    def _keep(self, decoder: Decoder | None, *, last: bool) -> None:
        with self._changed:
            if not self._closed:
                (self._idle.appendleft if last else self._idle.append)(decoder)
                self._changed.notify()
                return
        if decoder is not None:
            decoder.close()


def _finished(work: Generator[None, None, T]) -> T:
    """Wait for the end of the work; returns its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
