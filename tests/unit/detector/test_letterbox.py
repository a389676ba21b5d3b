"""The letterbox: its geometry, its pixels, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from detector.letterbox import PADDING, fit

STRIDES = range(32, 641, 32)


@pytest.mark.parametrize(
    ("picture", "inner", "outer", "top", "left"),
    [
        ((720, 1280), (360, 640), (384, 640), 12, 0),
        ((1280, 720), (640, 360), (640, 384), 0, 12),
        ((480, 640), (480, 640), (480, 640), 0, 0),
        ((100, 100), (640, 640), (640, 640), 0, 0),
        ((427, 640), (427, 640), (448, 640), 10, 0),
        ((1, 20000), (1, 640), (32, 640), 15, 0),
        ((4000, 20), (640, 3), (640, 32), 0, 14),
        ((1, 1), (640, 640), (640, 640), 0, 0),
    ],
)
def test_a_dynamic_input_is_padded_to_the_next_stride(
    picture: tuple[int, int], inner: tuple[int, int], outer: tuple[int, int], top: int, left: int
) -> None:
    letterbox = fit(picture, (640, 640), sides=STRIDES)
    assert (letterbox.inner, letterbox.outer) == (inner, outer)
    assert (letterbox.top, letterbox.left) == (top, left)


def test_a_fixed_input_is_filled_for_any_shape() -> None:
    letterbox = fit((720, 1280), (640, 640))
    assert letterbox.outer == (640, 640)
    assert (letterbox.top, letterbox.left) == (140, 0)


def test_a_fixed_input_may_be_oblong() -> None:
    letterbox = fit((1000, 1000), (384, 640))
    assert (letterbox.inner, letterbox.outer, letterbox.left) == ((384, 384), (384, 640), 128)


def test_a_dynamic_input_is_at_least_as_long_as_the_shortest_side() -> None:
    assert fit((1, 20000), (160, 160), sides=range(96, 161, 32)).outer == (96, 160)
    assert fit((160, 160), (160, 160), sides=range(96, 161, 32)).outer == (160, 160)


@pytest.mark.parametrize("size", [(720, 1280), (97, 31), (1, 20000), (4000, 20), (1, 1)])
def test_the_picture_is_centred_in_grey_padding(size: tuple[int, int]) -> None:
    blue = np.zeros((*size, 3), np.uint8)
    blue[..., 0] = 255
    letterbox = fit(size, (640, 640), sides=STRIDES)
    padded = letterbox.apply(blue)
    assert padded.dtype == np.uint8
    assert padded.shape == (*letterbox.outer, 3)
    inside = np.zeros(letterbox.outer, bool)
    inside[letterbox.top :, letterbox.left :][: letterbox.inner[0], : letterbox.inner[1]] = True
    assert (padded[inside] == (255, 0, 0)).all()
    assert (padded[~inside] == PADDING).all()


@pytest.mark.parametrize("sides", [None, STRIDES, (384, 640)])
@pytest.mark.parametrize("size", [(720, 1280), (333, 517), (97, 31), (1, 20000), (4000, 20), (1, 1)])
def test_coordinates_are_mapped_back_to_the_picture(size: tuple[int, int], sides: Sequence[int] | None) -> None:
    letterbox = fit(size, (640, 640), sides=sides)
    height, width = size
    corners = np.array([[0.25, 0.25], [0.5, 0.75], [1, 1]], np.float32) * np.array([width, height], np.float32)
    found = corners * letterbox.scale + np.array([letterbox.left, letterbox.top], np.float32)
    np.testing.assert_allclose(letterbox.points_to_picture(found), corners, rtol=1e-5, atol=1e-3)
    boxes = np.concatenate((found[:2], found[1:]), axis=1)
    expected = np.concatenate((corners[:2], corners[1:]), axis=1)
    np.testing.assert_allclose(letterbox.boxes_to_picture(boxes), expected, rtol=1e-5, atol=1e-3)


def test_boxes_are_clipped_to_the_picture_and_points_are_not() -> None:
    letterbox = fit((100, 200), (640, 640), sides=STRIDES)
    outside = np.array([[-50, -50, 900, 900]], np.float32)
    assert letterbox.boxes_to_picture(outside).tolist() == [[0, 0, 200, 100]]
    assert (letterbox.points_to_picture(outside.reshape(2, 2))[0] < 0).all()


def test_no_boxes_are_mapped_to_no_boxes() -> None:
    assert fit((10, 10), (64, 64)).boxes_to_picture(np.zeros((0, 4), np.float32)).shape == (0, 4)
