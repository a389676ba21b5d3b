"""Invalid fields: each is refused by name with a reason, and the server keeps serving."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from facet import Client, FacetError, InvalidArgument, NotFound, picture
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from facet.v1 import types_pb2

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

NAN, INF = math.nan, math.inf

HOSTILE_NAMES = {
    "a control character": "a\x07b",
    "a line break": "a\nb",
    "a zero": "a\0b",
    "a megabyte": "x" * 2**20,
    "an override of direction": "a\u202eb",
    "an isolate of direction": "a\u2067b",
    "a line separator": "a\u2028b",
    "a noncharacter": "a\ufffe",
    "only blanks": " \u00a0\u3000",
    "only invisible characters": "\u200b\u200f\u3164\ufe0f",
    "too long in its normal form": "\u0958" * 256,
}
HOSTILE_IDS = HOSTILE_NAMES | {
    "blanks around": " a ",
    "a byte order mark at the beginning": "\ufeffa",
    "an ideographic blank": "\u3000a",
    "too long": "x" * 129,
    "only a joiner": "\u200d",
    "a joiner at the end": "a\u200c",
}

WRITTEN = {
    "an ideographic space": "\u5c71\u7530\u3000\u592a\u90ce",
    "a no-break space": "Ann\u00a0Lee",
    "a narrow no-break space": "Zo\u00e9\u202fL.",
    "a mark of direction": "\u05e9\u05e8\u05d4 (2)\u200f",
    "a joiner between letters": "\u0645\u06cc\u200c\u0631\u0648\u0645",
    "a joiner at the end of a word": "\u0d30\u0d3e\u0d1c\u0d28\u0d4d\u200d",
    "a family": "Ann \U0001f469\u200d\U0001f469\u200d\U0001f467",
    "a newer emoji": "Ann \U0001fac8",
    "a flag of tags": "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f Ann",
    "a letter for private use": "\u8fba\ue000",
}


@pytest.fixture(autouse=True)
def _alive(client: Client) -> Iterator[None]:
    """After each test the server must still answer."""
    yield
    assert client.server.GetServerInfo(server_pb.GetServerInfoRequest()).contract


def refusal(call: Callable[[], object], kind: type[FacetError] = InvalidArgument) -> tuple[str, list[str]]:
    with pytest.raises(kind) as caught:
        call()
    assert 0 < len(caught.value.message) < 1000
    return caught.value.reason, list(caught.value.fields)


def invalid(field: str) -> tuple[str, list[str]]:
    return "INVALID_FIELD", [field]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_display_name_is_text_of_a_limited_length(client: Client, gallery: str, name: str) -> None:
    value = HOSTILE_NAMES[name]
    assert refusal(lambda: client.create_gallery("", display_name=value)) == invalid("display_name")
    assert refusal(lambda: client.enroll(gallery, "a", b"", display_name=value)) == invalid("display_name")
    wanted = gallery_pb.Gallery(gallery_id=gallery, display_name=value)
    request = gallery_pb.UpdateGalleryRequest(gallery=wanted, update_mask=FieldMask(paths=["display_name"]))
    assert refusal(lambda: client.galleries.UpdateGallery(request)) == invalid("gallery.display_name")
    subject = gallery_pb.Subject(gallery_id=gallery, subject_id="a", display_name=value)
    renaming = gallery_pb.UpdateSubjectRequest(subject=subject, update_mask=FieldMask(paths=["display_name"]))
    assert refusal(lambda: client.galleries.UpdateSubject(renaming)) == invalid("subject.display_name")


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_an_id_is_text_of_a_limited_length(client: Client, gallery: str, name: str) -> None:
    value = HOSTILE_IDS[name]
    assert refusal(lambda: client.enroll(gallery, value, b"")) == invalid("subject_id")
    assert refusal(lambda: client.enroll(gallery, "a", b"", request_id=value)) == invalid("request_id")
    assert refusal(lambda: client.create_gallery(value)) == invalid("gallery_id")
    assert refusal(lambda: client.identify(value, b"")) == invalid("gallery_id")
    assert refusal(lambda: client.verify((gallery, value), b"")) == invalid("reference_subject.subject_id")
    request = gallery_pb.DeleteTemplateRequest(gallery_id=gallery, subject_id="a", template_id=value)
    assert refusal(lambda: client.galleries.DeleteTemplate(request)) == invalid("template_id")
    item = gallery_pb.EnrollBatchRequest(item_id=value)
    (answer,) = client.galleries.EnrollBatch(iter([item]))
    assert answer.item_id == value[:128]
    assert answer.status.message.startswith("item_id: ")


@pytest.mark.parametrize("value", ["", "Upper", "a/b", "-a", "x" * 64, "é"])
def test_a_gallery_id_has_only_lower_case_letters_digits_and_dashes(client: Client, value: str) -> None:
    request = gallery_pb.GetGalleryRequest(gallery_id=value)
    assert refusal(lambda: client.galleries.GetGallery(request)) == invalid("gallery_id")


@pytest.mark.parametrize("name", WRITTEN.values(), ids=list(WRITTEN))
def test_a_name_may_have_what_people_write(client: Client, gallery: str, pictures: Pictures, name: str) -> None:
    """The same name as display name and as id is taken, kept and listed unchanged."""
    assert client.create_gallery("", display_name=name).display_name == name
    client.enroll(gallery, name, pictures.yaoming, display_name=name)
    (subject,) = client.iter_subjects(gallery)
    assert (subject.subject_id, subject.display_name) == (name, name)
    client.delete_subject(gallery, name)


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1.01, -1.01])
def test_a_threshold_must_be_a_cosine(client: Client, gallery: str, pictures: Pictures, value: float) -> None:
    assert refusal(lambda: client.create_gallery("", threshold=value)) == invalid("threshold")
    assert refusal(lambda: client.identify(gallery, pictures.yaoming, threshold=value)) == invalid("threshold")
    assert refusal(lambda: client.verify(b"", b"", threshold=value)) == invalid("threshold")
    wanted = gallery_pb.Gallery(gallery_id=gallery, threshold=value)
    request = gallery_pb.UpdateGalleryRequest(gallery=wanted, update_mask=FieldMask(paths=["threshold"]))
    assert refusal(lambda: client.galleries.UpdateGallery(request)) == invalid("gallery.threshold")


@pytest.mark.parametrize("value", [NAN, INF, 0, -0.5, 1.5])
def test_a_minimum_score_must_be_in_range(client: Client, value: float) -> None:
    request = pb.DetectRequest(picture=picture(b"x"), min_score=value)
    assert refusal(lambda: client.recognition.Detect(request)) == invalid("min_score")
    faces = pb.AnalyzeFacesRequest(picture=picture(b"x"), min_score=value)
    assert refusal(lambda: client.recognition.AnalyzeFaces(faces)) == invalid("min_score")


@pytest.mark.parametrize("value", [0, 101, 2**32 - 1])
def test_top_k_must_be_1_to_100(client: Client, gallery: str, value: int) -> None:
    assert refusal(lambda: client.identify(gallery, b"x", top_k=value)) == invalid("top_k")
    request = gallery_pb.SearchEmbeddingRequest(gallery_id=gallery, top_k=value)
    assert refusal(lambda: client.galleries.SearchEmbedding(request)) == invalid("top_k")


def test_a_page_size_is_at_most_1000(client: Client, gallery: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: client.galleries.ListGalleries(gallery_pb.ListGalleriesRequest(page_size=5000)),
        lambda: client.galleries.ListSubjects(gallery_pb.ListSubjectsRequest(gallery_id=gallery, page_size=1001)),
        lambda: client.galleries.ListTemplates(
            gallery_pb.ListTemplatesRequest(gallery_id=gallery, subject_id="a", page_size=2**32 - 1)
        ),
    ]
    for call in calls:
        assert refusal(call) == invalid("page_size")


def token(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "value",
    ["?", "AAAA", "x" * 2**20, "é", token([]), token({}), token(["subjects", "another", "a"]), token(["galleries", 1])],
)
def test_a_page_token_that_is_malformed_or_of_another_list_is_refused(client: Client, gallery: str, value: str) -> None:
    expected = ("INVALID_PAGE_TOKEN", ["page_token"])
    listing = gallery_pb.ListGalleriesRequest(page_token=value)
    assert refusal(lambda: client.galleries.ListGalleries(listing)) == expected
    subjects = gallery_pb.ListSubjectsRequest(gallery_id=gallery, page_token=value)
    assert refusal(lambda: client.galleries.ListSubjects(subjects)) == expected


@pytest.mark.parametrize(
    "corners", [(NAN, 0, 1, 1), (0, 0, INF, 1), (5, 0, 1, 1), (0, 5, 1, 1), (0, 0, 0, 0), (1, 1, 1, 2)]
)
def test_a_box_must_have_an_area(client: Client, gallery: str, corners: tuple[float, ...]) -> None:
    x1, y1, x2, y2 = corners
    face = types_pb2.FaceChoice(box=types_pb2.Box(x1=x1, y1=y1, x2=x2, y2=y2))
    assert refusal(lambda: client.identify(gallery, b"x", face=face)) == invalid("face.box")
    assert refusal(lambda: client.enroll(gallery, "a", b"x", face=face)) == invalid("face.box")
    assert refusal(lambda: client.verify(b"x", b"x", probe_face=face)) == invalid("probe_face.box")
    assert refusal(lambda: client.verify(b"x", b"x", reference_face=face)) == invalid("reference_face.box")


def test_an_unknown_rule_is_refused(client: Client, gallery: str) -> None:
    face = types_pb2.FaceChoice(rule=77)  # type: ignore[arg-type]
    assert refusal(lambda: client.identify(gallery, b"x", face=face)) == invalid("face.rule")


def test_a_missing_field_is_named(client: Client, gallery: str) -> None:
    missing: dict[str, Callable[[], object]] = {
        "picture": lambda: client.identify(gallery, types_pb2.Picture()),
        "probe_picture": lambda: client.recognition.Verify(pb.VerifyRequest(reference_picture=picture(b"x"))),
        "reference": lambda: client.recognition.Verify(pb.VerifyRequest(probe_picture=picture(b"x"))),
        "reference_picture": lambda: client.verify(types_pb2.Picture(), b"x"),
        "reference_subject.gallery_id": lambda: client.verify(("", ""), b"x"),
        "gallery_id": lambda: client.enroll("", "a", b"x"),
        "subject_id": lambda: client.galleries.GetSubject(gallery_pb.GetSubjectRequest(gallery_id=gallery)),
        "gallery.gallery_id": lambda: client.galleries.UpdateGallery(gallery_pb.UpdateGalleryRequest()),
        "update_mask": lambda: client.galleries.UpdateSubject(gallery_pb.UpdateSubjectRequest()),
        "embedding.contract": lambda: client.galleries.SearchEmbedding(
            gallery_pb.SearchEmbeddingRequest(gallery_id=gallery)
        ),
    }
    for field, call in missing.items():
        assert refusal(call) == invalid(field)


@pytest.mark.parametrize(
    "values", [[NAN] * 512, [INF] + [0.0] * 511, [0.0] * 512, [1e-40] * 512, [1.0] * 511, [1.0] * 513, []]
)
def test_an_embedding_must_be_finite_nonzero_and_of_the_right_dimension(
    client: Client, server: Serving, gallery: str, values: list[float]
) -> None:
    embedding = types_pb2.Embedding(values=values, contract=str(server.said["contract"]))
    request = gallery_pb.SearchEmbeddingRequest(gallery_id=gallery, embedding=embedding)
    assert refusal(lambda: client.galleries.SearchEmbedding(request)) == invalid("embedding.values")


def test_a_contract_of_a_megabyte_is_refused(client: Client, gallery: str) -> None:
    embedding = types_pb2.Embedding(values=[1.0] * 512, contract="0" * 2**20)
    request = gallery_pb.SearchEmbeddingRequest(gallery_id=gallery, embedding=embedding)
    assert refusal(lambda: client.galleries.SearchEmbedding(request)) == invalid("embedding.contract")


def test_a_missing_gallery_subject_or_template_is_named(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    missing: list[tuple[str, Callable[[], object]]] = [
        ("GALLERY_NOT_FOUND", lambda: client.identify("nowhere", b"not even a picture")),
        ("GALLERY_NOT_FOUND", lambda: client.enroll("nowhere", "a", b"x")),
        ("GALLERY_NOT_FOUND", lambda: list(client.subjects("nowhere"))),
        ("GALLERY_NOT_FOUND", lambda: client.verify(("nowhere", "a"), b"x")),
        (
            "SUBJECT_NOT_FOUND",
            lambda: client.galleries.ListTemplates(
                gallery_pb.ListTemplatesRequest(gallery_id=gallery, subject_id="nobody")
            ),
        ),
        (
            "TEMPLATE_NOT_FOUND",
            lambda: client.galleries.DeleteTemplate(
                gallery_pb.DeleteTemplateRequest(gallery_id=gallery, subject_id="yao", template_id="none")
            ),
        ),
    ]
    for reason, call in missing:
        assert refusal(call, NotFound)[0] == reason


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x0a\x03\xed\xa0\x80", b"\x0a\x7f"])
def test_an_unparsable_message_is_refused_with_a_reason(server: Serving, data: bytes) -> None:
    with grpc.insecure_channel(server.address) as channel:
        unary: Any = channel.unary_unary("/facet.v1.GalleryService/GetGallery")
        stream: Any = channel.stream_stream("/facet.v1.GalleryService/EnrollBatch")
        for call in (lambda: unary(data), lambda: list(stream(iter([data])))):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert reason_of(caught.value) == "INVALID_MESSAGE"


def reason_of(error: grpc.RpcError) -> str:
    metadata = dict(cast("Any", error.trailing_metadata()))
    info = ErrorInfo()
    assert Status.FromString(metadata["grpc-status-details-bin"]).details[0].Unpack(info)
    assert info.domain == "facet.v1"
    return str(info.reason)


def test_the_longest_ids_fit_into_an_error(client: Client, gallery: str, pictures: Pictures) -> None:
    longest = "\U0001f600" * 128
    assert refusal(
        lambda: client.galleries.GetSubject(gallery_pb.GetSubjectRequest(gallery_id=gallery, subject_id=longest)),
        NotFound,
    ) == ("SUBJECT_NOT_FOUND", [])
    client.enroll(gallery, longest, pictures.yaoming, display_name="\U0001f600" * 256, request_id=longest)
    with pytest.raises(FacetError) as caught:
        client.enroll(gallery, "\U0001f601" * 128, pictures.yaoming)
    assert caught.value.reason == "LOOKS_LIKE_ANOTHER_SUBJECT"
    assert caught.value.metadata["subject_id"] == longest


def test_no_invalid_field_was_an_internal_error(server: Serving) -> None:
    assert [line for line in server.log_lines() if line.get("code") == "INTERNAL" or "exception" in line] == []
