"""scripts/enroll.py: what it enrols, and why it rejects the rest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet.v1.gallery_service_pb2 import ListGalleriesRequest

if TYPE_CHECKING:
    from facet import Client
    from tests.conftest import Pictures

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_folder_of_people_is_enrolled_and_every_rejection_says_why(run: Run, people: Path, new_gallery: str) -> None:
    result = run("enroll.py", people, "--gallery", new_gallery, "--json")
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


def test_rejections_are_explained_in_words(run: Run, people: Path, new_gallery: str) -> None:
    shown = run("enroll.py", people, "--gallery", new_gallery).stdout
    for words in ("too small", "too blurred", "several faces", "no face", "not a readable picture", "1 enrolled"):
        assert words in shown


def test_pictures_in_a_flat_folder_belong_to_who_they_are_named_after(
    run: Run, people: Path, pictures: Pictures, new_gallery: str
) -> None:
    flat = people.parent / "flat"
    (flat / "Crowd").mkdir(parents=True)
    (flat / "Yao_Ming.jpg").write_bytes(pictures.yaoming)
    (flat / "yao ming-02.JPG").write_bytes(pictures.yaoming + b"again")
    (flat / "Crowd" / "squad.jpg").write_bytes(pictures.players)
    (flat / "notes.txt").write_text("no picture")
    result = run("enroll.py", flat, "--gallery", new_gallery)
    assert result.returncode == 1
    assert f"{flat / 'Crowd' / 'squad.jpg'}: rejected" in result.stdout, "the path is not cut"
    assert "2 enrolled" in result.stdout
    assert "1 person" in result.stdout
    assert "--face central" in result.stdout
    assert "notes.txt" in result.stderr
    assert run("enroll.py", flat, "--gallery", new_gallery, "--face", "central").returncode == 0
    listed = json.loads(run("enroll.py", "list", "--gallery", new_gallery, "--json").stdout)
    names = {each["subject_id"]: (each["display_name"], each["template_count"]) for each in listed["subjects"]}
    assert names == {"Yao_Ming": ("Yao Ming", "2"), "Crowd": ("Crowd", "1")}


def test_a_flat_folder_that_is_ambiguous_is_bad_usage_and_enrols_nobody(
    run: Run, people: Path, pictures: Pictures, new_gallery: str
) -> None:
    for name in ("Ann.jpg", "Ann2.jpg"):
        (people / name).write_bytes(pictures.yaoming)
    result = run("enroll.py", people, "--gallery", new_gallery)
    assert result.returncode == 2
    assert f"{people / 'Ann2.jpg'} is ambiguous" in result.stderr
    assert run("enroll.py", "list", "--gallery", new_gallery).returncode == 1, "the gallery was not created"


def test_enrolling_again_enrols_nobody_twice(run: Run, people: Path, new_gallery: str) -> None:
    yao = people / "Yao Ming" / "portrait.jpg"
    assert run("enroll.py", yao, "--subject", "yao", "--gallery", new_gallery).returncode == 0
    again = run("enroll.py", yao, "--subject", "yao", "--gallery", new_gallery, "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["already_enrolled"] == 1
    listed = json.loads(run("enroll.py", "list", "--gallery", new_gallery, "--json").stdout)
    assert [subject["template_count"] for subject in listed["subjects"]] == ["1"]


def test_somebody_who_looks_like_another_is_named_in_the_rejection(run: Run, people: Path, new_gallery: str) -> None:
    yao = people / "Yao Ming" / "portrait.jpg"
    run("enroll.py", yao, "--subject", "yao", "--gallery", new_gallery)
    result = run("enroll.py", yao, "--subject", "impostor", "--gallery", new_gallery, "--json")
    (rejected,) = json.loads(result.stdout)["pictures"]
    assert rejected["reason"] == "LOOKS_LIKE_ANOTHER_SUBJECT"
    assert "'yao'" in rejected["message"]
    accepted = run("enroll.py", yao, "--subject", "twin", "--gallery", new_gallery, "--accept-lookalike")
    assert accepted.returncode == 0


def test_a_dry_run_keeps_nothing_not_even_the_gallery(run: Run, client: Client, people: Path, new_gallery: str) -> None:
    result = run("enroll.py", people / "Yao Ming", "--subject", "yao", "--gallery", new_gallery, "--dry-run", "--json")
    assert json.loads(result.stdout)["enrolled"] == 1
    listed = run("enroll.py", "list", "--gallery", new_gallery)
    assert listed.returncode == 1
    assert "GALLERY_NOT_FOUND" in listed.stderr
    left = client.galleries.ListGalleries(ListGalleriesRequest(page_size=1000)).galleries
    assert not [each.gallery_id for each in left if each.gallery_id.startswith("dry-run-")]


def test_a_manifest_gives_subjects_their_names(run: Run, people: Path, new_gallery: str) -> None:
    manifest = people / "people.csv"
    manifest.write_text("subject,path,display_name\nyao,Yao Ming/portrait.jpg,姚明\n", "utf-8")
    assert run("enroll.py", manifest, "--gallery", new_gallery).returncode == 0
    shown = json.loads(run("enroll.py", "show", "yao", "--gallery", new_gallery, "--json").stdout)
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
def test_a_bad_manifest_is_bad_usage(run: Run, tmp_path: Path, manifest: str, complaint: str, new_gallery: str) -> None:
    (tmp_path / "people.csv").write_text(manifest, "utf-8")
    result = run("enroll.py", tmp_path / "people.csv", "--gallery", new_gallery)
    assert result.returncode == 2
    assert complaint in result.stderr


def test_one_of_several_faces_is_enrolled_when_it_is_chosen(run: Run, people: Path, new_gallery: str) -> None:
    squad = people / "Crowd" / "squad.jpg"
    result = run("enroll.py", squad, "--subject", "yao", "--face", "720,143,763,192", "--gallery", new_gallery)
    assert result.returncode == 0, result.stdout + result.stderr
    found = run("identify.py", people / "Yao Ming" / "portrait.jpg", "--gallery", new_gallery, "--json")
    (face,) = json.loads(found.stdout)["faces"]
    assert face["identification"]["decision"] == "DECISION_MATCH"


@pytest.mark.parametrize("face", ["middle", "1,2,3", "5,5,1,1", "5,5,5,9", "nan,0,9,9", "0,0,inf,9"])
def test_a_face_that_is_no_choice_is_bad_usage(run: Run, people: Path, face: str, new_gallery: str) -> None:
    squad = people / "Crowd" / "squad.jpg"
    result = run("enroll.py", squad, "--subject", "x", "--face", face, "--gallery", new_gallery)
    assert result.returncode == 2
    assert "--face" in result.stderr
