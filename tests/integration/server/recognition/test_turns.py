"""Pictures and cameras that are not upright, over gRPC."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facet import Client, Enrollment, InvalidArgument, picture, stream_frame
from facet.runtime.pictures import decode
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import types_pb2
from facet.v1.gallery_service_pb2 import EnrollFaceResponse

if TYPE_CHECKING:
    from tests.conftest import Pictures

Array = NDArray[np.uint8]


@pytest.fixture(scope="module")
def upside_down(pictures: Pictures) -> Array:
    upright = decode(pictures.yaoming, max_pixels=10**8)
    return np.asarray(cv2.rotate(upright, cv2.ROTATE_180), np.uint8)


@pytest.fixture
def team(client: Client, gallery: str, upside_down: Array) -> str:
    """A gallery of one man, whose picture was upside down."""
    enrolled = client.enroll(gallery, "yao", upside_down)
    assert enrolled.face.turn == 180
    return gallery


def test_a_picture_upside_down_is_enrolled_and_identified(
    client: Client, team: str, pictures: Pictures, upside_down: Array
) -> None:
    for source, turn in ((pictures.yaoming, 0), (upside_down, 180)):
        (found,) = client.identify(team, source).faces
        assert found.identification.candidates[0].similarity > 0.9
        assert found.face.turn == turn
        assert (abs(found.face.quality.roll) > 90) is (turn == 180)
    verified = client.verify(upside_down, pictures.yaoming)
    assert verified.same
    assert (verified.reference_face.turn, verified.probe_face.turn) == (180, 0)


def test_a_request_says_which_way_up_its_picture_is(client: Client, upside_down: Array) -> None:
    (told,) = client.analyze_faces(picture(upside_down, turn=180)).faces
    assert told.face.turn == 180
    assert all(each.face.turn == 0 for each in client.analyze_faces(picture(upside_down, turn="as-is")).faces)
    people = client.detect(picture(upside_down, turn=180), class_names=["person"]).objects
    face, person = told.face.box, people[0].box
    assert person.x1 <= (face.x1 + face.x2) / 2 <= person.x2
    assert person.y1 <= (face.y1 + face.y2) / 2 <= person.y2


def test_an_answers_turn_is_beyond_exif_and_its_boxes_stay_in_the_picture_as_exif_turns_it(
    client: Client, upside_down: Array
) -> None:
    wide = np.asarray(cv2.copyMakeBorder(upside_down, 0, 0, 0, 120, cv2.BORDER_REPLICATE), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    stored, buffer = cv2.rotate(wide, cv2.ROTATE_90_COUNTERCLOCKWISE), io.BytesIO()
    Image.fromarray(stored[..., ::-1].copy()).save(buffer, "PNG", exif=exif)
    for source in (buffer.getvalue(), wide):
        answer = client.analyze_faces(source)
        (found,) = answer.faces
        assert (answer.picture_size.width, answer.picture_size.height) == (wide.shape[1], wide.shape[0])
        assert found.face.turn == 180
        (upright,) = client.analyze_faces(np.ascontiguousarray(wide[::-1, ::-1])).faces
        assert found.face.box.x1 == pytest.approx(wide.shape[1] - upright.face.box.x2, abs=5)
        assert found.face.box.y1 == pytest.approx(wide.shape[0] - upright.face.box.y2, abs=5)
        eye = upright.face.landmarks.left_eye
        assert found.face.landmarks.left_eye.x == pytest.approx(wide.shape[1] - 1 - eye.x, abs=5)
        assert found.face.landmarks.left_eye.y == pytest.approx(wide.shape[0] - 1 - eye.y, abs=5)


def test_batches_say_it_for_each_picture(client: Client, gallery: str, upside_down: Array) -> None:
    ((_, answer),) = client.enroll_batch(gallery, [(1, Enrollment("yao", upside_down, turn=180))])
    assert isinstance(answer, EnrollFaceResponse)
    assert answer.face.turn == 180


def test_an_unknown_turn_is_refused(client: Client, gallery: str, upside_down: Array) -> None:
    message = picture(upside_down)
    message.turn = 7  # type: ignore[assignment]  # what a newer client might send
    with pytest.raises(InvalidArgument) as refused:
        client.analyze_faces(message)
    assert refused.value.reason == "INVALID_FIELD"
    settings = pb.StreamSettings(gallery_id=gallery, turn=message.turn)
    with pytest.raises(InvalidArgument):
        list(client.identify_stream(settings, []))


@pytest.mark.parametrize("told", [types_pb2.TURN_UNSPECIFIED, types_pb2.TURN_180])
def test_a_stream_finds_its_cameras_turn_or_is_told(
    client: Client, team: str, upside_down: Array, told: types_pb2.Turn.ValueType
) -> None:
    frame = cv2.imencode(".jpg", upside_down)[1].tobytes()
    frames = [stream_frame(number, frame, number / 10) for number in range(8)]
    settings = pb.StreamSettings(gallery_id=team, lossless=True, turn=told)
    answers = list(client.identify_stream(settings, frames))
    assert {answer.turn for answer in answers} == {180}
    (track,) = answers[-1].tracks
    assert track.subject_id == "yao"
    (found,) = client.analyze_faces(upside_down).faces
    assert abs(track.face_box.y1 - found.face.box.y1) < 10
    assert track.landmarks.left_eye.y > track.landmarks.left_mouth.y


@pytest.mark.parametrize(("told", "turn"), [(types_pb2.TURN_AS_IS, 0), (types_pb2.TURN_90, 90)])
def test_a_stream_keeps_the_turn_that_it_is_told(
    client: Client, team: str, upside_down: Array, told: types_pb2.Turn.ValueType, turn: int
) -> None:
    frame = cv2.imencode(".jpg", upside_down)[1].tobytes()
    frames = [stream_frame(number, frame, number / 10) for number in range(4)]
    settings = pb.StreamSettings(gallery_id=team, lossless=True, turn=told)
    assert {answer.turn for answer in client.identify_stream(settings, frames)} == {turn}
