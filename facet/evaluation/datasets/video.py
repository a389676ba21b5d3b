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
"""Frames per second of a clip that does not state its rate."""
_EARLY = 1e-3
"""Rounding tolerance when frames are sampled, seconds."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The sampled frames of a video file.

    Attributes:
        path: the file.
        places: indices of the frames in the file, from 0, rising.
        times: their times, seconds from the first frame of the file.
        end: end of the last frame, seconds.
        size: width and height, pixels.
    """

    path: Path
    places: tuple[int, ...]
    times: tuple[float, ...]
    end: float
    size: tuple[int, int]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Decode the frames one by one: BGR uint8 ``(h, w, 3)``.

        Raises:
            LabelError: the file has changed or is no longer readable.
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
    """List the frames of a video file.

    Args:
        path: the file.
        fps: sample this many frames per second; ``None`` for all frames.

    Raises:
        LabelError: the file does not exist, or OpenCV cannot decode it.
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
