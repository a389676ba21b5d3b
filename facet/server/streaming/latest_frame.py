"""The latest frame of a stream, waiting for a worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass

from facet.v1 import recognition_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it arrived.

    Attributes:
        message: what was sent.
        time: capture time, seconds of the client's clock; of the server's if the frame has none.
        captured_at: the same on the clock of :func:`time.monotonic`, as far as it can be known.
        error: what is invalid about the frame, apart from its picture.
        release: says that the server is done with the message.
    """

    message: pb.StreamFrame
    time: float
    captured_at: float
    error: Exception | None = None
    release: Callable[[], None] = lambda: None


class LatestFrame:
    """Room for one frame: filled on the event loop that created it, emptied on a worker thread.

    Args:
        lossless: whether a new frame waits until there is room. Otherwise it replaces the waiting one, unless the new
            one is invalid.

    Attributes:
        dropped: frames that were replaced, or were invalid and could not wait.
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
        """Leave a frame; with ``lossless``, wait for room."""
        while self._lossless and self._frame is not None:
            self._emptied.clear()
            await self._emptied.wait()
        dropped: Frame | None = frame
        with self._lock:
            self.dropped += self._frame is not None
            if self._frame is None or frame.error is None:
                self._frame, dropped = frame, self._frame
        if dropped is not None:
            dropped.release()
        self._filled.set()

    def close(self) -> None:
        """No more frames come."""
        self._closed = True
        self._filled.set()

    async def wait(self) -> bool:
        """Wait for a frame; false if none will come any more. Must not overlap with :meth:`take`."""
        while self._frame is None and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        return self._frame is not None

    def take(self) -> Frame:
        """Take the frame; :meth:`wait` must have returned true."""
        with self._lock:
            frame, self._frame = self._frame, None
        assert frame is not None  # noqa: S101 - only one takes, and has waited for it
        self._loop.call_soon_threadsafe(self._emptied.set)
        return frame
