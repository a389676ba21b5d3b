"""Writes a video that browsers play: H.264, 8-bit 4:2:0, with its index at the beginning of the file.

PyAV (the extra ``camera``) has the encoder libx264 in its wheel. OpenCV's wheel writes only MPEG-4 Part 2, which
browsers do not play.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from facet.camera.errors import OutputError, writing
from facet.terminal import private_files

_SUFFIXES = frozenset({".mp4", ".mov", ".mkv"})
_MAX_STILL = 2.0
"""Seconds for which a picture is repeated; a longer gap is cut down to this."""
_ERRORS = (OSError, av.FFmpegError)
_ENCODER = {"preset": "veryfast", "crf": "23"}


class VideoFile:
    """A video of pictures with capture times: each picture is repeated until the next one, so the video keeps time.

    The first picture determines the size; both sides are made even. The file can be played once it is closed.

    Args:
        path: the file, ``.mp4``, ``.mov`` or ``.mkv``.
        fps: frames per second.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if path.suffix.lower() not in _SUFFIXES and not path.is_dir():
            raise OutputError(f"cannot write {path}: the name of a video ends in .mp4, .mov or .mkv")
        with writing(path):
            private_files.make_empty(path)
        self._path, self._fps = path, fps
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._start, self._position = 0.0, 0
        self._last: NDArray[np.uint8] | None = None

    def add(self, picture: NDArray[np.uint8], seconds: float) -> None:
        """Add a picture, BGR ``(h, w, 3)``, with its rising capture time.

        Raises:
            OutputError: it cannot be written.
        """
        if self._last is None:
            self._open(picture)
            self._start = seconds
        else:
            longest = round(_MAX_STILL * self._fps)
            repeats = round((seconds - self._start) * self._fps) - self._position
            if not 0 <= repeats <= longest:
                clipped = min(max(repeats, 0), longest)
                self._start += (repeats - clipped) / self._fps
                repeats = clipped
            for _ in range(repeats):
                self._write(self._last)
            self._position += repeats
        self._last = picture

    def close(self) -> None:
        """Finish the file; without a picture it is removed.

        Raises:
            OutputError: it cannot be written.
        """
        if self._container is None or self._stream is None or self._last is None:
            self._path.unlink(missing_ok=True)
            return
        self._write(self._last)
        with writing(self._path, _ERRORS):
            for packet in self._stream.encode():
                self._container.mux(packet)
            self._container.close()

    def _open(self, picture: NDArray[np.uint8]) -> None:
        with writing(self._path, _ERRORS):
            self._container = av.open(str(self._path), "w", options={"movflags": "+faststart"})
            rate = Fraction(self._fps).limit_denominator(1000)
            self._stream = self._container.add_stream("libx264", rate, options=_ENCODER)
            self._stream.width, self._stream.height = (max(2, side & ~1) for side in picture.shape[1::-1])
            self._stream.pix_fmt = "yuv420p"

    def _write(self, picture: NDArray[np.uint8]) -> None:
        assert self._container is not None  # noqa: S101 - a picture is kept only once it is open
        assert self._stream is not None  # noqa: S101
        size = self._stream.width, self._stream.height
        if picture.shape[1::-1] != size:
            picture = np.asarray(cv2.resize(picture, size), np.uint8)
        with writing(self._path, _ERRORS):
            for packet in self._stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")):
                self._container.mux(packet)
