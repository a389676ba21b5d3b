"""EnrollFace and EnrollBatch over gRPC: answers, refusals and repeated requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet import CENTRAL, LARGEST, AlreadyExists, Cancelled, Client, FailedPrecondition, from_status, picture
from facet.client.requests import enroll_request
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from facet.v1 import types_pb2

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

Picture = NDArray[np.uint8]
NOISE = np.random.default_rng(4)


def night(picture: Picture) -> Picture:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) * 0.15 + NOISE.normal(0, 3, picture.shape[:2])
    return np.asarray(cv2.cvtColor(np.clip(grey, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR), np.uint8)


def grain(picture: Picture) -> Picture:
    return np.clip(picture + NOISE.normal(0, 45, picture.shape), 0, 255).astype(np.uint8)


def negative(picture: Picture) -> Picture:
    return np.asarray(255 - picture, np.uint8)


def motion_blur(picture: Picture) -> Picture:
    return np.asarray(cv2.blur(picture, (25, 1)), np.uint8)


DEGRADED = (night, grain, negative, motion_blur)
REASONS = {
    "night": "FACE_TOO_DARK",
    "grain": "FACE_TOO_NOISY",
    "negative": "FACE_NEGATIVE",
    "motion_blur": "FACE_TOO_BLURRED",
}


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def reason_of_refusal(client: Client, gallery: str, source: bytes | NDArray[np.uint8], **fields: Any) -> str:
    with pytest.raises(FailedPrecondition) as caught:
        client.enroll(gallery, "somebody", source, **fields)
    return caught.value.reason


def subject_ids(client: Client, gallery: str) -> list[str]:
    return [subject.subject_id for subject in client.subjects(gallery)]


def box_of(face: types_pb2.DetectedFace) -> tuple[float, float, float, float]:
    return face.box.x1, face.box.y1, face.box.x2, face.box.y2


def test_the_answer_describes_the_enrolled_face(client: Client, gallery: str, pictures: Pictures) -> None:
    enrolled = client.enroll(gallery, "yao", pictures.yaoming, display_name="Yao Ming")
    assert (enrolled.subject.display_name, enrolled.subject.template_count) == ("Yao Ming", 1)
    assert not enrolled.already_enrolled
    assert enrolled.template.box == enrolled.face.box
    assert enrolled.template.quality == enrolled.face.quality.value > 0.5


def test_the_same_picture_of_the_same_subject_is_enrolled_once(
    client: Client, gallery: str, pictures: Pictures
) -> None:
    first = client.enroll(gallery, "yao", pictures.yaoming)
    again = client.enroll(gallery, "yao", pictures.yaoming, display_name="another name")
    assert again.already_enrolled
    assert again.template == first.template
    assert again.subject == first.subject


def test_a_repeated_request_id_gets_the_same_answer(client: Client, gallery: str, pictures: Pictures) -> None:
    request = enroll_request(gallery, "", pictures.yaoming, request_id="r1")
    first, again = (client.galleries.EnrollFace(request) for _ in range(2))
    assert again.already_enrolled
    assert again.template == first.template
    assert len(subject_ids(client, gallery)) == 1
    request.display_name = "somebody else"
    with pytest.raises(AlreadyExists) as caught:
        client.galleries.EnrollFace(request)
    assert (caught.value.reason, list(caught.value.fields)) == ("REQUEST_ID_REUSED", ["request_id"])


def test_several_faces_need_a_choice(client: Client, gallery: str, pictures: Pictures) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        client.enroll(gallery, "player", pictures.players)
    assert caught.value.reason == "SEVERAL_FACES"
    assert int(caught.value.metadata["faces"]) > 20
    assert list(caught.value.fields) == ["picture"]


def test_the_chosen_face_is_enrolled(client: Client, gallery: str, pictures: Pictures) -> None:
    found = client.recognition.AnalyzeFaces(recognition_pb.AnalyzeFacesRequest(picture=picture(pictures.six)))
    boxes = np.array([box_of(each.face) for each in found.faces])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    offsets = (boxes[:, :2] + boxes[:, 2:]) / 2 - [found.picture_size.width // 2, found.picture_size.height // 2]
    expected = {
        "central": (CENTRAL, int(np.argmax(areas - 2 * np.square(offsets).sum(1)))),
        "largest": (LARGEST, int(np.argmax(areas))),
        "box": (types_pb2.FaceChoice(box=found.faces[-1].face.box), len(boxes) - 1),
    }
    for name, (face, index) in expected.items():
        enrolled = client.enroll(gallery, name, pictures.six, face=face, accept_low_quality=True, accept_lookalike=True)
        assert box_of(enrolled.face) == tuple(boxes[index]), name


def test_a_box_without_a_face_is_refused(client: Client, gallery: str, pictures: Pictures) -> None:
    nowhere = types_pb2.FaceChoice(box=types_pb2.Box(x1=0, y1=0, x2=10, y2=10))
    assert reason_of_refusal(client, gallery, pictures.yaoming, face=nowhere) == "FACE_NOT_FOUND"


def test_a_face_that_looks_like_another_subject_is_refused_unless_accepted(
    client: Client, gallery: str, pictures: Pictures
) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    with pytest.raises(FailedPrecondition) as caught:
        client.enroll(gallery, "ming", pictures.yaoming)
    assert caught.value.reason == "LOOKS_LIKE_ANOTHER_SUBJECT"
    assert caught.value.metadata["subject_id"] == "yao"
    assert float(caught.value.metadata["similarity"]) > 0.99
    client.enroll(gallery, "ming", pictures.yaoming, accept_lookalike=True)
    assert subject_ids(client, gallery) == ["ming", "yao"]


def test_a_picture_without_a_face_is_refused(client: Client, gallery: str) -> None:
    assert reason_of_refusal(client, gallery, np.zeros((200, 200, 3), np.uint8)) == "FACE_NOT_FOUND"
    assert not subject_ids(client, gallery)


def test_a_small_or_blurred_face_is_refused_unless_accepted(client: Client, gallery: str, pictures: Pictures) -> None:
    upright = decoded(pictures.yaoming)
    small = np.asarray(cv2.resize(upright, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(upright, (0, 0), 8), np.uint8)
    assert reason_of_refusal(client, gallery, small) == "FACE_TOO_SMALL"
    assert reason_of_refusal(client, gallery, blurred) == "FACE_TOO_BLURRED"
    for number, poor in enumerate((small, blurred)):
        client.enroll(gallery, "yao", poor, accept_low_quality=True)
        assert client.galleries.GetSubject(
            pb.GetSubjectRequest(gallery_id=gallery, subject_id="yao")
        ).subject.template_count == (number + 1)


@pytest.mark.parametrize("degraded", DEGRADED, ids=lambda each: each.__name__)
def test_a_degraded_face_is_refused_with_the_reason(
    client: Client, gallery: str, pictures: Pictures, degraded: Callable[[Picture], Picture]
) -> None:
    assert reason_of_refusal(client, gallery, degraded(decoded(pictures.yaoming))) == REASONS[degraded.__name__]


def test_validate_only_stores_nothing(client: Client, gallery: str, pictures: Pictures) -> None:
    checked = client.enroll(gallery, "yao", pictures.yaoming, validate_only=True, request_id="r")
    assert checked.subject.template_count == 1
    assert not checked.template.template_id
    assert not subject_ids(client, gallery)
    assert not client.enroll(gallery, "yao", pictures.yaoming, request_id="r2").already_enrolled
    with pytest.raises(FailedPrecondition):
        client.enroll(gallery, "ming", pictures.yaoming, validate_only=True)


def test_a_bad_item_of_a_batch_fails_alone(client: Client, gallery: str, pictures: Pictures) -> None:
    items = {
        "good": enroll_request(gallery, "yao", pictures.yaoming),
        "broken": enroll_request(gallery, "x", pictures.yaoming[:500]),
        "nowhere": enroll_request("no-such-gallery", "x", pictures.yaoming),
        "several": enroll_request(gallery, "x", pictures.six),
        "empty": pb.EnrollFaceRequest(),
    }
    sent = (pb.EnrollBatchRequest(item_id=item_id, enrollment=request) for item_id, request in items.items())
    answers = {answer.item_id: answer for answer in client.galleries.EnrollBatch(sent)}
    assert answers.keys() == items.keys()
    assert answers["good"].status.code == 0
    assert answers["good"].enrollment.subject.subject_id == "yao"
    failed = {item_id: from_status(answer.status) for item_id, answer in answers.items() if answer.status.code}
    assert {item_id: (error.reason, list(error.fields)) for item_id, error in failed.items()} == {
        "broken": ("INVALID_PICTURE", ["picture"]),
        "nowhere": ("GALLERY_NOT_FOUND", []),
        "several": ("SEVERAL_FACES", ["picture"]),
        "empty": ("INVALID_FIELD", ["gallery_id"]),
    }
    assert not any(answers[item_id].HasField("enrollment") for item_id in failed)
    assert subject_ids(client, gallery) == ["yao"]


def test_a_long_batch_is_answered_item_by_item(client: Client, gallery: str, pictures: Pictures) -> None:
    wanted = [f"item-{i}" for i in range(40)]
    sent = (
        pb.EnrollBatchRequest(item_id=item_id, enrollment=enroll_request(gallery, "yao", pictures.yaoming))
        for item_id in wanted
    )
    answers = list(client.galleries.EnrollBatch(sent))
    assert sorted(answer.item_id for answer in answers) == sorted(wanted)
    assert all(answer.status.code == 0 for answer in answers)
    assert sum(not answer.enrollment.already_enrolled for answer in answers) == 1


def test_answered_items_are_stored_even_if_the_client_disconnects(
    client: Client, server: Serving, gallery: str, pictures: Pictures
) -> None:
    def endless() -> Iterator[pb.EnrollBatchRequest]:
        number = 0
        while True:
            request = enroll_request(gallery, f"s{number}", pictures.yaoming, accept_lookalike=True)
            yield pb.EnrollBatchRequest(item_id=str(number), enrollment=request)
            number += 1

    call = client.galleries.EnrollBatch(endless())
    answered = [next(call) for _ in range(3)]
    call.cancel()
    with pytest.raises(Cancelled):
        list(call)
    kept = {answer.enrollment.subject.subject_id for answer in answered}
    assert len(kept) == 3
    assert kept <= set(subject_ids(client, gallery))
    assert not [line for line in server.log_lines() if "exception" in line]
