"""Merging, moving, undoing and telling apart, over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from facet import LARGEST, Client, FailedPrecondition, InvalidArgument, NotFound
from facet.v1.gallery_service_pb2 import UndoChangeRequest
from facet.v1.recognition_service_pb2 import DECISION_MATCH, DECISION_UNKNOWN

if TYPE_CHECKING:
    from tests.conftest import Pictures


def test_one_person_under_two_ids_is_merged_undone_and_told_apart(
    client: Client, gallery: str, pictures: Pictures
) -> None:
    client.enroll(gallery, "yao", pictures.yaoming, display_name="Yao Ming")
    client.enroll(gallery, "yao-2", pictures.yaoming, display_name="Ming", accept_lookalike=True)
    before = client.get_subject(gallery, "yao-2")

    def decision() -> tuple[int, str]:
        (face,) = client.identify(gallery, pictures.yaoming).faces
        return face.identification.decision, face.identification.too_close_to

    client.set_distinct(gallery, "yao", "yao-2")
    assert decision() == (DECISION_UNKNOWN, "yao-2")
    assert [(each.subject_id, each.other_subject_id) for each in client.iter_distinct(gallery)] == [("yao", "yao-2")]
    with pytest.raises(FailedPrecondition) as told_apart:
        client.merge_subjects(gallery, "yao-2", "yao")
    assert told_apart.value.reason == "DISTINCT_SUBJECTS"
    client.set_distinct(gallery, "yao", "yao-2", remove=True)

    assert list(client.iter_changes(gallery)) == []
    merged = client.merge_subjects(gallery, "yao-2", "yao", request_id="merge 1")
    assert list(client.iter_changes(gallery)) == [merged.change]
    assert merged.change.caller == "anonymous"
    assert decision() == (DECISION_MATCH, "")
    assert (merged.subject.subject_id, merged.subject.template_count) == ("yao", 2)
    assert client.merge_subjects(gallery, "yao-2", "yao", request_id="merge 1") == merged
    with pytest.raises(NotFound):
        client.get_subject(gallery, "yao-2")
    undone = client.undo_change(gallery, merged.change.change_id)
    assert undone.undone
    again = client.galleries.UndoChange(UndoChangeRequest(gallery_id=gallery, change_id=undone.change_id))
    assert (again.change, again.was_undone) == (undone, True)
    assert list(client.iter_changes(gallery, subject_id="yao")) == [undone]
    assert list(client.iter_changes(gallery, subject_id="liu")) == []
    assert client.get_subject(gallery, "yao-2") == before


def test_a_template_is_moved_to_whom_it_shows(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    wrong = client.enroll(gallery, "yao", pictures.six, face=LARGEST, accept_unlike=True).template.template_id
    client.enroll(gallery, "liu", pictures.six, face=LARGEST, accept_lookalike=True)
    moved = client.move_template(gallery, wrong, "yao", "liu")
    assert moved.subject.template_count == 2
    assert moved.change.template_ids[0] in {each.template_id for each in client.iter_templates(gallery, "liu")}
    client.undo_change(gallery, moved.change.change_id)
    assert wrong in {each.template_id for each in client.iter_templates(gallery, "yao")}


def test_what_cannot_be_corrected_is_refused_with_a_reason(client: Client, gallery: str, pictures: Pictures) -> None:
    template_id = client.enroll(gallery, "yao", pictures.yaoming).template.template_id
    refused: dict[str, list[Callable[[], object]]] = {
        "SAME_SUBJECT": [
            lambda: client.merge_subjects(gallery, "yao", "yao"),
            lambda: client.move_template(gallery, template_id, "yao", "yao"),
            lambda: client.set_distinct(gallery, "yao", "yao"),
        ],
        "SUBJECT_NOT_FOUND": [
            lambda: client.merge_subjects(gallery, "yao", "nobody"),
            lambda: client.move_template(gallery, template_id, "nobody", "yao"),
            lambda: client.set_distinct(gallery, "yao", "nobody"),
        ],
        "CHANGE_NOT_FOUND": [lambda: client.undo_change(gallery, "nothing")],
        "GALLERY_NOT_FOUND": [
            lambda: client.merge_subjects("missing", "yao", "liu"),
            lambda: client.list_changes("missing"),
        ],
        "INVALID_PAGE_TOKEN": [lambda: client.list_changes(gallery, page_token="wrong")],
    }
    for reason, calls in refused.items():
        for call in calls:
            with pytest.raises((InvalidArgument, NotFound)) as caught:
                call()
            assert caught.value.reason == reason
    assert client.get_subject(gallery, "yao").template_count == 1
