from __future__ import annotations

import json
from pathlib import Path

import pytest

from facet.evaluation.datasets.detection_set import faces_of, guessed_format, guessed_task, objects_of, read_set
from facet.evaluation.datasets.labelled import LabelledSet, labelled
from facet.evaluation.datasets.labels import LabelError

LABELS = Path("labels")
BOX = (0.0, 0.0, 30.0, 30.0)


def two_classes() -> LabelledSet:
    return LabelledSet((labelled("a.jpg", [BOX, BOX, BOX], [1, 0, 1]),), ("Face", "dog", "cat"))


def test_the_format_is_guessed_from_the_labels_path(tmp_path: Path) -> None:
    assert guessed_format(tmp_path) == "yolo"
    assert guessed_format(Path("instances.JSON")) == "coco"
    assert guessed_format(Path("wider.txt")) == "wider"
    path = tmp_path / "labels.csv"
    path.write_text("")
    with pytest.raises(LabelError, match="pass --format"):
        guessed_format(path)


def test_missing_pictures_are_listed_and_left_out_on_request(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    path = tmp_path / "labels.txt"
    path.write_text("a.jpg\n0\nb.jpg\n0\n", "utf-8")
    read = read_set(path, "wider", tmp_path)
    assert [each.image for each in read.pictures] == ["a.jpg", "b.jpg"]
    assert [each.image for each in read.there().pictures] == ["a.jpg"]
    assert read.missing == ("b.jpg",)
    assert read.class_names == ("face",)


def test_labels_of_other_pictures_are_refused(tmp_path: Path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    (images / "a.jpg").write_bytes(b"x")
    (labels / "b.txt").write_text("", "utf-8")
    path = tmp_path / "labels.json"
    path.write_text(
        json.dumps(
            {"images": [{"id": 1, "file_name": "b.jpg"}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
        )
    )
    for given in (labels, path):
        with pytest.raises(LabelError, match="lists 1 pictures, and none of them is in"):
            read_set(given, guessed_format(given), images)


def test_missing_labels_and_folders_are_reported(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="labels: there is no such file or folder"):
        guessed_format(tmp_path / "labels")
    with pytest.raises(LabelError, match=r"labels\.txt: there is no such file or folder"):
        read_set(tmp_path / "labels.txt", "wider", tmp_path)
    path = tmp_path / "labels.txt"
    path.write_text("a.jpg\n0\n", "utf-8")
    with pytest.raises(LabelError, match="images: there is no such folder"):
        read_set(path, "wider", tmp_path / "images")
    with pytest.raises(LabelError, match=r"labels\.txt: is no folder"):
        read_set(path, "wider", path)


def test_a_name_that_no_file_can_have_counts_as_a_missing_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    path = tmp_path / "labels.txt"
    long = "b" * 300
    path.write_text(f"a.jpg\n0\n{long}.jpg\n0\n", "utf-8")
    assert read_set(path, "wider", tmp_path).missing == (f"{long}.jpg",)


def test_only_yolo_labels_are_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("")
    with pytest.raises(LabelError, match="YOLO's labels are a folder"):
        read_set(path, "yolo", tmp_path)
    with pytest.raises(LabelError, match="is a folder"):
        read_set(tmp_path, "coco", tmp_path)


def test_labels_whose_only_class_is_face_are_faces() -> None:
    assert guessed_task(LabelledSet((), ("Face",))) == "faces"
    assert guessed_task(two_classes()) == "objects"


def test_faces_are_the_objects_of_class_face_and_small_ones_are_ignored() -> None:
    low = (0.0, 0.0, 30.0, 19.9)
    picture = labelled("a.jpg", [BOX, low, BOX, BOX], [0, 0, 1, 0], ignored=[False, False, False, True])
    faces = faces_of(LabelledSet((picture,), ("Face", "dog")), LABELS)
    assert faces.class_names == ("Face",)
    assert faces.pictures[0].ignored.tolist() == [False, True, True]
    with pytest.raises(LabelError, match="has no class face; its classes are dog"):
        faces_of(LabelledSet((), ("dog",)), LABELS)


def test_objects_can_be_restricted_to_classes_in_the_requested_order() -> None:
    chosen = objects_of(two_classes(), LABELS, ["dog", "Face"], ["dog", "Face"])
    assert chosen.class_names == ("dog", "Face")
    assert chosen.pictures[0].classes.tolist() == [0, 1, 0]


def test_unknown_and_empty_classes_are_refused() -> None:
    with pytest.raises(LabelError, match="has no class unicorn; its classes are Face, dog, cat"):
        objects_of(two_classes(), LABELS, ["unicorn"], ["dog"])
    with pytest.raises(LabelError, match="has no object of the class cat to judge by"):
        objects_of(two_classes(), LABELS, ["dog", "cat"], ["dog", "cat"])
    with pytest.raises(LabelError, match="the server does not know the class Face, cat; restrict with --classes"):
        objects_of(two_classes(), LABELS, [], ["dog"])
