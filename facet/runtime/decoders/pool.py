"""A few decoder processes for the threads of one server."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facet.runtime.decoders.decoder import Decoder, DecoderStopped, NoDecoder
from facet.runtime.decoders.limits import LARGE_PIXELS
from facet.runtime.decoders.messages import Request, Size
from facet.runtime.decoders.pixel_room import PixelRoom
from facet.runtime.decoders.shared_buffer import SharedBuffer, SharedBuffers
from facet.runtime.pictures.errors import InvalidPicture, PictureError, PictureTooLarge

_ATTEMPTS = 2


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
        processes: number of processes; one more than threads that decode, so that none waits for a replacement.
        report: called on the decoding thread.
    """

    def __init__(self, processes: int, report: Callable[[DecoderEvent], None] = lambda _: None) -> None:
        self._report = report
        self._buffers = SharedBuffers(processes)
        # On each of the threads, a picture of half the permitted pixels does not wait.
        self._largest = max(1, processes // 2)
        self._room = PixelRoom()
        self._changed = threading.Condition()
        self._closed = False
        self._idle: deque[Decoder | None] = deque()
        """Those that wait for a picture; ``None`` is one that could not be started."""
        try:
            for _ in range(processes):
                self._idle.append(Decoder())
        except BaseException:
            self.close()
            raise

    def decode(self, data: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
        """Decode a picture as :func:`facet.runtime.pictures.decode` does, with the same result.

        Raises:
            InvalidPicture: the data is empty, truncated, damaged, or not a picture, or it crashed the decoder.
            PictureTooLarge: the picture has more than ``max_pixels``, or needs too much memory or time.
            NoDecoder: no decoder can be started, or the system ends each.
            RuntimeError: the pool is closed.
        """
        buffer, taken = self._buffers.take(), 0
        try:
            size = self._fill(buffer, data, max_pixels, room=LARGE_PIXELS)
            if not size.is_decoded:
                taken = self._room.take(size.pixels, self._largest * max_pixels)
                size = self._fill(buffer, data, max_pixels, room=size.pixels)
            return self._buffers.picture(buffer, size.height, size.width, partial(self._room.give_back, taken))
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

    def _fill(self, buffer: SharedBuffer, data: bytes, max_pixels: int, room: int) -> Size:
        """Decode into a buffer, if the picture has no more pixels than there is room for."""
        request = Request(len(data), max_pixels, room)
        for _ in range(_ATTEMPTS):
            buffer.write(data)
            size = self._run(buffer, request)
            if size is not None:
                return size
        raise NoDecoder("the system ended each decoder of the picture")

    def _run(self, buffer: SharedBuffer, request: Request) -> Size | None:
        """The size of the picture; ``None`` if the system has ended its decoder."""
        decoder = self._take()
        healthy = False
        try:
            size = decoder.decode(buffer, request)
            healthy = True
        except PictureError:
            healthy = True
            raise
        except DecoderStopped as stopped:
            self._report(DecoderEvent("timeout" if stopped.timed_out else "crash", str(stopped)))
            if stopped.timed_out:
                raise PictureTooLarge("the picture takes too long to decode: reduce its size") from None
            if stopped.killed:
                return None
            raise InvalidPicture("the picture cannot be decoded") from None
        except NoDecoder as error:
            self._report(DecoderEvent("crash", error.strerror or ""))
            raise
        finally:
            if output := decoder.output():
                self._report(DecoderEvent("output", output))
            self._give_back(decoder, healthy=healthy)
        return size

    def _take(self) -> Decoder:
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._closed)
            if self._closed:
                raise RuntimeError("the decoders of pictures are closed")
            decoder = self._idle.pop()
        if decoder is not None and decoder.alive:
            return decoder
        try:
            if decoder is not None:  # the system ended it while it waited, which is no picture's fault
                decoder.kill()
                self._report(DecoderEvent("crash", "it ended without a picture"))
            return Decoder()
        except BaseException:
            self._keep(None, last=True)
            raise

    def _give_back(self, decoder: Decoder, *, healthy: bool) -> None:
        """Keep a decoder for the next picture; replace one that is not healthy, and use the new one last."""
        if healthy:
            self._keep(decoder, last=False)
            return
        decoder.kill()
        replacement = None
        with suppress(OSError):  # too many processes or descriptors: whoever needs it next tries again
            replacement = Decoder()
        self._keep(replacement, last=True)

    def _keep(self, decoder: Decoder | None, *, last: bool) -> None:
        with self._changed:
            if not self._closed:
                (self._idle.appendleft if last else self._idle.append)(decoder)
                self._changed.notify()
                return
        if decoder is not None:
            decoder.close()
