"""scripts/identify.py: tables and lines of JSON, and pictures that fail."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_pictures_are_identified_as_lines_of_json_and_a_bad_one_fails_alone(
    run: Run, people: Path, tmp_path: Path, new_gallery: str
) -> None:
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", new_gallery)
    result = run("identify.py", people, "--gallery", new_gallery, "--json", "--out", tmp_path / "named")
    assert result.returncode == 1
    lines = {Path(line["path"]).name: line for line in map(json.loads, result.stdout.splitlines())}
    assert lines["truncated.jpg"]["error"]["reason"] == "INVALID_PICTURE"
    assert lines["wall.png"]["faces"] == []
    matches = [face for face in lines["squad.jpg"]["faces"] if face["identification"]["decision"] == "DECISION_MATCH"]
    assert [match["identification"]["candidates"][0]["subject_id"] for match in matches] == ["yao"]
    drawn = cv2.imread(str(tmp_path / "named" / "Crowd" / "squad.jpg"))
    assert drawn is not None
    assert drawn.shape == (800, 1237, 3)


def test_identifying_goes_on_after_files_that_cannot_be_sent(run: Run, people: Path, new_gallery: str) -> None:
    folder = people / "Yao Ming"
    run("enroll.py", folder / "portrait.jpg", "--subject", "yao", "--gallery", new_gallery)
    with (folder / "huge.jpg").open("wb") as huge:
        huge.truncate(2**30)
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    result = run("identify.py", folder, "--gallery", new_gallery, "--json")
    assert result.returncode == 1
    lines = {Path(line["path"]).name: line for line in map(json.loads, result.stdout.splitlines())}
    assert lines["huge.jpg"]["error"]["reason"] == "FILE_TOO_LARGE"
    assert lines["gone.jpg"]["error"]["reason"] == "CANNOT_READ"
    assert len(lines["portrait.jpg"]["faces"]) == 1


def test_a_gallery_that_is_not_there_ends_identifying_at_once(run: Run, people: Path, new_gallery: str) -> None:
    result = run("identify.py", people, "--gallery", new_gallery, "--json")
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "GALLERY_NOT_FOUND" in result.stderr


def test_a_server_that_does_not_answer_is_one_line_and_exit_code_1(run: Run, people: Path) -> None:
    result = run("identify.py", people, "--address", "127.0.0.1:1")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "scripts/serve.py" in result.stderr


def test_nobody_is_named_twice_on_request(run: Run, people: Path, tmp_path: Path, new_gallery: str) -> None:
    portrait = cv2.imread(str(people / "Yao Ming" / "portrait.jpg"))
    assert portrait is not None
    cv2.imwrite(str(tmp_path / "twice.png"), cv2.hconcat([portrait, cv2.GaussianBlur(portrait, (0, 0), 2)]))
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", new_gallery)
    arguments = (tmp_path / "twice.png", "--gallery", new_gallery)
    (usual,) = map(json.loads, run("identify.py", *arguments, "--json").stdout.splitlines())
    assert [each["identification"]["decision"] for each in usual["faces"]] == ["DECISION_MATCH"] * 2
    table = run("identify.py", *arguments, "--distinct-subjects").stdout
    assert table.count("unknown: yao is face") == 1


def test_a_name_that_is_not_utf_8_does_not_end_identifying(run: Run, people: Path, new_gallery: str) -> None:
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", new_gallery)
    folder = people.parent / "odd"
    folder.mkdir()
    odd = os.fsencode(folder) + b"/\xff\x1b[2J.jpg"
    Path(os.fsdecode(odd)).write_bytes((people / "Yao Ming" / "portrait.jpg").read_bytes())
    shown = run("identify.py", folder, "--gallery", new_gallery)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[0] == f"{folder}/\\xff\\x1b[2J.jpg"
    (line,) = map(json.loads, run("identify.py", folder, "--gallery", new_gallery, "--json").stdout.splitlines())
    assert line["path"] == f"{folder}/\\xff\x1b[2J.jpg"
