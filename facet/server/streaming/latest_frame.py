"""Where a stream's next frame waits until a worker has time for it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

from facet.v1 import recognition_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it came.

    Attributes:
        message: what was sent.
        time: when it was captured, seconds of the client's clock; where that is not known, of the server's.
        born: the same on the clock of :func:`time.monotonic`, as far as can be told.
        error: what is wrong with all but its picture.
    """

    message: pb.StreamFrame
    time: float
    born: float
    error: Exception | None = None


class Slot:
    """Room for one frame; filled on the event loop that made it, emptied on a worker's thread.

    Args:
        lossless: whether a frame waits until there is room. Otherwise it takes the place of one that waits, unless it
            is itself of no use.

    Attributes:
        dropped: frames that gave way to another, or came to nothing.
    """

    def __init__(self, *, lossless: bool) -> None:
        self._lossless = lossless
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._frame: Frame | None = None
        self._closed = False
        self._filled, self._emptied = asyncio.Event(), asyncio.Event()
        self.dropped = 0

    async def put(self, frame: Frame) -> None:
        """Leave a frame here."""
        while self._lossless and self._frame is not None:
            self._emptied.clear()
            await self._emptied.wait()
        with self._lock:
            self.dropped += self._frame is not None
            if self._frame is None or frame.error is None:
                self._frame = frame
        self._filled.set()

    def close(self) -> None:
        """No more frames come."""
        self._closed = True
        self._filled.set()

    async def wait(self) -> bool:
        """Wait for a frame; whether there is one, or none will come any more. To be called while nobody takes one."""
        while self._frame is None and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        return self._frame is not None

    def take(self) -> Frame:
        """The frame; one is known to wait."""
        with self._lock:
            frame, self._frame = self._frame, None
        assert frame is not None  # noqa: S101 - only one takes, and has waited for it
        self._loop.call_soon_threadsafe(self._emptied.set)
        return frame
