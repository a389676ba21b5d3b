"""Subjects and templates: renamed, deleted, listed page by page."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from gallery.errors import (
    InvalidPageToken,
    SubjectNotFound,
    SubjectWithoutTemplates,
    TemplateNotFound,
)
from gallery.galleries import Galleries
from gallery.records.subjects import renaming
from tests.unit.gallery.samples import axis, best_match, face


def test_every_method_reports_a_missing_subject(galleries: Galleries) -> None:
    calls: list[Callable[[], object]] = [
        lambda: galleries.get_subject("g", "no"),
        lambda: galleries.update_subject("g", "no", renaming("")),
        lambda: galleries.delete_subject("g", "no"),
        lambda: galleries.list_templates("g", "no", page_size=5),
        lambda: galleries.delete_template("g", "no", "t"),
        lambda: galleries.similarity_to_subject("g", "no", axis(0)),
    ]
    for call in calls:
        with pytest.raises(SubjectNotFound) as refused:
            call()
        assert (refused.value.gallery_id, refused.value.subject_id) == ("g", "no")


def test_a_new_name_is_in_the_next_search(galleries: Galleries) -> None:
    etag = galleries.enroll("g", "ann", face(axis(0), name="Ann")).subject.etag
    renamed = galleries.update_subject("g", "ann", renaming("Anna"), etag=etag)
    assert renamed.etag != etag
    assert galleries.get_subject("g", "ann") == renamed
    assert galleries.search("g", axis(0)[None], top_k=1)[0].candidates[0].display_name == "Anna"


def test_a_deleted_subject_is_in_no_result(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "ann", face(axis(1)))
    galleries.enroll("g", "bob", face(axis(2)))
    assert galleries.delete_subject("g", "ann", etag=galleries.get_subject("g", "ann").etag) == 2
    assert [each.subject_id for each in galleries.list_subjects("g", page_size=9).items] == ["bob"]
    (answer,) = galleries.search("g", axis(0)[None], top_k=5)
    assert [each.subject_id for each in answer.candidates] == ["bob"]
    assert answer.templates_compared == 1


def test_a_subject_without_templates_stays(galleries: Galleries) -> None:
    template = galleries.enroll("g", "ann", face(axis(0), name="Ann")).template
    with pytest.raises(TemplateNotFound) as refused:
        galleries.delete_template("g", "ann", "no")
    assert refused.value.template_id == "no"
    galleries.delete_template("g", "ann", template.template_id)
    assert galleries.get_subject("g", "ann").template_count == 0
    with pytest.raises(SubjectWithoutTemplates):
        galleries.similarity_to_subject("g", "ann", axis(0))
    galleries.update_subject("g", "ann", renaming("Anna"))
    galleries.enroll("g", "ann", face(axis(1)))
    assert galleries.search("g", axis(1)[None], top_k=1)[0].candidates[0].display_name == "Anna"


def test_a_template_can_only_be_deleted_from_its_own_subject(galleries: Galleries) -> None:
    template = galleries.enroll("g", "ann", face(axis(0))).template
    galleries.enroll("g", "bob", face(axis(1)))
    with pytest.raises(TemplateNotFound):
        galleries.delete_template("g", "bob", template.template_id)
    assert best_match(galleries, axis(0)) == "ann"


def test_lists_are_paged_in_code_point_order(galleries: Galleries) -> None:
    ids = ["Z", "a", "b c", "'; DROP TABLE subjects; --", "é", "\uff5a", "😀", "%", "_"]
    for number, subject_id in enumerate(ids):
        galleries.enroll("g", subject_id, face(axis(number)))
    for page_size in (1, 4, len(ids), 100):
        found: list[str] = []
        token = ""
        while True:
            page = galleries.list_subjects("g", page_size=page_size, page_token=token)
            assert 1 <= len(page.items) <= page_size
            found += [subject.subject_id for subject in page.items]
            token = page.next_page_token
            if not token:
                break
        assert found == sorted(ids)
    for subject_id in ids:
        assert galleries.get_subject("g", subject_id).subject_id == subject_id


def test_templates_are_listed_oldest_first(galleries: Galleries) -> None:
    made = [galleries.enroll("g", "ann", face(axis(number))).template for number in range(5)]
    first = galleries.list_templates("g", "ann", page_size=3)
    rest = galleries.list_templates("g", "ann", page_size=3, page_token=first.next_page_token)
    assert [*first.items, *rest.items] == made
    assert rest.next_page_token == ""


@pytest.mark.parametrize("text", [rb"\ud800", rb"a\u0000"])
def test_a_page_token_with_invalid_text_is_refused(galleries: Galleries, text: bytes) -> None:
    token = base64.urlsafe_b64encode(b'["galleries", "%s"]' % text).decode()
    with pytest.raises(InvalidPageToken):
        galleries.list_galleries(page_size=1, page_token=token)


def test_a_page_token_of_another_list_is_refused(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=0.5)
    for gallery_id in "gh":
        for number, subject_id in enumerate(("ann", "bob")):
            galleries.enroll(gallery_id, subject_id, face(axis(2 * number)))
            galleries.enroll(gallery_id, subject_id, face(axis(2 * number + 1)))
    of_galleries = galleries.list_galleries(page_size=1).next_page_token
    of_subjects = galleries.list_subjects("g", page_size=1).next_page_token
    of_templates = galleries.list_templates("g", "ann", page_size=1).next_page_token
    for token in (of_subjects, of_templates, "x", "ünï", of_galleries[:-3], "bnVsbA==", "WzE=", "W10="):
        with pytest.raises(InvalidPageToken):
            galleries.list_galleries(page_size=1, page_token=token)
    for token in (of_galleries, of_templates):
        with pytest.raises(InvalidPageToken):
            galleries.list_subjects("g", page_size=1, page_token=token)
    with pytest.raises(InvalidPageToken):
        galleries.list_subjects("h", page_size=1, page_token=of_subjects)
    with pytest.raises(InvalidPageToken):
        galleries.list_templates("g", "bob", page_size=1, page_token=of_templates)
