"""The origin of templates, stored face crops, and the quality limits of identification."""

from __future__ import annotations

import io
import sqlite3
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from facet import LARGEST, Client, InvalidArgument, picture
from facet.runtime.pictures import decode
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve


def test_a_template_names_its_models(client: Client, gallery: str, pictures: Pictures) -> None:
    template = client.enroll(gallery, "yao", pictures.yaoming).template
    models = client.server.GetServerInfo(server_pb.GetServerInfoRequest()).models
    by_role = {model.role: model.sha256 for model in models}
    assert (template.face_model, template.embedding_model) == (by_role["faces"], by_role["embedding"])
    request = gallery_pb.ListTemplatesRequest(gallery_id=gallery, subject_id="yao")
    assert list(client.galleries.ListTemplates(request).templates) == [template]


def test_face_crops_are_not_stored_by_default(client: Client, gallery: str, pictures: Pictures) -> None:
    assert not client.enroll(gallery, "yao", pictures.yaoming).template.has_crop
    lines = pq.read_table(io.BytesIO(b"".join(client.export_gallery(gallery))))
    assert lines["crop"].to_pylist() == [None]


def test_face_crops_are_stored_exported_and_deleted_if_configured(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--enrollment.keep-crops")
    with Client(serving.address) as client:
        client.create_gallery("team")
        assert client.enroll("team", "yao", pictures.yaoming).template.has_crop
        data = b"".join(client.export_gallery("team"))
        (crop,) = pq.read_table(io.BytesIO(data))["crop"].to_pylist()
        assert decode(crop, max_pixels=112 * 112).shape == (112, 112, 3)
        client.import_gallery(iter([data]), "copy")
        assert b"".join(client.export_gallery("copy")).count(crop) == 1
        for gallery in ("team", "copy"):
            client.galleries.DeleteSubject(gallery_pb.DeleteSubjectRequest(gallery_id=gallery, subject_id="yao"))
    serving.stop()
    assert "PNG" not in serving.log.read_text("utf-8")
    (database,) = serving.log.parent.glob("*.sqlite3")
    assert crop[100:200] not in database.read_bytes()
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_faces_below_the_quality_limits_are_refused_without_embedding(serve: Serve, pictures: Pictures) -> None:
    with Client(serve("--identification.min-face-size", "1000").address) as client:
        client.create_gallery("team", threshold=0.25)
        client.enroll("team", "yao", pictures.yaoming)
        for threshold, applied in ((None, 0.25), (0.5, 0.5)):
            answer = client.identify("team", pictures.players, threshold=threshold)
            assert len(answer.faces) >= 22
            for face in answer.faces:
                assert face.identification == pb.Identification(decision=pb.DECISION_REFUSED, threshold=applied)
            assert answer.timings.embed_ms == answer.timings.search_ms == 0


def test_only_faces_below_the_quality_limits_are_refused(client: Client, serve: Serve, pictures: Pictures) -> None:
    info = client.server.GetServerInfo(server_pb.GetServerInfoRequest())
    sizes = sorted(
        face.face.quality.size
        for face in client.recognition.AnalyzeFaces(pb.AnalyzeFacesRequest(picture=picture(pictures.players))).faces
    )
    limit = sizes[len(sizes) // 2]
    with Client(serve("--identification.min-face-size", str(limit)).address) as other:
        other.create_gallery("team")
        other.enroll("team", "yao", pictures.yaoming)
        answer = other.identify("team", pictures.players)
        for face in answer.faces:
            refused = face.identification.decision == pb.DECISION_REFUSED
            assert refused == (face.face.quality.size < limit)
            assert face.identification.templates_compared == (0 if refused else 1)
        decisions = [face.identification.decision for face in answer.faces]
        assert decisions.count(pb.DECISION_REFUSED) == len(sizes) // 2
        assert other.server.GetServerInfo(server_pb.GetServerInfoRequest()).contract == info.contract


def test_a_gallery_can_decide_by_the_mean_of_the_best_templates(
    client: Client, gallery: str, pictures: Pictures
) -> None:
    client.enroll(gallery, "yao", pictures.yaoming)
    client.enroll(gallery, "yao", pictures.gdp, face=LARGEST, accept_low_quality=True, accept_lookalike=True)
    (best,) = client.identify(gallery, pictures.yaoming).faces
    wanted = gallery_pb.Gallery(gallery_id=gallery, mean_of_best=2)
    request = gallery_pb.UpdateGalleryRequest(gallery=wanted, update_mask=FieldMask(paths=["mean_of_best"]))
    assert client.galleries.UpdateGallery(request).gallery.mean_of_best == 2
    (mean,) = client.identify(gallery, pictures.yaoming).faces
    one, other = (face.identification.candidates[0].similarity for face in (best, mean))
    assert one > 0.95
    assert other < 0.75


@pytest.mark.parametrize("value", [0, 17, 2**32 - 1])
def test_mean_of_best_must_be_1_to_16(client: Client, gallery: str, value: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        client.create_gallery("", mean_of_best=value)
    assert list(caught.value.fields) == ["mean_of_best"]
    request = gallery_pb.UpdateGalleryRequest(
        gallery=gallery_pb.Gallery(gallery_id=gallery, mean_of_best=value),
        update_mask=FieldMask(paths=["mean_of_best"]),
    )
    with pytest.raises(InvalidArgument) as caught:
        client.galleries.UpdateGallery(request)
    assert list(caught.value.fields) == ["gallery.mean_of_best"]
