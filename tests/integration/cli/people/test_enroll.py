"""scripts/enroll.py: what it enrols, and why it rejects the rest."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet.v1.gallery_service_pb2 import ListGalleriesRequest

if TYPE_CHECKING:
    from facet import Client
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[4]
MANY = 100

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
    assert "no picture was taken of Broken, Crowd, Nobody" in shown
    assert "--accept-low-quality" in shown


def test_pictures_that_were_turned_are_named(run: Run, people: Path, new_gallery: str) -> None:
    portrait = people / "Yao Ming" / "portrait.jpg"
    upright = cv2.imread(str(portrait))
    assert upright is not None
    cv2.imwrite(str(portrait), cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE))
    shown = run("enroll.py", portrait, "--subject", "yao", "--gallery", new_gallery)
    assert shown.returncode == 0, shown.stderr
    assert f"turned clockwise, so that the face is upright: {portrait} (270\u00b0)" in shown.stdout
    (again,) = json.loads(run("enroll.py", portrait, "--subject", "yao", "--gallery", new_gallery, "--json").stdout)[
        "pictures"
    ]
    assert (again["outcome"], again["turn"]) == ("already_enrolled", 270)


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


def test_a_picture_that_does_not_say_whom_it_shows_is_rejected_and_the_others_are_enrolled(
    run: Run, tmp_path: Path, pictures: Pictures, new_gallery: str
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("Yao.jpg", "Yao2.jpg", "44.jpg"):
        (flat / name).write_bytes(pictures.yaoming)
    result = run("enroll.py", flat, "--gallery", new_gallery)
    assert result.returncode == 1
    assert f"{flat / '44.jpg'}: rejected: the file's name does not say whom it shows\n" in result.stdout
    assert f"{flat / 'Yao2.jpg'} is ambiguous" in result.stdout
    assert "1 enrolled, 0 were already, 2 rejected; 1 person" in result.stdout
    answer = json.loads(run("enroll.py", flat, "--gallery", new_gallery, "--json").stdout)
    outcomes = {Path(each["path"]).name: each["reason"] or each["outcome"] for each in answer["pictures"]}
    assert outcomes == {"Yao.jpg": "already_enrolled", "Yao2.jpg": "AMBIGUOUS_NAME", "44.jpg": "NO_NAME"}


def test_what_a_folder_holds_besides_pictures_is_said_and_a_person_without_a_picture_is_a_failure(
    run: Run, tmp_path: Path, pictures: Pictures, new_gallery: str
) -> None:
    for name in ("Yao/1.jpg", "Yao/._1.jpg", "@eaDir/Yao.jpg", "Yao/Thumbs.db", "Yao/film.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(pictures.yaoming)
    result = run("enroll.py", tmp_path, "--gallery", new_gallery, "--json")
    answer = json.loads(result.stdout)
    assert (result.returncode, answer["enrolled"], answer["rejected"]) == (0, 1, 0)
    reasons = {Path(each["path"]).name: each["reason"] for each in answer["left_out"]}
    assert reasons == dict.fromkeys(("._1.jpg", "@eaDir", "Thumbs.db"), "HIDDEN") | {"film.mp4": "NOT_A_PICTURE"}
    assert "left out 3, as hidden and system files are not read" in result.stderr
    assert "left out 1, as only" in result.stderr
    (tmp_path / "Zoe").mkdir()
    again = run("enroll.py", tmp_path, "--gallery", new_gallery, "--json")
    assert again.returncode == 1
    rejected = [each for each in json.loads(again.stdout)["pictures"] if each["outcome"] == "rejected"]
    assert [(each["subject"], each["reason"]) for each in rejected] == [("Zoe", "NO_PICTURE")]


def test_a_folder_in_which_no_picture_says_whom_it_shows_is_bad_usage(
    run: Run, tmp_path: Path, pictures: Pictures, new_gallery: str
) -> None:
    for name in ("1.jpg", "2.jpg", "IMG_0003.jpg"):
        (tmp_path / name).write_bytes(pictures.yaoming)
    result = run("enroll.py", tmp_path, "--gallery", new_gallery)
    assert result.returncode == 2
    assert "2 more of this kind" in result.stderr
    assert run("enroll.py", "list", "--gallery", new_gallery).returncode == 1, "the gallery was not created"


def test_a_run_that_is_stopped_says_how_far_it_came_and_the_next_continues(
    server: Serving, client: Client, gallery: str, tmp_path: Path, pictures: Pictures
) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"person{number}.jpg").write_bytes(pictures.yaoming + f"{number}".encode())
    options = ("--gallery", gallery, "--accept-lookalike", "--address", server.address)
    command = [sys.executable, str(ROOT / "scripts" / "enroll.py"), str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not client.get_gallery(gallery).template_count:
            assert process.poll() is None, "it ended before it was stopped"
        process.send_signal(signal.SIGINT)
        said, told = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, "")
    assert re.fullmatch(rf"stopped: \d+ of {MANY} pictures answered, .*; repeat the command to continue\n", told)
    enrolled = client.get_gallery(gallery).template_count
    assert enrolled < MANY
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    answer = json.loads(again.stdout)
    assert (answer["enrolled"], answer["already_enrolled"]) == (MANY - enrolled, enrolled)


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


def test_another_person_among_pictures_of_one_is_rejected_or_named(
    run: Run, tmp_path: Path, pictures: Pictures, new_gallery: str
) -> None:
    folder = tmp_path / "people" / "Yao Ming"
    folder.mkdir(parents=True)
    portrait = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert portrait is not None
    for number in range(4):
        brighter = cv2.convertScaleAbs(portrait, beta=8 * number)
        (folder / f"right{number}.png").write_bytes(cv2.imencode(".png", brighter)[1].tobytes())
    wrong = folder / "wrong.jpg"
    wrong.write_bytes(pictures.six)
    options = ("--gallery", new_gallery, "--face", "largest")
    for number in range(2):
        run("enroll.py", folder / f"right{number}.png", "--subject", "Yao Ming", *options)
    result = run("enroll.py", folder.parent, *options, "--json")
    assert result.returncode == 1
    outcomes = {
        Path(each["path"]).name: each["reason"] or each["outcome"] for each in json.loads(result.stdout)["pictures"]
    }
    assert outcomes.pop("wrong.jpg") == "LOOKS_UNLIKE_SUBJECT"
    assert sorted(outcomes.values()) == ["already_enrolled"] * 2 + ["enrolled"] * 2
    insisted = run("enroll.py", folder.parent, *options, "--accept-unlike")
    assert insisted.returncode == 0
    (named,) = [line for line in insisted.stdout.splitlines() if "looks unlike" in line]
    assert named.startswith(f"{wrong}: looks unlike {folder}")
    assert named.count("right") == 4
    again = run("enroll.py", folder.parent, *options)
    (repeated,) = [line for line in again.stdout.splitlines() if "looks unlike" in line]
    assert sorted(repeated.split()) == sorted(named.split())


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
