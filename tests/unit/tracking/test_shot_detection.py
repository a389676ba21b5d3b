"""Detection of cuts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet.tracking.shot_detection import ShotDetector

Picture = NDArray[np.uint8]


def picture(seed: int, tint: tuple[int, int, int], size: tuple[int, int] = (1200, 360)) -> Picture:
    """Patches of colours near a tint."""
    patches = np.random.default_rng(seed).integers(0, 60, (9, 30, 3)) + np.array(tint)
    return np.asarray(cv2.resize(patches.astype(np.uint8), size, interpolation=cv2.INTER_CUBIC), np.uint8)


def test_the_first_frame_is_no_cut() -> None:
    assert not ShotDetector().is_cut(picture(1, (20, 60, 120)))


def test_a_new_shot_is_one_cut() -> None:
    shots = ShotDetector()
    one, other = picture(1, (20, 60, 120)), picture(2, (160, 60, 20))
    assert [shots.is_cut(each) for each in (one, one, other, other)] == [False, False, True, False]


@pytest.mark.parametrize("speed", [3, 20, 120])
def test_panning_is_no_cut_at_any_speed(speed: int) -> None:
    shots, wide = ShotDetector(), picture(1, (20, 60, 120))
    assert not any(shots.is_cut(wide[:, x : x + 640]) for x in range(0, 560, speed))


def test_noise_in_the_dark_is_no_cut() -> None:
    shots, noise = ShotDetector(), np.random.default_rng(1)
    assert not any(shots.is_cut(noise.integers(0, 12, (360, 640, 3), np.uint8)) for _ in range(10))


def test_frames_of_another_size_are_a_cut() -> None:
    shots = ShotDetector()
    assert not shots.is_cut(picture(1, (20, 60, 120), (640, 360)))
    assert shots.is_cut(picture(1, (20, 60, 120), (320, 180)))


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (2, 3000)])
def test_pictures_of_any_size_are_accepted(size: tuple[int, int]) -> None:
    shots = ShotDetector()
    assert not any(shots.is_cut(np.full((size[1], size[0], 3), 90, np.uint8)) for _ in range(2))
