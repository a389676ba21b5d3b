"""Where frames come from: a file, a webcam, an RTSP or HTTP stream, read on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.client.retry import Retry

SCHEMES = frozenset({"http", "https", "rtsp", "rtsps"})

_PATIENCE_MS = 5000
"""For how long a stream may not answer."""
_LATE_SECONDS = 1.0
"""A file that is decoded more slowly than it plays by so much goes on from there, slower."""
_GOODBYE_SECONDS = 1.0
_EARLY_SECONDS = 0.01
"""Cameras are not more punctual than this."""
_USUAL_FPS, _MOST_FPS = 25.0, 1000.0


class SourceError(Exception):
    """The source cannot be opened, or did not come back. The message is one line for people, without a password."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where frames come from.

    Attributes:
        name: for people; of an address its host and path alone.
        target: what OpenCV opens: the number of a webcam, a path, or an address.
        is_file: it is a file on this machine.
        is_address: it is an address.
    """

    name: str
    target: int | str
    is_file: bool = False
    is_address: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it is sent.

    Attributes:
        picture: upright BGR ``(h, w, 3)``, scaled.
        data: the same as JPEG.
        captured: seconds since 1970; of a recording its own time, from 0.
        read: when it was read, as :func:`time.monotonic`.
    """

    picture: NDArray[np.uint8]
    data: bytes
    captured: float
    read: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames are wanted, and how.

    Attributes:
        fps: at most so many a second; 0 for all.
        width: wider frames are scaled down to this; 0 for none.
        quality: of the JPEGs, 1 to 100.
        lossless: a recording is read as fast as it is taken, not as it plays.
    """

    fps: float
    width: int
    quality: int
    lossless: bool


class Pace:
    """Picks frames of a source so that on the average a rate is kept, whatever the source's own.

    Args:
        fps: the rate; 0 for every frame.
    """

    def __init__(self, fps: float) -> None:
        self._interval = 1 / fps if fps else 0.0
        self._next = float("-inf")

    def due(self, seconds: float) -> bool:
        """Whether the frame of this time, rising seconds, is one; a little too early is due."""
        if seconds < self._next - min(_EARLY_SECONDS, self._interval / 4):
            return False
        was_missed = seconds > self._next + self._interval
        self._next = (seconds if was_missed else self._next) + self._interval
        return True


def parse(text: str) -> Source:
    """The source that a person means.

    Raises:
        SourceError: it is neither of those.
    """
    if text.isascii() and text.isdigit():
        return Source(f"webcam {text}", int(text))
    try:
        address = urlsplit(text)
    except ValueError:
        raise SourceError("that is no address") from None
    if address.scheme.lower() in SCHEMES and address.hostname:
        # Some cameras want name and password in the path, and an unquoted slash in a password ends the host's part.
        shown = "" if set(address.path) & set("=&@;") else address.path
        return Source(f"{address.hostname}{shown}", text, is_address=True)
    path = Path(text)
    if path.is_file():
        return Source(path.name, text, is_file=True)
    if path.is_char_device():
        return Source(path.name, text)
    named = "of that name" if {"@", ":"} & set(text) else text
    raise SourceError(f"there is no file {named}, and it is no webcam's number, rtsp:// or http:// address")


class Reader:
    """Reads a source, from when it is made, and hands frames on.

    A live source is read as fast as it comes, so that what is handed on is never old; it is opened again, with pauses,
    where it goes away. A recording is read as it plays, or with ``lossless`` as fast as it is taken.

    Args:
        source: the source.
        wanted: which frames of it.
        wait_seconds: for how long to try where a live one goes away; ``None`` for ever.

    Attributes:
        recorded: it is a recording, with an end.
        fps: frames a second that are handed on, if it is as it says of itself.

    Raises:
        SourceError: it cannot be opened.
    """

    def __init__(self, source: Source, wanted: Wanted, wait_seconds: float | None) -> None:
        self._source, self._wanted, self._wait = source, wanted, wait_seconds
        self._capture = _opened(source)
        counted = source.is_address and not str(source.target).lower().startswith("rtsp")
        self.recorded = source.is_file or (counted and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)
        own = self._capture.get(cv2.CAP_PROP_FPS)
        self._own_fps = own if 1 <= own <= _MOST_FPS else _USUAL_FPS
        self.fps = min(wanted.fps or self._own_fps, self._own_fps)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, put: Callable[[Frame], None], end: Callable[[str], None], say: Callable[[str], None]) -> None:
        """Read from now on.

        Args:
            put: takes each frame; may wait.
            end: called once there are no more, with why for people, or nothing where it is the recording's end.
            say: told for people what happens to the source.
        """
        self._thread = threading.Thread(target=self._run, args=(put, end, say), name="camera", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more. A source that does not answer now is left behind."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_GOODBYE_SECONDS)

    def _run(self, put: Callable[[Frame], None], end: Callable[[str], None], say: Callable[[str], None]) -> None:
        problem = ""
        try:
            if self.recorded:
                self._play(put)
            else:
                self._follow(put, say)
        except SourceError as error:
            problem = str(error)
        except Exception as error:  # a thread's error would be seen by nobody, and its frames waited for
            problem = f"reading {self._source.name} failed: {error}"
        finally:
            self._capture.release()
            end(problem)

    def _play(self, put: Callable[[Frame], None]) -> None:
        """Hand on the frames of a recording."""
        pace, start, at = Pace(self._wanted.fps), time.monotonic(), -1.0
        while not self._closed.is_set() and self._capture.grab():
            told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            at = told if told > at else at + 1 / self._own_fps
            if not pace.due(at):
                continue
            if not self._wanted.lossless:
                self._closed.wait(max(0.0, start + at - time.monotonic()))
                if time.monotonic() - start - at > _LATE_SECONDS:
                    start = time.monotonic() - at
            self._hand_on(put, at)

    def _follow(self, put: Callable[[Frame], None], say: Callable[[str], None]) -> None:
        """Hand on the frames of a live source, which is opened again where it goes away."""
        retry = Retry(self._wait)
        while True:
            pace = Pace(self._wanted.fps)
            while not self._closed.is_set() and self._capture.grab():
                if retry.failing:
                    say(f"{self._source.name} is back")
                    retry.succeeded()
                if pace.due(time.monotonic()):
                    self._hand_on(put, time.time())
            self._capture.release()
            if not retry.failing and not self._closed.is_set():
                say(f"{self._source.name} is away: trying again")
            if (pause := retry.failed()) is None:
                raise SourceError(f"{self._source.name} did not come back")
            if self._closed.wait(pause):
                return
            with suppress(SourceError):
                self._capture = _opened(self._source)

    def _hand_on(self, put: Callable[[Frame], None], captured: float) -> None:
        read = time.monotonic()
        found, picture = self._capture.retrieve()
        if not found or picture is None or self._closed.is_set():
            return
        height, width = picture.shape[:2]
        if 0 < self._wanted.width < width:
            size = self._wanted.width, max(1, round(height * self._wanted.width / width))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self._wanted.quality])[1].tobytes()
        put(Frame(np.asarray(picture, np.uint8), data, captured, read))


def _opened(source: Source) -> cv2.VideoCapture:
    if source.is_address:
        timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _PATIENCE_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _PATIENCE_MS)
        capture = cv2.VideoCapture(str(source.target), cv2.CAP_FFMPEG, timeouts)
    else:
        capture = cv2.VideoCapture(source.target)
        if not source.is_file:
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"cannot open {source.name}" + (": it is no video" if source.is_file else ""))
    return capture
