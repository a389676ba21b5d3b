"""Turned pictures for evaluation, and the boxes that are found in them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.evaluation.rotation import box_rotated_back, rotated


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_box_is_turned_back_to_the_pixels_that_it_holds(tmp_path: Path, degrees: int) -> None:
    picture = np.zeros((40, 70, 3), np.uint8)
    picture[10:15, 20:40] = 255
    file = tmp_path / "bright.png"
    cv2.imwrite(str(file), picture)
    turned = rotated(file, degrees)
    assert isinstance(turned, np.ndarray)
    rows, columns = np.nonzero(turned[..., 0])
    box = float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
    assert box_rotated_back(box, degrees, turned.shape[1], turned.shape[0]) == (20, 10, 40, 15)


def test_a_picture_that_is_not_turned_or_not_readable_is_sent_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "none.jpg"
    file.write_bytes(b"no picture")
    assert rotated(file, 0) == file
    assert rotated(file, 90) == b"no picture"
