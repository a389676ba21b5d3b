"""What simulated cameras see: a scene made of a packaged picture, or a video; as JPEGs, one a frame."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.serving.pictures import FRAME_SIZE, decoded, samples

_QUALITY = 85
_SWAY = 12
"""Pixels by which the street moves to either side."""
_SWAY_SECONDS = 4.0
_MOST_FRAMES = 300
"""Of a video, so many are kept; they are shown forwards and backwards, so that nobody jumps."""


def street(fps: float, width: int) -> list[bytes]:
    """A street with two people in it that sways a little, to and fro in some seconds, as JPEGs."""
    scene = decoded(samples(None).frame.data)
    count = max(2, round(_SWAY_SECONDS * fps))
    frames = []
    for turn in np.arange(count) * (2 * np.pi / count):
        shift = np.array([[1, 0, _SWAY * np.sin(turn)], [0, 1, _SWAY / 3 * np.sin(2 * turn)]])
        swayed = cv2.warpAffine(scene, shift, FRAME_SIZE, borderMode=cv2.BORDER_REPLICATE)
        frames.append(_encoded(np.asarray(swayed, np.uint8), width))
    return frames


def filmed(video: Path, fps: float, width: int) -> list[bytes]:
    """The frames of a video at a rate, forwards and backwards, as JPEGs.

    Raises:
        OSError: it cannot be read.
    """
    capture = cv2.VideoCapture(str(video))
    own = capture.get(cv2.CAP_PROP_FPS) or fps
    frames: list[bytes] = []
    number = 0
    while len(frames) < _MOST_FRAMES and capture.grab():
        if (due := math.ceil((number + 1) * fps / own) - len(frames)) > 0:
            found, picture = capture.retrieve()
            if found:
                frames += [_encoded(np.asarray(picture, np.uint8), width)] * due
        number += 1
    capture.release()
    if not frames:
        raise OSError(f"cannot read {video}: it is no video")
    return frames + frames[-2:0:-1]


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG."""
    height, width = decoded(data).shape[:2]
    return width, height


def _encoded(picture: NDArray[np.uint8], width: int) -> bytes:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    if width != picture.shape[1]:
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
