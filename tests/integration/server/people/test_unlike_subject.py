"""Another person's picture under a name, over gRPC: refused where two templates say so, named where one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet import LARGEST, Client, Enrollment, FacetError, FailedPrecondition
from facet.client.batches import EnrollmentAnswer
from facet.v1.gallery_service_pb2 import EnrollFaceResponse

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portraits(pictures: Pictures) -> list[Picture]:
    """Four pictures of one man."""
    portrait = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert portrait is not None
    mirrored = cv2.flip(portrait, 1)
    changed = [portrait, cv2.convertScaleAbs(portrait, beta=20), mirrored, cv2.convertScaleAbs(mirrored, alpha=0.9)]
    return [np.asarray(each, np.uint8) for each in changed]


def test_a_stranger_among_two_pictures_of_one_is_refused_unless_accepted(
    client: Client, gallery: str, portraits: list[Picture], pictures: Pictures
) -> None:
    templates = [client.enroll(gallery, "yao", each).template.template_id for each in portraits[:2]]
    for validate_only in (True, False):
        with pytest.raises(FailedPrecondition) as caught:
            client.enroll(gallery, "yao", pictures.six, face=LARGEST, validate_only=validate_only)
        assert caught.value.reason == "LOOKS_UNLIKE_SUBJECT"
    told = caught.value.metadata
    assert (told["subject_id"], told["templates"], told["threshold"]) == ("yao", "2", "0.2000")
    similarities = dict(each.split("=") for each in told["similarities"].split())
    assert similarities.keys() == set(templates)
    assert told["similarity"] == max(similarities.values(), key=float)
    assert "accept_unlike" in caught.value.message
    assert client.get_subject(gallery, "yao").template_count == 2
    accepted = client.enroll(gallery, "yao", pictures.six, face=LARGEST, accept_unlike=True)
    assert {each.template_id for each in accepted.unlike} == set(templates)


def test_if_the_first_picture_was_wrong_every_later_one_names_it(
    client: Client, gallery: str, portraits: list[Picture], pictures: Pictures
) -> None:
    wrong = client.enroll(gallery, "yao", pictures.six, face=LARGEST)
    assert not wrong.unlike
    for each in portraits:
        (named,) = client.enroll(gallery, "yao", each).unlike
        assert named.template_id == wrong.template.template_id
        assert named.similarity < 0.2
    client.delete_template(gallery, "yao", wrong.template.template_id)
    assert not client.enroll(gallery, "yao", portraits[0]).unlike


def test_a_repeated_request_is_answered_again_and_not_refused(
    client: Client, gallery: str, portraits: list[Picture], pictures: Pictures
) -> None:
    client.enroll(gallery, "yao", portraits[0])
    answers = [client.enroll(gallery, "yao", pictures.six, face=LARGEST, request_id="r") for _ in range(2)]
    assert [each.already_enrolled for each in answers] == [False, True]
    assert answers[0].template == answers[1].template
    assert list(answers[0].unlike) == list(answers[1].unlike)


def test_a_batch_refuses_or_names_a_stranger_wherever_it_comes(
    client: Client, gallery: str, portraits: list[Picture], pictures: Pictures
) -> None:
    for place in range(5):
        subject = f"yao{place}"
        items: list[tuple[str, Enrollment]] = [
            (f"right{number}", Enrollment(subject, each)) for number, each in enumerate(portraits)
        ]
        items.insert(place, ("wrong", Enrollment(subject, pictures.six, face=LARGEST)))
        answers: dict[str, EnrollmentAnswer] = dict(client.enroll_batch(gallery, items, accept_lookalike=True))
        wrong = answers.pop("wrong")
        assert not any(isinstance(each, FacetError) for each in answers.values())
        if isinstance(wrong, FacetError):
            assert wrong.reason == "LOOKS_UNLIKE_SUBJECT"
        else:
            right = [each for each in answers.values() if isinstance(each, EnrollFaceResponse)]
            named_by = [
                each for each in right if wrong.template.template_id in {own.template_id for own in each.unlike}
            ]
            assert len(named_by) + len(wrong.unlike) == 4


def test_the_check_can_be_turned_off(serve: Serve, portraits: list[Picture], pictures: Pictures) -> None:
    with Client(serve("--enrollment.min-subject-similarity", "-1").address) as client:
        client.create_gallery("g")
        for each in portraits[:2]:
            client.enroll("g", "yao", each)
        assert not client.enroll("g", "yao", pictures.six, face=LARGEST).unlike
