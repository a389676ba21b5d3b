"""A thorough search over the wire: faces that are small in a large picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet import FAST, THOROUGH, Client, InvalidArgument, picture
from facet.v1 import recognition_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures

ORIENTATION = 0x0112
"""Tag of EXIF."""
FACE = 110
PLACES = ((30, 20), (1180, 150), (2950, 300), (5600, 100))
"""Left and top edges of the portraits. Some lie on borders of tiles."""


@pytest.fixture(scope="module")
def panorama(pictures: Pictures) -> NDArray[np.uint8]:
    portrait = np.asarray(cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    scale = FACE / portrait.shape[0]
    small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((500, 6000, 3), 120, np.uint8)
    for left, top in PLACES:
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


@pytest.mark.parametrize("quarter_turns", [0, 1], ids=["landscape", "portrait"])
def test_each_small_face_of_a_panorama_is_found_once_and_the_answer_says_how_small_they_may_be(
    client: Client, panorama: NDArray[np.uint8], quarter_turns: int
) -> None:
    wide = panorama
    if quarter_turns:  # the same faces, upright, one below the other
        wide = np.full((6000, 500, 3), 120, np.uint8)
        for left, top in PLACES:
            wide[left : left + FACE, top : top + FACE] = panorama[top : top + FACE, left : left + FACE]
    data = cv2.imencode(".jpg", wide, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    fast = client.analyze_faces(data, search=FAST)
    thorough = client.analyze_faces(data, search=THOROUGH)
    assert len(fast.faces) < len(thorough.faces) == len(PLACES)
    assert thorough.least_face_height == pytest.approx(40)
    assert fast.least_face_height > FACE
    found = sorted((face.face.box.x1, face.face.box.y1) for face in thorough.faces)
    expected = sorted(place[::-1] if quarter_turns else place for place in PLACES)
    assert np.abs(np.array(found) - expected).max() < FACE


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_thorough_search_finds_small_faces_whichever_way_up_the_picture_is(
    client: Client, panorama: NDArray[np.uint8], turn: int
) -> None:
    stored = np.ascontiguousarray(np.rot90(panorama, turn // 90))  # to be turned clockwise again
    answer = client.analyze_faces(cv2.imencode(".png", stored)[1].tobytes(), search=THOROUGH)
    assert [face.face.turn for face in answer.faces] == [turn] * len(PLACES)
    assert len({(round(face.face.box.x1), round(face.face.box.y1)) for face in answer.faces}) == len(PLACES)


def test_a_thorough_search_finds_faces_of_every_turn_beside_sure_ones(
    client: Client, panorama: NDArray[np.uint8]
) -> None:
    left, top = PLACES[0]
    portrait = panorama[top : top + FACE, left : left + FACE]
    scene = np.full((400, 900, 3), 120, np.uint8)
    for quarter_turns in range(4):
        place = slice(40 + 200 * quarter_turns, 40 + 200 * quarter_turns + FACE)
        scene[150 : 150 + FACE, place] = np.rot90(portrait, quarter_turns)
    answer = client.analyze_faces(cv2.imencode(".png", scene)[1].tobytes(), search=THOROUGH)
    found = sorted((face.face.box.x1, face.face.turn) for face in answer.faces)
    assert [turn for _, turn in found] == [0, 90, 180, 270]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_thorough_search_applies_the_orientation_of_a_jpeg_in_grey_or_cmyk(
    client: Client, panorama: NDArray[np.uint8], mode: str
) -> None:
    stored = np.ascontiguousarray(np.rot90(panorama))  # a quarter turn to the left
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned to the right
    buffer = io.BytesIO()
    Image.fromarray(stored[..., ::-1].copy()).convert(mode).save(buffer, "JPEG", quality=95, exif=exif)
    answer = client.analyze_faces(buffer.getvalue(), search=THOROUGH)
    assert (answer.picture_size.width, answer.picture_size.height) == panorama.shape[1::-1]
    found = sorted((face.face.box.x1, face.face.box.y1) for face in answer.faces)
    assert len(found) == len(PLACES)
    assert np.abs(np.array(found) - sorted(PLACES)).max() < FACE


def test_a_search_that_is_unknown_is_refused(client: Client, pictures: Pictures) -> None:
    request = pb.AnalyzeFacesRequest(picture=picture(pictures.yaoming))
    request.search = 9  # type: ignore[assignment]  # a later version's
    with pytest.raises(InvalidArgument, match="search"):
        client.recognition.AnalyzeFaces(request)
