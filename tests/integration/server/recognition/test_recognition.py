"""RecognitionService, SearchEmbedding and ServerService over gRPC, with the embedded models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import grpc
import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from facet import CENTRAL, LARGEST, Client, FailedPrecondition, InvalidArgument, NotFound, picture
from facet.runtime.models import packaged_names
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from facet.v1 import types_pb2

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

STAGES = ("decode", "queue", "detect", "faces", "align", "embed", "search")
SLACK_MS = 1.0


def embedding_of(client: Client, data: bytes) -> types_pb2.Embedding:
    request = pb.AnalyzeFacesRequest(picture=picture(data), include_embeddings=True)
    (face,) = client.recognition.AnalyzeFaces(request).faces
    return face.embedding


def search(client: Client, gallery: str, embedding: types_pb2.Embedding, **fields: float) -> pb.Identification:
    request = gallery_pb.SearchEmbeddingRequest(gallery_id=gallery, embedding=embedding, **fields)  # type: ignore[arg-type]
    return client.galleries.SearchEmbedding(request).identification


def assert_stages(timings: types_pb2.Timings, *needed: str) -> None:
    spent = {stage: getattr(timings, f"{stage}_ms") for stage in STAGES}
    assert all(spent[stage] > 0 for stage in needed), spent
    assert all(spent[stage] == 0 for stage in STAGES if stage not in (*needed, "queue")), spent
    assert sum(spent.values()) <= timings.total_ms + SLACK_MS


def test_detect_finds_the_people_the_dog_and_the_bicycles(client: Client, pictures: Pictures) -> None:
    found = client.recognition.Detect(pb.DetectRequest(picture=picture(pictures.street)))
    names = [each.class_name for each in found.objects]
    assert names.count("person") >= 2
    assert {"dog", "bicycle"} <= set(names)
    scores = [each.score for each in found.objects]
    assert scores == sorted(scores, reverse=True)
    assert_stages(found.timings, "decode", "detect")


def test_detect_answers_only_the_classes_and_scores_that_were_asked_for(client: Client, pictures: Pictures) -> None:
    request = pb.DetectRequest(picture=picture(pictures.street), class_names=["dog", "person"], min_score=0.6)
    found = client.recognition.Detect(request).objects
    assert {each.class_name for each in found} <= {"dog", "person"}
    assert all(each.score >= 0.6 for each in found)
    with pytest.raises(InvalidArgument) as caught:
        client.recognition.Detect(pb.DetectRequest(picture=picture(pictures.street), class_names=["unicorn"]))
    assert (caught.value.reason, list(caught.value.fields)) == ("INVALID_FIELD", ["class_names"])


def test_detect_answers_fainter_objects_behind_those_that_it_answers_anyway(client: Client, pictures: Pictures) -> None:
    info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    usual = client.recognition.Detect(pb.DetectRequest(picture=picture(pictures.street))).objects
    fainter = client.recognition.Detect(pb.DetectRequest(picture=picture(pictures.street), min_score=0.001)).objects
    assert fainter[: len(usual)] == usual
    rest = [each.score for each in fainter[len(usual) :]]
    assert 0.001 <= min(rest) <= max(rest) <= info.object_min_score
    assert len(fainter) <= 300
    exactly = pb.DetectRequest(picture=picture(pictures.street), min_score=usual[-1].score)
    assert client.recognition.Detect(exactly).objects == usual
    lowest = pb.DetectRequest(picture=picture(pictures.street), min_score=1e-9)
    assert client.recognition.Detect(lowest).objects == fainter


def test_analyze_faces_answers_fainter_faces_behind_those_that_it_answers_anyway(
    client: Client, pictures: Pictures
) -> None:
    info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    for data in (pictures.players, pictures.street):
        request = pb.AnalyzeFacesRequest(picture=picture(data), include_objects=True)
        usual = client.recognition.AnalyzeFaces(request)
        request.min_score = 0.05
        fainter = client.recognition.AnalyzeFaces(request)
        assert fainter.faces[: len(usual.faces)] == usual.faces
        assert fainter.objects == usual.objects
        rest = [each.face.score for each in fainter.faces[len(usual.faces) :]]
        assert 0.05 <= min(rest) <= max(rest) < info.face_min_score
        request.min_score = 0.6
        surer = client.recognition.AnalyzeFaces(request).faces
        assert list(surer) == [each for each in usual.faces if each.face.score >= np.float32(0.6)]


def test_analyze_faces_answers_faces_embeddings_and_whose_face_it_is(client: Client, pictures: Pictures) -> None:
    request = pb.AnalyzeFacesRequest(picture=picture(pictures.six), include_embeddings=True, include_objects=True)
    answer = client.recognition.AnalyzeFaces(request)
    info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    assert len(answer.faces) == 6
    for each in answer.faces:
        assert len(each.embedding.values) == info.embedding_dimension
        assert np.linalg.norm(each.embedding.values) == pytest.approx(1, abs=1e-4)
        assert each.embedding.contract == info.contract
        assert each.face.landmarks.left_eye.x < each.face.landmarks.right_eye.x
        assert answer.objects[each.face.person].class_name == "person"
    owners = [each.face.person for each in answer.faces]
    assert len(set(owners)) == len(owners)
    assert_stages(answer.timings, "decode", "detect", "faces", "align", "embed")


def test_embeddings_and_objects_are_answered_only_on_request(client: Client, pictures: Pictures) -> None:
    answer = client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(pictures.yaoming)))
    assert not answer.objects
    assert not answer.faces[0].HasField("embedding")
    assert_stages(answer.timings, "decode", "detect", "faces", "align")


def test_identify_finds_one_man_in_a_squad_photo(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "yao", pictures.yaoming, display_name="Yao Ming")
    answer = client.identify(gallery, pictures.players)
    assert len(answer.faces) >= 22
    matches = [each for each in answer.faces if each.identification.decision == pb.DECISION_MATCH]
    assert len(matches) == 1
    assert matches[0].identification.candidates[0].display_name == "Yao Ming"
    assert matches[0].identification.candidates[0].similarity > 0.5
    others = [each for each in answer.faces if each.identification.decision != pb.DECISION_MATCH]
    assert all(each.identification.decision == pb.DECISION_UNKNOWN for each in others)
    assert all(each.identification.templates_compared == 1 for each in answer.faces)
    assert not any(each.identification.HasField("margin") for each in answer.faces)
    assert_stages(answer.timings, *(stage for stage in STAGES if stage != "queue"))


def test_identify_decides_by_the_threshold_and_top_k_of_the_request(
    client: Client, gallery: str, pictures: Pictures
) -> None:
    for name in ("a", "b", "c"):
        client.enroll(gallery, name, pictures.yaoming, accept_lookalike=True)
    (face,) = client.identify(gallery, pictures.yaoming, top_k=2, threshold=-1, face=CENTRAL).faces
    assert [each.subject_id for each in face.identification.candidates] == ["a", "b"]
    assert face.identification.decision == pb.DECISION_MATCH
    assert face.identification.margin == 0
    squad = client.identify(gallery, pictures.players, threshold=0.99)
    assert all(each.identification.decision == pb.DECISION_UNKNOWN for each in squad.faces)
    assert all(each.identification.threshold == np.float32(0.99) for each in squad.faces)


def test_identify_answers_only_the_chosen_face(client: Client, gallery: str, pictures: Pictures) -> None:
    everybody = client.identify(gallery, pictures.six).faces
    (largest,) = client.identify(gallery, pictures.six, face=LARGEST).faces
    assert largest.face in [each.face for each in everybody]


def test_a_picture_without_a_face_is_identified_as_nobody(client: Client, gallery: str) -> None:
    blank = np.full((120, 160, 3), 127, np.uint8)
    answer = client.identify(gallery, blank)
    assert not answer.faces
    assert (answer.picture_size.width, answer.picture_size.height) == (160, 120)
    with pytest.raises(FailedPrecondition) as caught:
        client.identify(gallery, blank, face=CENTRAL)
    assert caught.value.reason == "FACE_NOT_FOUND"


def test_verify_compares_a_picture_with_a_picture(client: Client, pictures: Pictures) -> None:
    same = client.verify(pictures.yaoming, pictures.yaoming)
    assert same.same
    assert same.similarity > 0.99
    assert same.HasField("reference_face")
    assert_stages(same.timings, "decode", "detect", "faces", "align", "embed")
    other = client.verify(pictures.yaoming, pictures.six, probe_face=LARGEST)
    assert not other.same
    assert client.verify(pictures.yaoming, pictures.six, probe_face=LARGEST, threshold=-1).same


def test_verify_compares_a_picture_with_an_enrolled_subject(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    request = gallery_pb.UpdateGalleryRequest(
        gallery=gallery_pb.Gallery(gallery_id=gallery, threshold=0.75), update_mask=FieldMask(paths=["threshold"])
    )
    client.galleries.UpdateGallery(request)
    answer = client.verify((gallery, "yao"), pictures.yaoming)
    assert answer.same
    assert answer.threshold == 0.75
    assert not answer.HasField("reference_face")
    assert_stages(answer.timings, "decode", "detect", "faces", "align", "embed", "search")


def test_verify_says_which_picture_shows_no_one_face(client: Client, gallery: str, pictures: Pictures) -> None:
    blank = np.zeros((64, 64, 3), np.uint8)
    cases: list[tuple[Callable[[], object], str, str]] = [
        (lambda: client.verify(blank, pictures.yaoming), "FACE_NOT_FOUND", "reference_picture"),
        (lambda: client.verify(pictures.yaoming, blank), "FACE_NOT_FOUND", "probe_picture"),
        (lambda: client.verify(pictures.six, pictures.yaoming), "SEVERAL_FACES", "reference_picture"),
        (lambda: client.verify(pictures.yaoming, pictures.six), "SEVERAL_FACES", "probe_picture"),
    ]
    for call, reason, field in cases:
        with pytest.raises(FailedPrecondition) as caught:
            call()
        assert (caught.value.reason, list(caught.value.fields)) == (reason, [field])
    with pytest.raises(NotFound) as missing:
        client.verify((gallery, "nobody"), pictures.yaoming)
    assert missing.value.reason == "SUBJECT_NOT_FOUND"


def test_an_embedding_is_identified_as_its_picture_is(client: Client, gallery: str, pictures: Pictures) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    embedding = embedding_of(client, pictures.yaoming)
    found = search(client, gallery, embedding)
    (face,) = client.identify(gallery, pictures.yaoming).faces
    assert found.candidates[0].subject_id == "yao"
    assert found.candidates[0].similarity == pytest.approx(face.identification.candidates[0].similarity, abs=1e-5)
    longer = types_pb2.Embedding(values=[7 * value for value in embedding.values], contract=embedding.contract)
    assert search(client, gallery, longer).candidates[0].similarity == pytest.approx(
        found.candidates[0].similarity, abs=1e-5
    )
    assert search(client, gallery, embedding, threshold=1.0).decision == pb.DECISION_UNKNOWN


def test_an_embedding_of_another_contract_is_refused(client: Client, gallery: str, pictures: Pictures) -> None:
    embedding = embedding_of(client, pictures.yaoming)
    with pytest.raises(FailedPrecondition) as caught:
        search(client, gallery, types_pb2.Embedding(values=embedding.values, contract="0" * 64))
    assert caught.value.reason == "CONTRACT_MISMATCH"
    assert caught.value.metadata == {
        "expected": embedding.contract,
        "found": "0" * 64,
        "expected_model": "w600k_mbf",
        "found_model": "another model, of the contract '00000000'",
    }
    assert caught.value.message.endswith(f"AnalyzeFaces makes them with the contract {embedding.contract}")


def test_raw_pixels_are_seen_as_the_encoded_picture_is(client: Client, pictures: Pictures) -> None:
    bgr = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    rgb = types_pb2.RawPicture(
        width=bgr.shape[1],
        height=bgr.shape[0],
        pixel_format=types_pb2.PIXEL_FORMAT_RGB,
        pixels=bgr[..., ::-1].tobytes(),
    )
    sources = (picture(pictures.yaoming), picture(np.asarray(bgr, np.uint8)), types_pb2.Picture(raw=rgb))
    faces = [client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=each)).faces for each in sources]
    assert faces[0] == faces[1] == faces[2]
    grey = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
    assert len(client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(grey))).faces) == 1


def test_the_server_says_what_it_runs(client: Client, server: Serving) -> None:
    info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    assert info.version == server.said["version"]
    assert info.contract == server.said["contract"]
    assert [model.role for model in info.models] == ["objects", "faces", "embedding"]
    assert [model.name.removesuffix(".onnx") for model in info.models] == list(packaged_names())
    assert all(len(model.sha256) == 64 and model.size and model.license and model.source for model in info.models)
    assert info.limits.max_message_bytes == 16 * 2**20
    assert info.limits.max_pixels == 50_000_000
    assert info.class_names[0] == "person"
    assert {"python", "onnxruntime", "opencv"} <= info.runtime.keys()


def test_health_is_answered_for_the_server_and_every_service(server: Serving) -> None:
    with grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "facet.v1.RecognitionService", "facet.v1.GalleryService", "facet.v1.ServerService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_names_every_service(server: Serving) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    assert {each.name for each in answer.list_services_response.service} == {
        "facet.v1.GalleryService",
        "facet.v1.RecognitionService",
        "facet.v1.ServerService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
