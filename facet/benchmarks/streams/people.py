"""Pictures of people as the frames of a camera: each shows one face, at nearly the same place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet import Client, FacetError, stream_frame
from facet.client.errors import from_status
from facet.evaluation.datasets.protocol_folders import read_gallery
from facet.v1 import recognition_service_pb2 as pb

Picture = NDArray[np.uint8]
Advance = Callable[[], None]
"""Called after each step of a progress bar."""

_FRAME_SIZE = (640, 360)
_SIDE = 180
"""Width and height of the part of a frame that shows the person, pixels."""
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
    """A wall in front of which people stand.

    Args:
        seed: of how they move.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        coarse = self._rng.integers(30, 220, (5, 8, 3)).astype(np.uint8)
        self._wall = cv2.resize(coarse, _FRAME_SIZE, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        edge = np.clip(np.minimum(np.arange(_SIDE), np.arange(_SIDE)[::-1]) / 20, 0, 1).astype(np.float32)
        self._mask = np.minimum.outer(edge, edge)

    def frames(self, path: Path, count: int) -> Iterator[Picture]:
        """Frames BGR ``(360, 640, 3)`` that show a picture, a little moved, scaled, and brighter or darker each time.

        Raises:
            OSError: the picture cannot be read.
        """
        picture = cv2.imread(str(path))
        if picture is None:
            raise OSError(f"cannot read {path}")
        for _ in range(count):
            size = 1 + _SCALE * self._rng.standard_normal()
            scale = np.array([_SIDE / picture.shape[1], _SIDE / picture.shape[0]]).min() * size
            corner = (np.array(_FRAME_SIZE) - scale * np.array(picture.shape[1::-1])) / 2
            place = corner + _SHIFT * self._rng.standard_normal(2)
            matrix = np.array([[scale, 0, place[0]], [0, scale, place[1]]])
            shown = cv2.warpAffine(picture, matrix, _FRAME_SIZE, flags=cv2.INTER_AREA).astype(np.float32)
            left, top = (_FRAME_SIZE[0] - _SIDE) // 2, (_FRAME_SIZE[1] - _SIDE) // 2
            mask = np.zeros(_FRAME_SIZE[::-1], np.float32)
            mask[top : top + _SIDE, left : left + _SIDE] = self._mask
            brightness = 1 + _BRIGHTNESS * self._rng.standard_normal()
            mixed = mask[..., None] * shown * brightness + (1 - mask[..., None]) * self._wall
            yield np.clip(mixed, 0, 255).astype(np.uint8)


def answers(client: Client, gallery_id: str, frames: Iterable[Picture], fps: float) -> list[pb.IdentifyStreamResponse]:
    """The answers of a stream to each of its frames, at this rate of capture.

    Raises:
        FacetError: the stream or a frame failed.
    """
    settings = pb.StreamSettings(camera="bench", gallery_id=gallery_id, lossless=True)
    sent = (stream_frame(number, frame, 1 + number / fps) for number, frame in enumerate(frames))
    received = []
    for answer in client.identify_stream(settings, sent):
        if answer.status.code:
            raise from_status(answer.status)
        received.append(answer)
    return received


def names(answer: pb.IdentifyStreamResponse) -> set[str]:
    """The names in a frame."""
    return {track.subject_id for track in answer.tracks if track.subject_id}


def enroll(client: Client, gallery_id: str, pictures: Mapping[str, bytes | Path]) -> dict[str, str]:
    """Enrol one picture of each person, also if they look alike; the reasons of those that were refused."""
    refused: dict[str, str] = {}
    for name, picture in pictures.items():
        try:
            client.enroll(gallery_id, name, picture, accept_lookalike=True)
        except FacetError as error:
            refused[name] = error.reason or "ERROR"
    return refused


def pairs(people: Sequence[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of different people in random order."""
    rng = np.random.default_rng(seed)
    return [(people[a], people[b]) for a, b in (rng.choice(len(people), 2, replace=False) for _ in range(count))]
