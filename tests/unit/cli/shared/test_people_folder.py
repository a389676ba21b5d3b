"""Whose pictures a folder of people holds, by the names of its folders and files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facet.cli.shared import people_folder
from facet.cli.shared.people_folder import UnclearPicture


def people_in(folder: Path, *files: str) -> dict[str, list[str]]:
    """Make the files, and list those of each subject."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found: dict[str, list[str]] = {}
    for each in people_folder.read(folder).pictures:
        found.setdefault(each.subject_id, []).append(each.path.relative_to(folder).as_posix())
    return found


def unclear_in(folder: Path) -> dict[str, UnclearPicture]:
    """The pictures of a folder whose person is not clear, by name."""
    return {each.path.name: each for each in people_folder.read(folder).unclear}


def left_out_in(folder: Path) -> dict[str, str]:
    """The reasons why files and folders are left out, by their paths."""
    return {each.path.relative_to(folder).as_posix(): each.reason for each in people_folder.read(folder).left_out}


def test_a_file_is_named_after_the_person_with_an_optional_number(tmp_path: Path) -> None:
    files = ["Ann.jpg", "Ann_1.jpg", "Ann 2.jpg", "ann-03.jpeg", "Ann (4).png", "Ann_2024-05-01.webp", "Bob.JPG"]
    found = people_in(tmp_path, *files)
    assert found.keys() == {"Ann", "Bob"}
    assert sorted(found["Ann"]) == sorted(files[:-1])


@pytest.mark.parametrize("name", ["Anne-Marie", "Zoë", "姚明", "R2-D2", "E1234", "Ann Lee", "J. R. R. Tolkien"])
def test_a_name_is_kept_as_it_is(tmp_path: Path, name: str) -> None:
    assert people_in(tmp_path, f"{name}.jpg", f"{name}_2.jpg").keys() == {name}


def test_underscores_are_blanks_in_the_display_name(tmp_path: Path) -> None:
    people_in(tmp_path, "Ann_Lee_0001.jpg", "Bob_Ray/1.jpg", "Bob Ray.jpg")
    names = {each.subject_id: each.display_name for each in people_folder.read(tmp_path).pictures}
    assert names == {"Ann_Lee": "Ann Lee", "Bob_Ray": "Bob Ray"}


def test_sub_folders_and_files_can_be_mixed(tmp_path: Path) -> None:
    found = people_in(tmp_path, "Ann/1.jpg", "Ann/more/2.jpg", "ann_3.jpg", "Bob.jpg")
    assert found == {"Ann": ["Ann/1.jpg", "Ann/more/2.jpg", "ann_3.jpg"], "Bob": ["Bob.jpg"]}


def test_hidden_and_other_files_are_skipped(tmp_path: Path) -> None:
    assert people_in(
        tmp_path, "Ann.jpg", "._Ann.jpg", ".DS_Store", "Thumbs.db", "~$Ann.jpg", "notes.txt", "Bob/photo.txt"
    ) == {"Ann": ["Ann.jpg"]}
    assert left_out_in(tmp_path) == {
        "._Ann.jpg": "HIDDEN",
        ".DS_Store": "HIDDEN",
        "Thumbs.db": "HIDDEN",
        "~$Ann.jpg": "HIDDEN",
        "notes.txt": "NOT_A_PICTURE",
        "Bob/photo.txt": "NOT_A_PICTURE",
    }


def test_people_without_a_picture_are_listed(tmp_path: Path) -> None:
    """An empty folder, one of other files, and a single picture of a format that is not read; not notes and films."""
    people_in(tmp_path, "Ann.jpg", "Ann.psd", "Bob/notes.txt", "Cyd_1.psd", "readme.txt", "film.mp4", "@eaDir/x.jpg")
    (tmp_path / "Dan").mkdir()
    empty = people_folder.read(tmp_path).empty
    assert {(each.subject_id, each.path.name) for each in empty} == {
        ("Bob", "Bob"),
        ("Cyd", "Cyd_1.psd"),
        ("Dan", "Dan"),
    }


def test_everything_in_hidden_folders_is_skipped_and_hidden_pictures_are_listed(tmp_path: Path) -> None:
    hidden = [
        ".thumbs",
        "@eaDir",
        "#recycle",
        "__MACOSX",
        "Ann/.cache",
        "Ann/more/@eaDir",
        "lost+found",
        "$RECYCLE.BIN",
    ]
    files = [f"{folder}/x.jpg" for folder in hidden]
    assert people_in(tmp_path, "Ann/1.jpg", "Ann/._1.JPG", *files) == {"Ann": ["Ann/1.jpg"]}
    assert left_out_in(tmp_path) == dict.fromkeys([*hidden, "Ann/._1.JPG"], "HIDDEN")
    assert people_folder.read(tmp_path).empty == []


