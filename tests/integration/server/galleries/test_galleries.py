"""GalleryService over gRPC: managing galleries, subjects and templates."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from facet import Aborted, AlreadyExists, Client, FailedPrecondition, InvalidArgument, NotFound, picture
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb

if TYPE_CHECKING:
    from tests.conftest import Pictures


def get(client: Client, gallery_id: str) -> pb.Gallery:
    return client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery_id)).gallery


def get_subject(client: Client, gallery_id: str, subject_id: str) -> pb.Subject:
    request = pb.GetSubjectRequest(gallery_id=gallery_id, subject_id=subject_id)
    return client.galleries.GetSubject(request).subject


def test_a_created_gallery_is_returned_and_listed(client: Client) -> None:
    created = client.create_gallery("team-7.a_b", display_name="Équipe", threshold=0.5)
    assert created == get(client, "team-7.a_b")
    assert (created.display_name, created.threshold) == ("Équipe", 0.5)
    assert (created.subject_count, created.template_count) == (0, 0)
    assert created.etag
    assert created.create_time == created.update_time


def test_a_gallery_without_id_and_threshold_gets_defaults(client: Client) -> None:
    created = client.create_gallery("")
    assert uuid.UUID(created.gallery_id).version == 7
    info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    assert (created.threshold, created.contract) == (info.default_threshold, info.contract)


def test_a_gallery_id_is_unique(client: Client, gallery: str) -> None:
    with pytest.raises(AlreadyExists) as caught:
        client.create_gallery(gallery)
    assert caught.value.reason == "GALLERY_EXISTS"


def test_pages_list_every_gallery_in_order_of_id(client: Client) -> None:
    prefix = f"p{uuid.uuid4().hex}"
    made = [client.create_gallery(f"{prefix}-{i}").gallery_id for i in range(5)]
    request = pb.ListGalleriesRequest(page_size=2)
    listed = []
    while True:
        page = client.galleries.ListGalleries(request)
        assert len(page.galleries) <= 2
        listed += [each.gallery_id for each in page.galleries]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == sorted(listed)
    assert [each for each in listed if each.startswith(prefix)] == made


def test_an_update_changes_only_the_fields_of_its_mask(client: Client, gallery: str) -> None:
    before = get(client, gallery)
    wanted = pb.Gallery(gallery_id=gallery, display_name="new", threshold=0.9)
    request = pb.UpdateGalleryRequest(gallery=wanted, update_mask=FieldMask(paths=["display_name"]))
    after = client.galleries.UpdateGallery(request).gallery
    assert (after.display_name, after.threshold) == ("new", before.threshold)
    assert after.etag != before.etag
    assert get(client, gallery) == after


def test_an_update_with_an_old_etag_is_refused(client: Client, gallery: str) -> None:
    old = get(client, gallery)
    request = pb.UpdateGalleryRequest(gallery=old, update_mask=FieldMask(paths=["threshold"]))
    client.galleries.UpdateGallery(request)
    with pytest.raises(Aborted) as caught:
        client.galleries.UpdateGallery(request)
    assert caught.value.reason == "ETAG_MISMATCH"
    with pytest.raises(Aborted):
        client.galleries.DeleteGallery(pb.DeleteGalleryRequest(gallery_id=gallery, etag=old.etag))


@pytest.mark.parametrize("paths", [[], ["gallery_id"], ["threshold", "etag"]])
def test_an_update_must_name_fields_that_can_be_changed(client: Client, gallery: str, paths: list[str]) -> None:
    request = pb.UpdateGalleryRequest(gallery=pb.Gallery(gallery_id=gallery), update_mask=FieldMask(paths=paths))
    with pytest.raises(InvalidArgument) as caught:
        client.galleries.UpdateGallery(request)
    assert (caught.value.reason, list(caught.value.fields)) == ("INVALID_FIELD", ["update_mask"])


def test_a_gallery_with_subjects_is_deleted_only_with_force(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    with pytest.raises(FailedPrecondition) as caught:
        client.galleries.DeleteGallery(pb.DeleteGalleryRequest(gallery_id=gallery))
    assert caught.value.reason == "GALLERY_NOT_EMPTY"
    client.galleries.DeleteGallery(pb.DeleteGalleryRequest(gallery_id=gallery, force=True))
    for call in (lambda: get(client, gallery), lambda: client.identify(gallery, pictures.yaoming)):
        with pytest.raises(NotFound) as gone:
            call()
        assert gone.value.reason == "GALLERY_NOT_FOUND"


def test_pages_list_subjects_in_order_of_id(client: Client, gallery: str, pictures: Pictures) -> None:
    names = ["c", "a", "d", "b"]
    for name in names:
        client.enroll(gallery, name, pictures.yaoming, accept_lookalike=True)
    first = client.galleries.ListSubjects(pb.ListSubjectsRequest(gallery_id=gallery, page_size=3))
    assert [each.subject_id for each in first.subjects] == ["a", "b", "c"]
    rest = client.galleries.ListSubjects(
        pb.ListSubjectsRequest(gallery_id=gallery, page_size=3, page_token=first.next_page_token)
    )
    assert [each.subject_id for each in rest.subjects] == ["d"]
    assert not rest.next_page_token
    assert [each.subject_id for each in client.subjects(gallery)] == sorted(names)


def test_a_renamed_subject_is_found_under_its_new_name(client: Client, gallery: str, pictures: Pictures) -> None:
    enrolled = client.enroll(gallery, "yao", pictures.yaoming, display_name="Yao").subject
    wanted = pb.Subject(gallery_id=gallery, subject_id="yao", display_name="姚明", etag=enrolled.etag)
    request = pb.UpdateSubjectRequest(subject=wanted, update_mask=FieldMask(paths=["display_name"]))
    renamed = client.galleries.UpdateSubject(request).subject
    assert renamed == get_subject(client, gallery, "yao")
    (face,) = client.identify(gallery, pictures.yaoming).faces
    assert face.identification.candidates[0].display_name == "姚明"
    with pytest.raises(Aborted) as caught:
        client.galleries.UpdateSubject(request)
    assert caught.value.reason == "ETAG_MISMATCH"


def test_deleting_a_subject_deletes_its_templates(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    request = pb.DeleteSubjectRequest(gallery_id=gallery, subject_id="yao")
    assert client.galleries.DeleteSubject(request).templates_deleted == 1
    with pytest.raises(NotFound) as caught:
        client.galleries.DeleteSubject(request)
    assert caught.value.reason == "SUBJECT_NOT_FOUND"
    (face,) = client.identify(gallery, pictures.yaoming).faces
    assert not face.identification.candidates
    assert face.identification.templates_compared == 0
    assert (get(client, gallery).subject_count, get(client, gallery).template_count) == (0, 0)


def test_templates_are_listed_oldest_first_and_can_be_deleted(client: Client, gallery: str, pictures: Pictures) -> None:
    first = client.enroll(gallery, "yao", pictures.yaoming).template
    second = client.enroll(gallery, "yao", picture_of(pictures.yaoming)).template
    request = pb.ListTemplatesRequest(gallery_id=gallery, subject_id="yao", page_size=1)
    page = client.galleries.ListTemplates(request)
    assert list(page.templates) == [first]
    request.page_token = page.next_page_token
    page = client.galleries.ListTemplates(request)
    assert list(page.templates) == [second]
    assert not page.next_page_token

    for template in (first, second):
        client.galleries.DeleteTemplate(delete_request(gallery, template.template_id))
    assert get_subject(client, gallery, "yao").template_count == 0
    with pytest.raises(NotFound) as caught:
        client.galleries.DeleteTemplate(delete_request(gallery, first.template_id))
    assert caught.value.reason == "TEMPLATE_NOT_FOUND"
    with pytest.raises(FailedPrecondition) as nothing:
        client.verify((gallery, "yao"), pictures.yaoming)
    assert nothing.value.reason == "SUBJECT_WITHOUT_TEMPLATES"


def delete_request(gallery: str, template_id: str) -> pb.DeleteTemplateRequest:
    return pb.DeleteTemplateRequest(gallery_id=gallery, subject_id="yao", template_id=template_id)


def picture_of(data: bytes) -> bytes:
    """The same picture with another digest: bytes after the end of a JPEG are ignored."""
    return data + b"\0"


def test_composed_and_decomposed_ids_name_the_same_subject(client: Client, gallery: str, pictures: Pictures) -> None:
    composed, decomposed = "Jos\u00e9", "Jose\u0301"
    assert client.enroll(gallery, decomposed, pictures.yaoming).subject.subject_id == composed
    assert client.enroll(gallery, composed, pictures.yaoming).already_enrolled
    assert get_subject(client, gallery, decomposed) == get_subject(client, gallery, composed)


def test_a_subject_without_an_id_gets_one(client: Client, gallery: str, pictures: Pictures) -> None:
    request = pb.EnrollFaceRequest(gallery_id=gallery, picture=picture(pictures.yaoming), display_name="Yao")
    subject = client.galleries.EnrollFace(request).subject
    assert uuid.UUID(subject.subject_id).version == 7
    assert subject.display_name == "Yao"
