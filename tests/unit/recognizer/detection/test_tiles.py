"""How a large picture is divided into tiles."""

from __future__ import annotations

import numpy as np
import pytest

from recognizer.detection.tiles import LEAST_HEIGHT, MAX_TILES, Plan, Tile, plan
from recognizer.faces import Faces

SIDE = 800
THOROUGH_HEIGHT = 40


def planned(width: int, height: int) -> Plan:
    return plan(
        width, height, look_scale=SIDE / max(width, height), wanted_scale=LEAST_HEIGHT / THOROUGH_HEIGHT, side=SIDE
    )


SIZES = [
    (10_000, 600),
    (600, 10_000),
    (12_000, 2000),
    (8000, 6000),
    (6000, 8000),
    (10_000, 10_000),
    (65_000, 1),
    (1, 65_000),
]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_face_that_the_whole_picture_is_too_coarse_for_is_whole_in_a_tile(width: int, height: int) -> None:
    found = planned(width, height)
    coarse = LEAST_HEIGHT / (SIDE / max(width, height))
    rng = np.random.default_rng(1)
    for face in np.geomspace(found.least_height, coarse, 200)[:-1]:
        face = min(face, width, height)
        x, y = rng.uniform(0, width - face), rng.uniform(0, height - face)
        box = Faces(
            np.array([[x, y, x + face, y + face]], np.float32), np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32)
        )
        assert any(
            len(each.whole(box.translated(-each.left, -each.top), width, height))
            and face * each.scale >= min(0.99 * LEAST_HEIGHT, 0.99 * each.scale * min(width, height))
            for each in found.tiles
        )


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tiles_lie_in_the_picture_fit_the_input_and_are_bounded(width: int, height: int) -> None:
    found = planned(width, height)
    assert 0 < len(found.tiles) <= MAX_TILES
    for each in found.tiles:
        assert 0 <= each.left < each.right <= width
        assert 0 <= each.top < each.bottom <= height
        assert each.longest <= SIDE + 1e-6


def test_faces_are_looked_for_down_to_the_wanted_height_or_as_far_as_tiles_suffice() -> None:
    assert planned(12_000, 2000).least_height == pytest.approx(THOROUGH_HEIGHT)
    assert planned(10_000, 8000).least_height == pytest.approx(THOROUGH_HEIGHT)
    assert THOROUGH_HEIGHT < planned(16_320, 12_240).least_height < 92
    small = planned(1000, 800)
    assert not small.tiles
    assert small.least_height == pytest.approx(LEAST_HEIGHT * 1000 / SIDE)


def test_faces_that_an_inner_edge_cuts_off_are_left_to_the_next_tile() -> None:
    tile = Tile(100, 0, 500, 400, 1.0)
    boxes = np.array(
        [
            [-5, 50, 40, 100],
            [50, -5, 90, 40],
            [100, 100, 150, 150],
            [370, 100, 401, 150],
            [100, 380, 140, 402],
            [8, 100, 100, 300],  # half of a face: its box begins a little within the tile
        ],
        np.float32,
    )
    faces = Faces(boxes, np.zeros((6, 5, 2), np.float32), np.arange(6, 0, -1).astype(np.float32))
    assert tile.whole(faces, 500, 1000).scores.tolist() == [5, 4, 3]
    assert tile.whole(faces, 500, 1000).boxes[1].tolist() == [200, 100, 250, 150]


@pytest.mark.parametrize("side", [64, 96, 128, 215])
def test_an_input_that_is_hardly_larger_than_the_overlap_of_tiles_has_none(side: int) -> None:
    assert plan(8000, 6000, look_scale=side / 8000, wanted_scale=0.6, side=side) == Plan((), side / 8000)
