"""The frames of a video file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.labels import LabelError, is_file

_RATE = 25.0
"""Frames a second of a clip that does not say."""
_EARLY = 1e-3
"""Seconds by which a frame may be before its turn, for rounding."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of a video file that are looked at.

    Attributes:
        path: the file.
        places: of the frames, counted from 0 in the file, rising.
        times: of the same, seconds from the first frame of the file.
        end: when the last frame is over, seconds.
        size: width and height, pixels.
    """

    path: Path
    places: tuple[int, ...]
    times: tuple[float, ...]
    end: float
    size: tuple[int, int]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Decode them, one after another: BGR uint8 ``(h, w, 3)``.

        Raises:
            LabelError: the file has changed, or cannot be read any more.
        """
        file = cv2.VideoCapture(str(self.path))
        try:
            at = -1
            for place in self.places:
                while at < place:
                    if not file.grab():
                        raise LabelError(self.path, None, f"has no frame {at + 1} any more")
                    at += 1
                done, frame = file.retrieve()
                if not done:
                    raise LabelError(self.path, None, f"frame {at} cannot be decoded")
                yield np.asarray(frame, np.uint8)
        finally:
            file.release()


def read_clip(path: Path, fps: float | None = None) -> Clip:
    """See which frames a video file has.

    Args:
        path: the file.
        fps: take only so many a second, each time the first that is due; ``None`` for all.

    Raises:
        LabelError: there is no such file, or it is no video that OpenCV can decode.
    """
    if not is_file(path):
        raise LabelError(path, None, "there is no such file")
    file = cv2.VideoCapture(str(path))
    try:
        rate = file.get(cv2.CAP_PROP_FPS)
        size = int(file.get(cv2.CAP_PROP_FRAME_WIDTH)), int(file.get(cv2.CAP_PROP_FRAME_HEIGHT))
        times: list[float] = []
        while file.grab():
            times.append(file.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    finally:
        file.release()
    if not times:
        raise LabelError(path, None, "is no video that can be decoded")
    step = 1 / (rate if 0 < rate < 1000 else _RATE)
    if any(later <= earlier for earlier, later in pairwise(times)):
        times = [place * step for place in range(len(times))]
    times = [time - times[0] for time in times]
    places = tuple(_due(times, fps)) if fps else tuple(range(len(times)))
    return Clip(path, places, tuple(times[place] for place in places), times[-1] + step, size)


def _due(times: list[float], fps: float) -> Iterator[int]:
    due = 0
    for place, time in enumerate(times):
        if time >= due / fps - _EARLY:
            yield place
            due = int((time + _EARLY) * fps) + 1
