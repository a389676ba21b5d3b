"""Reads the frames of a source on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.camera.errors import SourceError
from facet.camera.source import Source, open_capture
from facet.client.retry import Retry

_MAX_LATE_SECONDS = 1.0
"""A recording that decodes more slowly than it plays is slowed down once it lags this much."""
_JOIN_SECONDS = 1.0
_EARLY_SECONDS = 0.01
"""Cameras are not more punctual than this."""
_DEFAULT_FPS, _MAX_FPS = 25.0, 1000.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame to send.

    Attributes:
        picture: upright BGR ``(h, w, 3)``, scaled.
        data: the same as JPEG.
        captured: capture time, seconds since 1970; of a recording its own time, from 0.
        read_at: when it was read, by :func:`time.monotonic`.
    """

    picture: NDArray[np.uint8]
    data: bytes
    captured: float
    read_at: float


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """Which frames to read, and how to encode them.

    Attributes:
        fps: maximum frames per second; 0 for all.
        width: wider frames are scaled down to this many pixels; 0 for no scaling.
        quality: of the JPEGs, 1 to 100.
        lossless: read a recording as fast as its frames are taken, not as it plays.
    """

    fps: float
    width: int
    quality: int
    lossless: bool


class Pace:
    """Picks frames so that they come at a given average rate, whatever the source's own.

    Args:
        fps: frames per second; 0 for every frame.
    """

    def __init__(self, fps: float) -> None:
        self._interval = 1 / fps if fps else 0.0
        self._next = float("-inf")

    def is_due(self, seconds: float) -> bool:
        """Whether to take the frame of this time, rising seconds. A frame may be slightly early."""
        if seconds < self._next - min(_EARLY_SECONDS, self._interval / 4):
            return False
        was_missed = seconds > self._next + self._interval
        self._next = (seconds if was_missed else self._next) + self._interval
        return True


class Reader:
    """Opens a source and reads its frames.

    A live source is read as fast as it sends, so that no frame is old; if it goes away it is opened again, with pauses.
    A recording is read as it plays, or with ``lossless`` as fast as its frames are taken.

    Args:
        source: the source.
        options: which frames to read.
        wait_seconds: how long to try if a live source goes away; ``None`` for ever.

    Attributes:
        recorded: whether it is a recording, which has an end.
        fps: expected frames per second.

    Raises:
        SourceError: the source cannot be opened.
    """

    def __init__(self, source: Source, options: FrameOptions, wait_seconds: float | None) -> None:
        self._source, self._options, self._wait_seconds = source, options, wait_seconds
        self._capture = open_capture(source)
        may_be_recorded = source.is_address and not str(source.target).lower().startswith("rtsp")
        self.recorded = source.is_file or (may_be_recorded and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)
        own_fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._own_fps = own_fps if 1 <= own_fps <= _MAX_FPS else _DEFAULT_FPS
        self.fps = min(options.fps or self._own_fps, self._own_fps)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(
        self,
        put: Callable[[Frame], None],
        end: Callable[[str], None],
        *,
        lost: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        """Start reading.

        Args:
            put: receives each frame; may block.
            end: called when there are no more frames, with the reason for people, empty at the end of a recording.
            lost: called when a live source goes away, with the time of its last frame by :func:`time.monotonic`.
            say: prints for people that the source went away and came back.
        """
        self._thread = threading.Thread(target=self._run, args=(put, end, lost, say), name="camera", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading. The thread is left behind if the source does not answer."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _run(
        self,
        put: Callable[[Frame], None],
        end: Callable[[str], None],
        lost: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        problem = ""
        try:
            if self.recorded:
                self._read_recording(put)
            else:
                self._read_live(put, lost, say)
        except SourceError as error:
            problem = str(error)
        except Exception as error:  # otherwise nobody would see the error, and frames would be awaited for ever
            problem = f"reading {self._source.name} failed: {error}"
        finally:
            self._capture.release()
            end(problem)

    def _read_recording(self, put: Callable[[Frame], None]) -> None:
        pace, start, at = Pace(self._options.fps), time.monotonic(), -1.0
        while not self._closed.is_set() and self._capture.grab():
            position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            at = position if position > at else at + 1 / self._own_fps
            if not pace.is_due(at):
                continue
            if not self._options.lossless:
                self._closed.wait(max(0.0, start + at - time.monotonic()))
                if time.monotonic() - start - at > _MAX_LATE_SECONDS:
                    start = time.monotonic() - at
            self._put_frame(put, at)

    def _read_live(
        self, put: Callable[[Frame], None], lost: Callable[[float], None], say: Callable[[str], None]
    ) -> None:
        """Read a live source, and open it again when it goes away."""
        retry, problem = Retry(self._wait_seconds), ""
        last_frame_at = time.monotonic()
        while True:
            pace = Pace(self._options.fps)
            while not self._closed.is_set() and self._capture.grab():
                last_frame_at = time.monotonic()
                if retry.failing:
                    say(f"{self._source.name} is back")
                    retry.succeeded()
                if pace.is_due(last_frame_at):
                    self._put_frame(put, time.time())
            self._capture.release()
            if not retry.failing and not self._closed.is_set():
                say(f"{self._source.name} is away: trying again")
                lost(last_frame_at)
            if (pause := retry.failed()) is None:
                raise SourceError(f"{self._source.name} did not come back" + (problem and f": {problem}"))
            if self._closed.wait(pause):
                return
            try:
                self._capture = open_capture(self._source)
            except SourceError as error:
                problem = str(error)

    def _put_frame(self, put: Callable[[Frame], None], captured: float) -> None:
        read_at = time.monotonic()
        found, picture = self._capture.retrieve()
        if not found or picture is None or self._closed.is_set():
            return
        height, width = picture.shape[:2]
        if 0 < self._options.width < width:
            size = self._options.width, max(1, round(height * self._options.width / width))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self._options.quality])[1].tobytes()
        put(Frame(np.asarray(picture, np.uint8), data, captured, read_at))
