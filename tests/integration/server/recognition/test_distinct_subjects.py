"""Nobody twice in a picture, over gRPC: a man beside himself, and what the loser is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet import LARGEST, Client
from facet.v1 import recognition_service_pb2 as pb
from tests.answers import faces_of

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve


def beside(portrait: NDArray[np.uint8], *copies: tuple[float, float]) -> bytes:
    """Make a picture with a portrait and copies of it on the right, each scaled and blurred."""
    panels = [portrait]
    for scale, blur in copies:
        small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(small, (0, 0), blur)
        below = portrait.shape[0] - blurred.shape[0]
        panels.append(
            np.asarray(cv2.copyMakeBorder(blurred, 0, below, 0, 0, cv2.BORDER_CONSTANT, value=(127,) * 3), np.uint8)
        )
    return cv2.imencode(".png", np.hstack(panels))[1].tobytes()


@pytest.fixture(scope="module")
def portrait(pictures: Pictures) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


@pytest.fixture(scope="module")
def twice(portrait: NDArray[np.uint8]) -> bytes:
    """A picture with one man twice: sharp on the left, small and blurred on the right."""
    return beside(portrait, (0.5, 1.5))


def test_a_subject_goes_to_the_most_similar_face_and_the_other_is_told(client: Client, team: str, twice: bytes) -> None:
    usual = faces_of(client.identify(team, twice))
    assert [each.identification.decision for each in usual] == [pb.DECISION_MATCH] * 2
    assert not any(each.identification.taken for each in usual)
    faces = faces_of(client.identify(team, twice, distinct_subjects=True))
    similarities = [each.identification.candidates[0].similarity for each in usual]
    winner = int(np.argmax(similarities))
    assert faces[winner] == usual[winner]
    loser = faces[1 - winner].identification
    assert loser.decision == pb.DECISION_UNKNOWN
    (taken,) = loser.taken
    assert (taken.candidate.subject_id, taken.face) == ("yao", winner)
    assert taken.candidate.similarity == usual[1 - winner].identification.candidates[0].similarity
    assert not loser.candidates


def test_the_loser_gets_its_next_subject(client: Client, team: str, pictures: Pictures, twice: bytes) -> None:
    client.enroll(team, "brother", pictures.yaoming, accept_lookalike=True)
    for top_k in (1, 5):
        faces = client.identify(team, twice, distinct_subjects=True, top_k=top_k).faces
        assert [each.identification.decision for each in faces] == [pb.DECISION_MATCH] * 2
        assert {each.identification.candidates[0].subject_id for each in faces} == {"brother", "yao"}
        assert sorted(len(each.identification.taken) for each in faces) == [0, 1]


def test_a_face_that_is_not_identified_takes_nobody(client: Client, team: str, twice: bytes) -> None:
    (face,) = client.identify(team, twice, distinct_subjects=True, face=LARGEST).faces
    assert face.identification.decision == pb.DECISION_MATCH
    assert not face.identification.taken


def test_a_refused_face_takes_nobody(serve: Serve, portrait: NDArray[np.uint8]) -> None:
    """The index of the face that took a subject counts refused faces, too."""
    picture = beside(portrait, (1.0, 2.5), (0.6, 0.3))
    with Client(serve("--identification.min-sharpness", "0.3").address) as client:
        client.create_gallery("g")
        client.enroll("g", "yao", portrait)
        faces = client.identify("g", picture, distinct_subjects=True).faces
    decisions = [each.identification.decision for each in faces]
    assert sorted(decisions) == [pb.DECISION_MATCH, pb.DECISION_UNKNOWN, pb.DECISION_REFUSED]
    (taken,) = faces[decisions.index(pb.DECISION_UNKNOWN)].identification.taken
    assert taken.face == decisions.index(pb.DECISION_MATCH)


def test_a_batch_names_nobody_twice(client: Client, team: str, twice: bytes) -> None:
    alone = client.identify(team, twice, distinct_subjects=True)
    ((_, answer),) = client.identify_batch(team, [("a", twice)], distinct_subjects=True)
    assert isinstance(answer, pb.IdentifyResponse)
    assert faces_of(answer) == faces_of(alone)
