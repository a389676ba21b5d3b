from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol_folders import read_folders

Tree = Callable[..., tuple[Path, Path]]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    def made(*files: str) -> tuple[Path, Path]:
        gallery, probes = tmp_path / "train", tmp_path / "test"
        gallery.mkdir()
        probes.mkdir()
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return gallery, probes

    return made


def test_a_probe_folder_without_a_gallery_folder_is_a_stranger(tree: Tree, tmp_path: Path) -> None:
    folders = tree(
        "train/bo/b.PNG", "train/ann/2.jpg", "train/ann/1.jpg", "train/ann/old/3.jpg", "train/.DS_Store",
        "test/ann/9.jpg", "test/cy/1.webp", "test/cy/2.jpeg",
    )  # fmt: skip
    protocol = read_folders(*folders)
    assert [(entry.subject, entry.image) for entry in protocol.gallery] == [
        ("ann", "gallery/ann/1.jpg"),
        ("ann", "gallery/ann/2.jpg"),
        ("ann", "gallery/ann/old/3.jpg"),
        ("bo", "gallery/bo/b.PNG"),
    ]
    assert [(entry.role, entry.subject, entry.image) for entry in protocol.probes] == [
        ("mated", "ann", "probes/ann/9.jpg"),
        ("nonmated", "cy", "probes/cy/1.webp"),
        ("nonmated", "cy", "probes/cy/2.jpeg"),
    ]
    assert [entry.path for entry in protocol.gallery[:1]] == [tmp_path / "train/ann/1.jpg"]
    assert [entry.path for entry in protocol.probes[:1]] == [tmp_path / "test/ann/9.jpg"]


def test_a_probe_outside_folders_belongs_to_the_subject_it_is_named_after(tree: Tree) -> None:
    loose = ("ann.jpg", "ann1.jpg", "ann_0002.jpg", "ann-3.jpg", "ann 4.jpg")
    protocol = read_folders(*tree("train/ann/1.jpg", *(f"test/{name}" for name in loose)))
    assert {(entry.role, entry.subject) for entry in protocol.probes} == {("mated", "ann")}
    assert len(protocol.probes) == len(loose)


def test_names_are_normalised_as_by_the_server(tree: Tree) -> None:
    protocol = read_folders(*tree("train/Jose\u0301/1.jpg", "test/Jos\u00e9/1.jpg", "test/Jos\u00e9_2.jpg"))
    assert {entry.subject for entry in (*protocol.gallery, *protocol.probes)} == {"Jos\u00e9"}
    assert {entry.role for entry in protocol.probes} == {"mated"}


@pytest.mark.parametrize(
    ("files", "named", "problem"),
    [
        (["train/a/1.jpg", "test/ann_and_bo.jpg"], "test/ann_and_bo.jpg", "is called after no subject"),
        (["train/a/1.jpg", "train/a1/1.jpg", "test/a1.jpg"], "test/a1.jpg", "may be of a or a1"),
        (["train/1.jpg", "test/a/1.jpg"], "train/1.jpg", "lies in no subject's folder: expected train/NAME"),
        (["train/a/1.jpg", "train/a/notes.txt", "test/a/1.jpg"], "train/a/notes.txt", "is no picture"),
        (["train/a/1.jpg", "test/labels.csv"], "test/labels.csv", "is no picture"),
        (["train/a/1.jpg", "train/b/.hidden", "test/a/1.jpg"], "train/b", "there are no pictures in it"),
        (["test/a/1.jpg"], "train", "there are no pictures in it"),
        (["train/a/1.jpg"], "test", "there are no pictures in it"),
    ],
)
def test_ambiguous_and_missing_entries_are_reported_with_their_path(
    tree: Tree, tmp_path: Path, files: list[str], named: str, problem: str
) -> None:
    with pytest.raises(LabelError) as raised:
        read_folders(*tree(*files))
    assert str(raised.value).startswith(f"{tmp_path / named}: {problem}")


def test_nested_folders_are_refused(tree: Tree, tmp_path: Path) -> None:
    gallery, _ = tree("train/a/1.jpg")
    for probes in (gallery, gallery / "a", tmp_path):
        with pytest.raises(LabelError, match="lie in each other"):
            read_folders(gallery, probes)


def test_a_name_that_is_not_utf_8_is_refused(tree: Tree) -> None:
    with pytest.raises(LabelError, match="has a name that is not UTF-8"):
        read_folders(*tree("train/a/1.jpg", os.fsdecode(b"test/b\xff/1.jpg")))
