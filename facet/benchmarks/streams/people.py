"""Pictures of people as the frames of a camera: each shows one face, at nearly the same place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.protocol_folders import read_gallery
from facet.v1 import recognition_service_pb2 as pb

Picture = NDArray[np.uint8]
Advance = Callable[[], None]
"""Called after each step of a progress bar."""

_FRAME_SIZE = (640, 360)
SIDE = 180
"""Width and height of the part of a frame that shows a person, pixels; a face of LFW is about half as high."""
_SHIFT, _SCALE, _BRIGHTNESS = 2.0, 0.02, 0.04
"""Standard deviations of a person's movement (pixels), size and brightness between two frames."""


def pictures_by_person(folder: Path, *, at_least: int) -> dict[str, tuple[Path, ...]]:
    """The people of a folder of folders with at least this many pictures, by name.

    Raises:
        LabelError: the folder has no pictures, or other files.
    """
    found: dict[str, list[Path]] = {}
    for entry in read_gallery(folder):
        found.setdefault(entry.subject, []).append(entry.path)
    return {name: tuple(paths) for name, paths in found.items() if len(paths) >= at_least}


class Scene:
    """A wall in front of which people stand, one after the other, at the same place.

    Args:
        seed: of how they move.
        side: width and height of the part of a frame that shows a person, pixels.
    """

    def __init__(self, seed: int, side: int = SIDE) -> None:
        self._seed = seed
        self._side = side
        rng = np.random.default_rng(seed)
        coarse = rng.integers(30, 220, (5, 8, 3)).astype(np.uint8)
        self._wall = np.asarray(cv2.resize(coarse, _FRAME_SIZE, interpolation=cv2.INTER_CUBIC), np.uint8)
        edge = np.clip(np.minimum(np.arange(side), np.arange(side)[::-1]) * 9 / side, 0, 1).astype(np.float32)
        self._mask = np.minimum.outer(edge, edge)

    def frames(self, path: Path, take: int = 0) -> Iterator[Picture]:
        """Endless frames BGR ``(360, 640, 3)`` of a picture, a little moved, scaled, brighter or darker each time.

        Args:
            path: the picture.
            take: the same take of the same picture has the same frames.

        Raises:
            OSError: the picture cannot be read.
        """
        rng, picture = np.random.default_rng((self._seed, take)), _read(path)
        while True:
            frame = self._wall.copy()
            self._show(frame, picture, rng)
            yield frame

    def change(self, before: Path, after: Path, count: int, take: int = 0) -> Iterator[Picture]:
        """Frames in which one person, who comes from the right, moves in front of another one.

        Raises:
            OSError: a picture cannot be read.
        """
        rng, pictures = np.random.default_rng((self._seed, take)), (_read(before), _read(after))
        for number in range(1, count + 1):
            frame = self._wall.copy()
            self._show(frame, pictures[0], rng)
            self._show(frame, pictures[1], rng, round(self._side * (1 - number / (count + 1))))
            yield frame

    def _show(self, frame: Picture, picture: Picture, rng: np.random.Generator, right: int = 0) -> None:
        """Draw a person into a frame, so many pixels to the right of its centre."""
        side, size = self._side, 1 + _SCALE * rng.standard_normal()
        scale = np.array([side / picture.shape[1], side / picture.shape[0]]).min() * size
        place = (side - scale * np.array(picture.shape[1::-1])) / 2 + _SHIFT * side / SIDE * rng.standard_normal(2)
        matrix = np.array([[scale, 0, place[0]], [0, scale, place[1]]])
        shown = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA).astype(np.float32)
        shown *= 1 + _BRIGHTNESS * rng.standard_normal()
        left, top = (_FRAME_SIZE[0] - side) // 2 + right, (_FRAME_SIZE[1] - side) // 2
        behind = frame[top : top + side, left : left + side]
        mixed = self._mask[..., None] * shown + (1 - self._mask[..., None]) * behind
        behind[:] = np.clip(mixed, 0, 255).astype(np.uint8)


def _read(path: Path) -> Picture:
    picture = cv2.imread(str(path))
    if picture is None:
        raise OSError(f"cannot read {path}")
    return np.asarray(picture, np.uint8)


def names(answer: pb.IdentifyStreamResponse) -> set[str]:
    """The names in a frame."""
    return {track.subject_id for track in answer.tracks if track.subject_id}


def pairs(people: Sequence[str], seed: int) -> Iterator[tuple[str, str]]:
    """Endless pairs of different people in random order."""
    rng = np.random.default_rng(seed)
    while True:
        first, second = rng.choice(len(people), 2, replace=False)
        yield people[first], people[second]
