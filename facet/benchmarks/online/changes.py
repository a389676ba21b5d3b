"""Changes that are staged: other pictures of the same people, or other people in the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.online.coverage import LabelledStream
from facet.benchmarks.online.faces import Face, Picture

Weights = NDArray[np.float64]
"""The probability of each search."""

_BLUR = 2.5
"""Standard deviation, pixels."""
_DARKER, _DARK_NOISE = 0.4, 4.0
_CAMERA_SCALE, _CAMERA_QUALITY = 0.5, 40
"""A camera with half the resolution and a stronger compression."""
_EXTREME = 0.25
"""The share of people or faces that a change of people keeps."""
_CROWD_STRANGERS = 0.95


def _blurred(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), _BLUR), np.uint8)


def _darker(picture: Picture) -> Picture:
    noise = np.random.default_rng(0).normal(0, _DARK_NOISE, picture.shape)
    return np.clip(picture * _DARKER + noise, 0, 255).astype(np.uint8)


def _another_camera(picture: Picture) -> Picture:
    small = cv2.resize(picture, None, fx=_CAMERA_SCALE, fy=_CAMERA_SCALE, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _CAMERA_QUALITY])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


PICTURES: Mapping[str, Callable[[Picture], Picture]] = {
    "blur": _blurred,
    "darker": _darker,
    "another camera": _another_camera,
}
"""Changes of pictures."""
CROWD = "crowd"
"""Many small faces in a picture."""


def people(stream: LabelledStream, faces: Sequence[Face]) -> dict[str, Weights]:
    """Changes of people: the weights of a stream's searches after each.

    Args:
        stream: the labelled stream.
        faces: of its searches.
    """
    is_nonmated = np.arange(len(faces)) < stream.nonmated
    to_others = np.where(is_nonmated, stream.searches.best, stream.searches.runner_up)
    turn = np.abs(np.array([each.measures.yaw for each in faces]))
    return {
        "another population": _halves(is_nonmated, _highest(to_others, is_nonmated)),
        "turned heads": _halves(is_nonmated, _highest(turn, is_nonmated)),
        "strangers": np.where(
            is_nonmated, _CROWD_STRANGERS / is_nonmated.sum(), (1 - _CROWD_STRANGERS) / (~is_nonmated).sum()
        ),
    }


def _highest(values: NDArray[np.float64], is_nonmated: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The highest quarter of the values, among nonmated and mated searches alike."""
    limits = [np.quantile(values[rows], 1 - _EXTREME) for rows in (is_nonmated, ~is_nonmated)]
    return np.asarray(values >= np.where(is_nonmated, *limits), np.bool_)


def _halves(is_nonmated: NDArray[np.bool_], kept: NDArray[np.bool_]) -> Weights:
    """Equal weights of what is kept; half of all weight is nonmated."""
    weights = np.zeros(len(kept))
    for rows in (kept & is_nonmated, kept & ~is_nonmated):
        weights[rows] = 0.5 / rows.sum()
    return weights
