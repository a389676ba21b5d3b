"""How much decoding at a reduced size changes the embeddings of faces, over many photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.photos.pictures import add_noise
from facet.benchmarks.serving.pictures import decoded
from facet.benchmarks.streams.people import pictures_by_person
from facet.evaluation.datasets.labels import LabelError
from recognizer import choice
from recognizer.errors import FaceNotFound
from recognizer.faces import Faces
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.progress import finish
from recognizer.settings import ModelSettings, PipelineSettings
from recognizer.sources import Encoded

_WIDTHS = (4000, 4032, 6000, 7360)
"""Of photos of 12, 24 and 36 megapixels."""
_SIDES = (250, 2900)
"""Least and largest side of the portrait in a photo, pixels. A face of LFW has about half of it."""
_MARGIN = 300
"""Most rows above and below the portrait. More would take time, and change nothing: rows are decoded one by one."""
_NOISE = (1.0, 5.0)
_QUALITIES = (75, 97)
_SUBSAMPLINGS = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)

Embedding = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Change:
    """What decoding at a reduced size changes for the face of one photo.

    Attributes:
        embedding: 1 - cosine of the embeddings with and without it, [0, 2].
        similarity: absolute difference of the similarities that the two have to another picture of the person, [0, 2].
    """

    embedding: float
    similarity: float


@dataclass(frozen=True, slots=True)
class _Photo:
    """A JPEG, and where its portrait is: left, top and side, pixels."""

    data: bytes
    left: int
    top: int
    side: int


def changes(people: Path, count: int, seed: int) -> Iterator[Change]:
    """Decode photos of people both ways, and compare the embeddings of their faces.

    Photos without a face in either way are left out.

    Args:
        people: a folder of a folder for each person; those with two pictures are used, in random order.
        count: number of photos.
        seed: of the order, and of the sizes, places, noise, and compression.

    Raises:
        LabelError: nobody has two pictures, or the folder has other files.
        OSError: a file cannot be read.
    """
    persons: Sequence[tuple[Path, ...]] = list(pictures_by_person(people, at_least=2).values())
    if not persons:
        raise LabelError(people, None, "nobody has two pictures")
    models = load_models(ModelSettings(objects=None))
    reduced, full = (FacePipeline(models, PipelineSettings(scaled_decoding=scaled)) for scaled in (True, False))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(persons))
    for at in range(count):
        reference, probe = (path.read_bytes() for path in persons[order[at % len(order)]][:2])
        photo = _photo(decoded(probe), rng)
        try:
            known = _embedding(full, reference)
            one, other = (_embedding(pipeline, photo.data, photo) for pipeline in (reduced, full))
        except FaceNotFound:
            continue
        yield Change(1 - float(one @ other), abs(float(one @ known) - float(other @ known)))


def _photo(portrait: NDArray[np.uint8], rng: np.random.Generator) -> _Photo:
    width = int(rng.choice(_WIDTHS))
    side = int(np.exp(rng.uniform(*np.log(_SIDES))))
    left, (top, bottom) = int(rng.integers(width - side)), rng.integers(1, _MARGIN, 2).tolist()
    coarse = rng.integers(60, 200, (2 + side // 40, width // 40, 3), np.uint8)
    canvas = np.asarray(cv2.resize(coarse, (width, top + side + bottom)), np.uint8)
    enlarged = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_LANCZOS4)
    canvas[top : top + side, left : left + side] = enlarged
    add_noise(canvas, rng.uniform(*_NOISE), rng)
    quality, subsampling = int(rng.integers(*_QUALITIES, endpoint=True)), int(rng.choice(_SUBSAMPLINGS))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, subsampling]
    return _Photo(cv2.imencode(".jpg", canvas, options)[1].tobytes(), left, top, side)


def _embedding(pipeline: FacePipeline, data: bytes, photo: _Photo | None = None) -> Embedding:
    """The embedding of the central face, or of that in the middle of a photo's portrait."""
    choose = choice.central if photo is None else partial(_central, photo)
    _, faces = finish(pipeline.analyze_and_align_in_turns(Encoded(data), choose))
    return np.asarray(pipeline.embed(faces)[0], np.float32)


def _central(photo: _Photo, faces: Faces, shape: tuple[int, ...]) -> int:
    del shape
    return choice.central(faces.translated(-photo.left, -photo.top), (photo.side, photo.side))
