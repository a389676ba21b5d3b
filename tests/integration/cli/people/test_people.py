"""scripts/enroll.py list, show, rename, forget and forget-template."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Pictures

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_person_is_renamed_and_forgotten(run: Run, people: Path, new_gallery: str) -> None:
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", new_gallery)
    renamed = run("enroll.py", "rename", "yao", "Yao [Ming]", "--gallery", new_gallery)
    assert "Yao [Ming]" in renamed.stdout
    assert run("enroll.py", "forget", "yao", "--gallery", new_gallery).returncode == 2, "nobody confirmed it"
    forgotten = run("enroll.py", "forget", "yao", "--gallery", new_gallery, "--yes", "--json")
    assert json.loads(forgotten.stdout) == {"forgotten": {"yao": 1}}
    assert run("enroll.py", "forget", "yao", "--gallery", new_gallery, "--yes").returncode == 1


def test_a_name_in_place_of_an_id_is_answered_with_the_id(run: Run, people: Path, new_gallery: str) -> None:
    yao = people / "Yao Ming" / "portrait.jpg"
    run("enroll.py", yao, "--subject", "yao", "--name", "Yao (Rockets)", "--gallery", new_gallery)
    for command in (("show",), ("forget", "--yes"), ("rename", "Yao"), ("forget-template", "t", "--yes")):
        name, *more = command
        said = run("enroll.py", name, "Yao (Rockets)", *more, "--gallery", new_gallery)
        assert said.returncode == 1
        assert said.stderr.startswith("SUBJECT_NOT_FOUND: ")
        assert "'Yao (Rockets)' is the name of 'yao'" in said.stderr
    nobody = run("enroll.py", "show", "Ann", "--gallery", new_gallery).stderr
    assert "is the name of" not in nobody


def test_a_gallery_that_does_not_exist_is_answered_with_those_that_do(run: Run, team: str) -> None:
    for command in (("list",), ("forget", "yao", "--yes"), ("show", "yao")):
        said = run("enroll.py", *command, "--gallery", f"{team}-other")
        assert said.returncode == 1
        (line,) = said.stderr.splitlines()
        assert line.startswith("GALLERY_NOT_FOUND: ")
        assert "scripts/gallery.py list" in line
        assert "scripts/enroll.py creates one" in line


def test_ids_and_names_that_look_like_markup_are_shown_as_they_are(run: Run, people: Path, new_gallery: str) -> None:
    subject, name = "a[/b]", "[red]Yao[/i] :man:"
    yao = people / "Yao Ming" / "portrait.jpg"
    enrolled = run("enroll.py", yao, "--subject", subject, "--name", name, "--gallery", new_gallery)
    assert enrolled.returncode == 0, enrolled.stderr
    for arguments in (
        ("enroll.py", "list", "--gallery", new_gallery),
        ("enroll.py", "show", subject, "--gallery", new_gallery),
        ("identify.py", yao, "--gallery", new_gallery),
        ("enroll.py", people / "Crowd" / "squad.jpg", "--subject", subject, "--gallery", new_gallery),
    ):
        shown = run(*arguments)
        assert name in shown.stdout or subject in shown.stdout, shown.stdout + shown.stderr
        assert "Traceback" not in shown.stderr
    listed = run("enroll.py", "list", "--gallery", new_gallery).stdout
    assert name in listed
    assert subject in listed


def test_show_names_the_file_of_each_template_even_after_it_was_renamed(
    run: Run, people: Path, pictures: Pictures, new_gallery: str
) -> None:
    originals = people / "Yao Ming" / "portrait.jpg", people / "second.jpg"
    originals[1].write_bytes(pictures.yaoming + b"again")
    run("enroll.py", *originals, "--subject", "yao", "--gallery", new_gallery)
    moved = originals[0].rename(people / "Crowd" / "moved.jpg")
    originals[1].unlink()
    shown = run("enroll.py", "show", "yao", "--gallery", new_gallery, "--pictures", people)
    assert shown.returncode == 0, shown.stderr
    assert str(moved) in shown.stdout
    assert "not in --pictures" in shown.stdout
    arguments = ("enroll.py", "show", "yao", "--gallery", new_gallery, "--pictures", people, "--json")
    templates = json.loads(run(*arguments).stdout)["templates"]
    assert {each["picture_path"] for each in templates} == {str(moved), None}
    without = json.loads(run(*arguments[:5], "--json").stdout)["templates"]
    assert all("picture_path" not in each for each in without)


def test_a_template_is_forgotten_and_the_person_stays(run: Run, people: Path, new_gallery: str) -> None:
    run("enroll.py", people / "Yao Ming" / "portrait.jpg", "--subject", "yao", "--gallery", new_gallery)
    shown = json.loads(run("enroll.py", "show", "yao", "--gallery", new_gallery, "--json").stdout)
    (template,) = (each["template_id"] for each in shown["templates"])
    forget = ("enroll.py", "forget-template", "yao", template, "--gallery", new_gallery)
    assert run(*forget).returncode == 2, "nobody confirmed it"
    forgotten = run(*forget, "--yes", "--json")
    assert json.loads(forgotten.stdout) == {"subject": "yao", "forgotten": [template]}
    again = run(*forget, "--yes")
    assert again.returncode == 1
    assert again.stderr.startswith("TEMPLATE_NOT_FOUND: ")
    assert template in again.stderr
    shown = json.loads(run("enroll.py", "show", "yao", "--gallery", new_gallery, "--json").stdout)
    assert (shown["subject"]["template_count"], shown["templates"]) == ("0", [])