def test_folders_that_are_called_like_pictures_are_folders_and_links_to_folders_are_listed(tmp_path: Path) -> None:
    assert people_in(tmp_path, "Ann/1.jpg", "Ann/trip.jpg/2.jpg") == {"Ann": ["Ann/1.jpg", "Ann/trip.jpg/2.jpg"]}
    (tmp_path / "Ann" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "Bob").symlink_to(tmp_path / "Ann" / "trip.jpg", target_is_directory=True)
    assert left_out_in(tmp_path) == {"Ann/loop": "LINKED_FOLDER", "loop": "LINKED_FOLDER"}
    assert people_in(tmp_path)["Bob"] == ["Bob/2.jpg"], "a link to another folder is a person's folder"


def test_a_name_that_is_not_utf8_is_unclear(tmp_path: Path) -> None:
    folder, file = os.fsdecode(b"Z\xff"), os.fsdecode(b"Y\xe9.jpg")
    assert people_in(tmp_path, f"{folder}/1.jpg", file, "Ann.jpg") == {"Ann": ["Ann.jpg"]}
    assert {(name, each.reason) for name, each in unclear_in(tmp_path).items()} == {
        (folder, "NO_NAME"),
        (file, "NO_NAME"),
    }


def test_a_hidden_folder_is_read_if_it_is_named_itself(tmp_path: Path) -> None:
    assert people_in(tmp_path / ".people", "Ann/1.jpg") == {"Ann": ["Ann/1.jpg"]}


@pytest.mark.parametrize("name", ["_2", "IMG_0001", "DSC 17", "image-3"])
def test_a_file_that_names_nobody_is_unclear_and_the_others_are_found(tmp_path: Path, name: str) -> None:
    assert people_in(tmp_path, f"{name}.jpg", "Ann.jpg", "Bob/1.jpg") == {"Ann": ["Ann.jpg"], "Bob": ["Bob/1.jpg"]}
    (unclear,) = unclear_in(tmp_path).values()
    assert (unclear.path.stem, unclear.reason) == (name, "NO_NAME")
    assert "does not say whom it shows" in unclear.message
    assert "--subject" in unclear.message


@pytest.mark.parametrize(("name", "number"), [("44", "44"), ("0001_2", "0001"), ("2024-05-01", "2024")])
def test_a_number_is_a_person_only_as_a_folder(tmp_path: Path, name: str, number: str) -> None:
    assert people_in(tmp_path, f"{name}.jpg", "Ann.jpg") == {"Ann": ["Ann.jpg"]}
    message = unclear_in(tmp_path)[f"{name}.jpg"].message
    assert f"folder {number}/" in message
    assert f"--subject {number}" in message
    assert people_in(tmp_path, f"{number}/{name}.jpg")[number] == [f"{number}/{name}.jpg"]


@pytest.mark.parametrize(
    ("files", "clear"),
    [
        pytest.param(("obama2.jpg", "obama.jpg"), {"obama": ["obama.jpg"]}, id="a number without a separator"),
        pytest.param(("obama2.jpg", "Obama/1.jpg"), {"Obama": ["Obama/1.jpg"]}, id="the same beside a folder"),
        pytest.param(("Ann 2.jpg", "Ann 2/1.jpg"), {"Ann 2": ["Ann 2/1.jpg"]}, id="a folder with the number"),
        pytest.param(
            ("ANN.jpg", "Ann/1.jpg", "ann/1.jpg"),
            {"Ann": ["Ann/1.jpg"], "ann": ["ann/1.jpg"]},
            id="folders that differ only in case",
        ),
        pytest.param(
            ("Ann 2.jpg", "Ann 2/1.jpg", "ann.jpg"),
            {"Ann 2": ["Ann 2/1.jpg"], "ann": ["ann.jpg"]},
            id="the spelling of an unclear picture is nobody's id",
        ),
    ],
)
def test_a_file_that_may_show_either_of_two_people_is_unclear_and_the_others_are_found(
    tmp_path: Path, files: tuple[str, ...], clear: dict[str, list[str]]
) -> None:
    assert people_in(tmp_path, *files, "Zoe.jpg") == clear | {"Zoe": ["Zoe.jpg"]}
    (unclear,) = unclear_in(tmp_path).values()
    assert (unclear.path.name, unclear.reason) == (files[0], "AMBIGUOUS_NAME")
    assert "is ambiguous" in unclear.message


def test_a_link_that_leads_in_a_circle_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert people_in(tmp_path, "Ann.jpg") == {"Ann": ["Ann.jpg"]}
    assert left_out_in(tmp_path) == {"circle": "LINKED_FOLDER"}
