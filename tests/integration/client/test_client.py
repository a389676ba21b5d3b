"""The blocking client and the one for asyncio, against real servers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from facet import (
    AlreadyExists,
    AsyncClient,
    Client,
    DeadlineExceeded,
    FacetError,
    InvalidArgument,
    NotFound,
    Unauthenticated,
    Unavailable,
    picture,
)
from facet.client.requests import enroll_request
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from tests.answers import faces_of

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve, Serving

TOKEN = "a-token-of-this-test"


async def test_the_client_for_asyncio_does_what_the_blocking_one_does(
    server: Serving, client: Client, gallery: str, pictures: Pictures
) -> None:
    async with AsyncClient(server.address) as connected:
        enrolled = await connected.enroll(gallery, "yao", pictures.yaoming, display_name="Yao Ming")
        assert enrolled.subject.display_name == "Yao Ming"
        answer = await connected.identify(gallery, pictures.yaoming)
        assert faces_of(answer) == faces_of(client.identify(gallery, pictures.yaoming))
        assert (await connected.verify((gallery, "yao"), pictures.yaoming)).same
        assert [subject.subject_id async for subject in connected.subjects(gallery)] == ["yao"]
        items = [
            gallery_pb.EnrollBatchRequest(item_id=str(i), enrollment=enroll_request(gallery, "yao", pictures.yaoming))
            for i in range(5)
        ]
        answers = [answer async for answer in connected.galleries.EnrollBatch(iter(items))]
        assert sorted(answer.item_id for answer in answers) == list("01234")


async def test_both_clients_raise_typed_errors_with_reason_and_fields(
    server: Serving, client: Client, gallery: str
) -> None:
    with pytest.raises(NotFound) as missing:
        client.identify("nowhere", b"x")
    with pytest.raises(InvalidArgument) as invalid:
        client.identify(gallery, b"x", top_k=0)
    with pytest.raises(AlreadyExists):
        client.create_gallery(gallery)
    async with AsyncClient(server.address) as connected:
        with pytest.raises(NotFound) as missing_too:
            await connected.identify("nowhere", b"x")
        with pytest.raises(InvalidArgument) as invalid_too:
            await connected.identify(gallery, b"x", top_k=0)
    for one, other in ((missing, missing_too), (invalid, invalid_too)):
        assert isinstance(one.value, FacetError)
        assert vars(one.value) == vars(other.value)
    assert missing.value.reason == "GALLERY_NOT_FOUND"
    assert missing.value.code == grpc.StatusCode.NOT_FOUND
    assert list(invalid.value.fields) == ["top_k"]
    assert "1 to 100" in invalid.value.fields["top_k"]


async def test_a_deadline_that_passes_is_an_error_of_ours(server: Serving, pictures: Pictures) -> None:
    with Client(server.address, timeout=0.01) as client, pytest.raises(DeadlineExceeded):
        client.recognition.Detect(pb.DetectRequest(picture=picture(pictures.players)))
    async with AsyncClient(server.address, timeout=0.01) as connected:
        with pytest.raises(DeadlineExceeded):
            await connected.recognition.Detect(pb.DetectRequest(picture=picture(pictures.players)))


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable):
        client.create_gallery("x")
    async with AsyncClient("127.0.0.1:1") as connected:
        with pytest.raises(Unavailable):
            await connected.create_gallery("x")


def test_pictures_are_paths_bytes_or_arrays(client: Client, gallery: str, pictures: Pictures, tmp_path: Path) -> None:
    path = tmp_path / "yao.jpg"
    path.write_bytes(pictures.yaoming)
    array = np.asarray(cv2.imread(str(path)), np.uint8)
    faces = [faces_of(client.identify(gallery, source)) for source in (path, str(path), pictures.yaoming, array)]
    assert all(each == faces[0] for each in faces)
    assert len(faces[0]) == 1
    with pytest.raises(ValueError, match="uint8"):
        client.identify(gallery, array.astype(np.float32))
    with pytest.raises(OSError, match="No such file"):
        client.identify(gallery, tmp_path / "missing.jpg")


def test_the_address_and_the_token_come_from_the_environment(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_ADDRESS", server.address)
    with Client() as client:
        assert client.server.GetServerInfo(server_pb.GetServerInfoRequest()).contract


async def test_a_server_with_a_token_lets_nobody_in_without_it(serve: Serve) -> None:
    serving = serve("--models.objects", "none", environment={"FACET_SERVER__TOKEN": TOKEN})
    assert TOKEN not in str(serving.said)
    request = server_pb.GetServerInfoRequest()
    for wrong in (None, "another", TOKEN + "x", TOKEN[:-1]):
        with Client(serving.address, token=wrong) as client:
            with pytest.raises(Unauthenticated) as caught:
                client.server.GetServerInfo(request)
            assert caught.value.reason == "UNAUTHENTICATED"
            if wrong is None:
                with pytest.raises(Unauthenticated):
                    list(client.galleries.EnrollBatch(iter([])))
    with Client(serving.address, token=TOKEN) as client:
        assert client.server.GetServerInfo(request).contract
        assert not list(client.galleries.EnrollBatch(iter([])))
    async with AsyncClient(serving.address, token=TOKEN) as connected:
        assert (await connected.server.GetServerInfo(request)).contract
        assert not [answer async for answer in connected.galleries.EnrollBatch(iter([]))]
    with grpc.insecure_channel(serving.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        with pytest.raises(grpc.RpcError) as refused:
            next(watching)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert TOKEN not in serving.log.read_text("utf-8")


def make_certificate(openssl: str, key: Path, certificate: Path) -> None:
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )


async def test_a_connection_is_encrypted_where_the_server_has_a_certificate(serve: Serve, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make_certificate(openssl, key, certificate)
    flags = ("--server.tls-certificate", str(certificate), "--server.tls-key", str(key))
    serving = serve("--models.objects", "none", *flags)
    request = server_pb.GetServerInfoRequest()
    with Client(serving.address, root_certificates=certificate.read_bytes()) as client:
        assert client.server.GetServerInfo(request).contract
    async with AsyncClient(serving.address, root_certificates=certificate.read_bytes()) as connected:
        assert (await connected.server.GetServerInfo(request)).contract
    with Client(serving.address, timeout=2) as plain, pytest.raises((Unavailable, DeadlineExceeded)):
        plain.server.GetServerInfo(request)


def test_people_are_still_known_after_a_restart(serve: Serve, pictures: Pictures) -> None:
    first = serve()
    with Client(first.address) as client:
        client.create_gallery("team", threshold=0.4)
        kept = client.enroll("team", "yao", pictures.yaoming, display_name="Yao Ming")
    assert first.stop() == 0
    with Client(serve().address) as client:
        request = gallery_pb.GetSubjectRequest(gallery_id="team", subject_id="yao")
        assert client.galleries.GetSubject(request).subject == kept.subject
        squad = client.identify("team", pictures.players).faces
        matches = [face for face in squad if face.identification.decision == pb.DECISION_MATCH]
        assert [match.identification.candidates[0].template_id for match in matches] == [kept.template.template_id]
        assert client.enroll("team", "yao", pictures.yaoming).already_enrolled
