"""Servers that fail to start, with one clear line and an exit code; and servers with other models."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, FailedPrecondition, picture
from facet.runtime.models import MANIFEST, find_model
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from gallery.stores.sqlite.file.files import PAGE_SIZE
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.certificates import SERVER, Authority, make_certificate
from tests.faults.promises import Seen, promises
from tests.unit.recognizer.models.adding.foreign_models import Foreign, write_detector

if TYPE_CHECKING:
    from tests.conftest import Pictures, Refused, Serve

FAILED, USAGE = 1, 2


def analyze(client: Client, data: bytes, min_score: float | None = None) -> pb.AnalyzeFacesResponse:
    request = pb.AnalyzeFacesRequest(picture=picture(data), include_objects=True, min_score=min_score)
    return client.recognition.AnalyzeFaces(request)


def complaint(stderr: str) -> str:
    """The one line of the error; the structured log goes to the same stream."""
    (line,) = [each for each in stderr.splitlines() if each.startswith("serve.py: ")]
    assert "Traceback" not in stderr
    return line


def test_a_database_in_use_is_refused(serve: Serve, refused: Refused, tmp_path: Path) -> None:
    serve()
    result = refused("--server.port", "0", "--gallery.database", str(tmp_path / "facet.sqlite3"))
    assert result.returncode == FAILED
    assert "facet.sqlite3" in complaint(result.stderr)
    assert "use --gallery.database for another file" in result.stderr
    assert not result.stdout


def test_a_server_without_standard_streams_serves_and_ends_as_others_do(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "facet", "serve", "--server.port", str(port), "--models.objects", "none"]
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    with subprocess.Popen([*closing, "--gallery.database", str(tmp_path / "facet.sqlite3")]) as process:
        try:
            with Client(f"127.0.0.1:{port}") as client:
                request = server_pb.GetServerInfoRequest()
                assert client.server.GetServerInfo(request, wait_for_ready=True, timeout=120).version
        finally:
            process.terminate()
        assert process.wait(60) == 0


def test_a_port_in_use_is_refused(refused: Refused) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = refused("--server.port", str(port))
    assert result.returncode == FAILED
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in complaint(result.stderr)
    assert "add_port.cc" not in result.stderr


def test_a_file_that_is_no_certificate_is_refused(refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    file.write_text("no certificate", "utf-8")
    result = refused("--server.port", "0", "--server.tls-certificate", str(file), "--server.tls-key", str(file))
    assert result.returncode == FAILED
    assert "server.tls_certificate and server.tls_key are no certificate with its key" in complaint(result.stderr)
    result = refused("--server.tls-certificate", str(file), "--server.tls-key", str(tmp_path / "none.pem"))
    assert f"cannot open {tmp_path}/none.pem: No such file or directory" in complaint(result.stderr)


@promises(
    "network",
    "the certificate has expired, or is not valid yet, when the server starts",
    "the server does not start; it names the file and the date",
)
def test_a_certificate_that_is_not_valid_now_is_refused_with_its_date(
    refused: Refused, tmp_path: Path, seen: Seen
) -> None:
    moment, year = datetime.now(UTC), timedelta(days=365)
    for name, start, said in (
        ("old", moment - 2 * year, f"old.pem expired on {moment - year:%Y-%m-%d}"),
        ("early", moment + year, f"early.pem is not valid before {moment + year:%Y-%m-%d}"),
    ):
        certificate, key = make_certificate(tmp_path, name, start=start, end=start + year)
        result = refused("--server.tls-certificate", str(certificate), "--server.tls-key", str(key))
        assert result.returncode == FAILED
        assert said in complaint(result.stderr)
    seen("both refused with the date")


def test_a_certificate_in_use_is_watched(serve: Serve, tmp_path: Path) -> None:
    moment = datetime.now(UTC)
    end = moment + timedelta(days=3)
    certificate, key = make_certificate(tmp_path, "server", start=moment - timedelta(days=300), end=end)
    flags = ("--server.tls-certificate", str(certificate), "--server.tls-key", str(key))
    serving = serve("--models.objects", "none", "--metrics.port", "0", *flags)
    with Client(
        serving.address.replace("127.0.0.1", "localhost"), root_certificates=certificate.read_bytes()
    ) as client:
        assert client.server.GetServerInfo(server_pb.GetServerInfoRequest()).embedding_dimension
    with urllib.request.urlopen(f"http://{serving.said['metrics_address']}/metrics", timeout=30) as answer:
        (line,) = [line for line in answer.read().decode().splitlines() if line.startswith("facet_tls_certificate_")]
    assert float(line.split()[1]) == pytest.approx(end.timestamp(), abs=1)
    assert "the certificate expires soon" in [line["event"] for line in serving.log_lines()]


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        (("--server.port", "70000"), {}, "server.port"),
        (("--detection.object-size", "many"), {}, "detection.object_size"),
        ((), {"FACET_SERVER__PROT": "1"}, "did you mean FACET_SERVER__PORT?"),
        ((), {"FACET_SERVRE__PORT": "1"}, "FACET_SERVRE__PORT"),
        (("--server.host", "0.0.0.0"), {}, "facet keys create"),
        ((), {"FACET_SERVER__TOKEN": ""}, "token is set but empty"),
        (("--server.tls-key", "key.pem"), {}, "tls_certificate"),
        (("--config", "missing.toml"), {}, "missing.toml"),
        (("--no-such-flag",), {}, "--no-such-flag"),
    ],
)
def test_an_invalid_setting_is_named(
    refused: Refused, flags: tuple[str, ...], environment: dict[str, str], named: str
) -> None:
    result = refused(*flags, environment=environment)
    assert result.returncode == USAGE
    assert named in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_for_other_machines_starts_without_callers_and_tls_only_if_it_is_told_to(
    refused: Refused, tmp_path: Path
) -> None:
    elsewhere = ("--models.objects", "none", "--server.host", "192.0.2.1")
    result = refused(*elsewhere)
    assert result.returncode == USAGE
    assert "No callers: run `facet keys create" in result.stderr
    assert "No TLS: set server.tls_certificate" in result.stderr
    ca = Authority(tmp_path)
    certificate, key = ca.sign("server", "DNS:localhost", usage=SERVER)
    tls = ("--server.tls-certificate", str(certificate), "--server.tls-key", str(key))
    mutual = refused(*elsewhere, *tls, "--server.tls-client-ca", str(ca.file))
    assert mutual.returncode == USAGE
    assert "No callers" in mutual.stderr, "a client CA alone would let every certificate do everything"
    told = refused(*elsewhere, "--insecure")
    assert told.returncode == FAILED
    assert "cannot listen on 192.0.2.1" in told.stderr, "it would start if the address were one of this machine"


def test_environment_variables_of_the_client_are_ignored(serve: Serve) -> None:
    serving = serve(
        "--models.objects", "none", environment={"FACET_TOKEN": "a client's", "FACET_ADDRESS": "elsewhere:1"}
    )
    assert serving.said["configuration"]["server"]["token"] is None


def test_a_missing_model_is_refused(refused: Refused) -> None:
    result = refused("--models.embedding", "no-such-model")
    assert result.returncode == FAILED
    assert "model 'no-such-model' not found" in complaint(result.stderr)


def test_a_damaged_model_is_refused(refused: Refused, tmp_path: Path) -> None:
    original = find_model("scrfd_500m_bnkps")
    damaged = bytearray(original.path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "faces.onnx").write_bytes(damaged)
    entry = {"sha256": original.sha256, "license": "x", "source": "y"}
    (tmp_path / MANIFEST).write_text(json.dumps({"faces.onnx": entry}), "utf-8")
    result = refused("--models.folder", str(tmp_path), "--models.faces", "faces")
    assert result.returncode == FAILED
    said = complaint(result.stderr)
    assert original.sha256 in said
    assert hashlib.sha256(damaged).hexdigest() in said


def test_a_file_that_is_not_a_model_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model at all", "utf-8")
    for role in ("objects", "faces", "embedding"):
        result = refused(f"--models.{role}", str(tmp_path / "text.onnx"))
        assert result.returncode == FAILED
        assert "text.onnx" in complaint(result.stderr)


@pytest.mark.parametrize(
    ("role", "model"),
    [
        ("objects", "w600k_mbf"),
        ("objects", "scrfd_500m_bnkps"),
        ("faces", "w600k_mbf"),
        ("faces", "yolo11n"),
        ("embedding", "yolo11n"),
        ("embedding", "scrfd_500m_bnkps"),
    ],
)
def test_a_model_of_the_wrong_kind_is_refused_with_what_was_expected(refused: Refused, role: str, model: str) -> None:
    result = refused(f"--models.{role}", model)
    assert result.returncode == FAILED
    said = complaint(result.stderr)
    assert "expected" in said
    assert "found" in said


def test_a_model_that_can_be_converted_is_refused_with_the_command_that_converts_it(
    refused: Refused, tmp_path: Path
) -> None:
    models = {
        "faces": write_detector(tmp_path / "fixed.onnx"),
        "embedding": Foreign(batch=4).write(tmp_path / "four.onnx"),
    }
    for role, path in models.items():
        result = refused("--models.objects", "none", f"--models.{role}", str(path))
        assert result.returncode == FAILED
        assert f"facet models add {path}" in complaint(result.stderr)


def test_a_gallery_of_another_embedding_model_is_listed_and_not_searched(
    serve: Serve, shared: Path, pictures: Pictures
) -> None:
    first = serve("--models.objects", "none")
    with Client(first.address) as client:
        client.create_gallery("old")
        client.enroll("old", "yao", pictures.yaoming)
    assert first.stop() == 0
    second = serve("--models.objects", "none", "--models.embedding", str(shared / "models" / "mobilefacenet-128.onnx"))
    assert second.said["contract"] != first.said["contract"]
    with Client(second.address) as client:
        (listed,) = client.galleries.ListGalleries(gallery_pb.ListGalleriesRequest()).galleries
        assert (listed.gallery_id, listed.subject_count) == ("old", 1)
        assert listed.contract == first.said["contract"]
        assert [subject.subject_id for subject in client.subjects("old")] == ["yao"]
        for call in (
            lambda: client.identify("old", pictures.yaoming),
            lambda: client.enroll("old", "ming", pictures.yaoming),
            lambda: client.verify(("old", "yao"), pictures.yaoming),
        ):
            with pytest.raises(FailedPrecondition) as caught:
                call()
            assert caught.value.reason == "CONTRACT_MISMATCH"
        client.create_gallery("new")
        client.enroll("new", "yao", pictures.yaoming)
        (face,) = client.identify("new", pictures.yaoming).faces
        assert face.identification.candidates[0].similarity > 0.99
        assert client.server.GetServerInfo(server_pb.GetServerInfoRequest()).embedding_dimension == 128
        client.galleries.DeleteGallery(gallery_pb.DeleteGalleryRequest(gallery_id="old", force=True))


@pytest.mark.parametrize("role", ["faces", "objects"])
def test_a_yolo_face_model_replaces_scrfd(
    serve: Serve, client: Client, shared: Path, pictures: Pictures, role: str
) -> None:
    model = shared / "models" / "yolov8-lite-t-face.onnx"
    (expected,) = analyze(client, pictures.yaoming).faces
    serving = serve(f"--models.{role}", str(model))
    roles = [each["role"] for each in serving.said["models"]]
    assert roles == (["objects", "embedding"] if role == "objects" else ["objects", "faces", "embedding"])
    with Client(serving.address) as other:
        (found,) = analyze(other, pictures.yaoming).faces
        usual, fainter = analyze(other, pictures.players), analyze(other, pictures.players, min_score=0.05)
        assert fainter.faces[: len(usual.faces)] == usual.faces
        assert fainter.objects == usual.objects
        assert len(fainter.faces) > len(usual.faces)
        assert points(found) == pytest.approx(points(expected), abs=8)
        other.create_gallery("team")
        other.enroll("team", "yao", pictures.yaoming)
        squad = other.identify("team", pictures.players).faces
    assert sum(face.identification.decision == pb.DECISION_MATCH for face in squad) == 1
    assert all(face.face.score >= 0.42 and face.face.box.y2 - face.face.box.y1 >= 16 for face in squad)


def points(analyzed: pb.AnalyzedFace) -> list[float]:
    marks = analyzed.face.landmarks
    five = (marks.left_eye, marks.right_eye, marks.nose, marks.left_mouth, marks.right_mouth)
    return [coordinate for point in five for coordinate in (point.x, point.y)]


def test_a_server_without_an_object_detector_finds_faces_and_refuses_detect(serve: Serve, pictures: Pictures) -> None:
    serving = serve("--models.objects", "none")
    with Client(serving.address) as client:
        answer = analyze(client, pictures.yaoming)
        assert len(answer.faces) == 1
        assert not answer.faces[0].face.HasField("person")
        assert not answer.objects
        assert answer.timings.detect_ms == 0
        with pytest.raises(FailedPrecondition) as caught:
            client.recognition.Detect(pb.DetectRequest(picture=picture(pictures.yaoming)))
    assert caught.value.reason == "NO_OBJECT_DETECTOR"


def test_a_damaged_database_is_refused_with_a_remedy(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "damaged.sqlite3"
    SqliteStore(path).close()
    data = bytearray(path.read_bytes())
    data[-PAGE_SIZE:] = bytes(PAGE_SIZE)
    path.write_bytes(data)
    result = refused("--server.port", "0", "--gallery.database", str(path), "--gallery.check-at-start")
    assert result.returncode == FAILED
    assert f"{path} is damaged" in complaint(result.stderr)
    assert "scripts/gallery.py restore" in complaint(result.stderr)
