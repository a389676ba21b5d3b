"""The frames of simulated cameras, as JPEGs: a packaged picture in motion, or a video."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.serving.pictures import FRAME_SIZE, decoded, samples

_QUALITY = 85
_SWAY = 12
"""Pixels by which the scene moves to either side."""
_SWAY_SECONDS = 4.0
_MAX_FRAMES = 300
"""Frames kept of a video. They are shown forwards, then backwards, so that the scene has no cuts."""


def street(fps: float, width: int) -> list[bytes]:
    """A street with two people that sways to and fro once in four seconds.

    Args:
        fps: frames per second.
        width: of the frames, in pixels.

    Returns:
        JPEGs to be shown in a loop.
    """
    scene = decoded(samples(None).frame.data)
    count = max(2, round(_SWAY_SECONDS * fps))
    frames = []
    for phase in np.arange(count) * (2 * np.pi / count):
        shift = np.array([[1, 0, _SWAY * np.sin(phase)], [0, 1, _SWAY / 3 * np.sin(2 * phase)]])
        swayed = cv2.warpAffine(scene, shift, FRAME_SIZE, borderMode=cv2.BORDER_REPLICATE)
        frames.append(_encoded(np.asarray(swayed, np.uint8), width))
    return frames


def filmed(video: Path, fps: float, width: int) -> list[bytes]:
    """The first frames of a video, forwards and backwards.

    Args:
        video: any file that OpenCV reads.
        fps: frames per second; frames of the video are repeated or left out.
        width: of the frames, in pixels.

    Returns:
        JPEGs to be shown in a loop.

    Raises:
        OSError: the file is not a readable video.
    """
    capture = cv2.VideoCapture(str(video))
    video_fps = capture.get(cv2.CAP_PROP_FPS) or fps
    frames: list[bytes] = []
    number = 0
    while len(frames) < _MAX_FRAMES and capture.grab():
        if (due := math.ceil((number + 1) * fps / video_fps) - len(frames)) > 0:
            found, picture = capture.retrieve()
            if found:
                frames += [_encoded(np.asarray(picture, np.uint8), width)] * due
        number += 1
    capture.release()
    if not frames:
        raise OSError(f"cannot read {video}: it is not a video that OpenCV can read")
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
