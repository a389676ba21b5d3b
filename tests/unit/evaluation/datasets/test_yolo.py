from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.evaluation.datasets.class_names import read_class_names
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.yolo import read_yolo

NAMES = ("person", "dog")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name in ("a.jpg", "deeper/b.png", "empty.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((100, 200, 3), np.uint8))
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "labels"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.txt").write_text("1 0.5 0.5 0.1 0.2\n\n0 0.05 0.1 0.1 0.2\n", "utf-8")
    (folder / "deeper" / "b.txt").write_text("", "utf-8")
    return folder


def test_relative_boxes_become_corners_in_pixels(labels: Path, images: Path) -> None:
    read = read_yolo(labels, images, NAMES)
    first = read.pictures[0]
    assert first.image == "a.jpg"
    assert first.boxes == pytest.approx(np.array([[90, 40, 110, 60], [0, 0, 20, 20]]))
    assert first.classes.tolist() == [1, 0]
    assert first.areas == pytest.approx([400, 400])
    assert not first.ignored.any()


def test_unlabelled_and_missing_pictures_count(labels: Path, images: Path) -> None:
    (labels / "gone.txt").write_text("0 0.5 0.5 0.1 0.1", "utf-8")
    (labels / "classes.txt").write_text("person\ndog\n", "utf-8")
    (images / "notes.md").write_text("no picture", "utf-8")
    read = read_yolo(labels, images, NAMES)
    assert [each.image for each in read.pictures] == ["a.jpg", "deeper/b.png", "empty.jpg", "gone.txt"]
    assert [len(each.boxes) for each in read.pictures] == [2, 0, 0, 1]
    assert read.missing == ("gone.txt",)
    assert read.unlabelled == 1


def test_a_name_that_is_not_utf_8_is_refused(labels: Path, images: Path) -> None:
    (images / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    with pytest.raises(LabelError, match="has a name that is not UTF-8"):
        read_yolo(labels, images, NAMES)


def test_boxes_of_a_rotated_picture_are_relative_to_the_upright_one(labels: Path, images: Path) -> None:
    plain = (images / "a.jpg").read_bytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    (images / "a.jpg").write_bytes(plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + plain[2:])
    assert read_yolo(labels, images, NAMES).pictures[0].boxes[0] == pytest.approx([45, 80, 55, 120])


def test_an_unreadable_picture_keeps_its_objects(labels: Path, images: Path) -> None:
    (images / "a.jpg").write_bytes(b"broken")
    assert len(read_yolo(labels, images, NAMES).pictures[0].boxes) == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("0 0.5 0.5 0.1", "expected an object, class cx cy w h with the last four in [0, 1], found '0 0.5 0.5 0.1'"),
        ("0 0.5 0.5 0.1 0.1 0.2", "expected an object"),
        ("person 0.5 0.5 0.1 0.1", "expected an object"),
        ("-1 0.5 0.5 0.1 0.1", "expected an object"),
        ("0 0.5 0.5 0.1 nan", "expected an object"),
        ("0 50 50 10 10", "expected an object"),
        ("0 0.5 0.5 -0.001 0.1", "expected an object"),
        ("9" * 20 + " 0.5 0.5 0.1 0.1", "expected an object, class cx cy w h"),
        ("2 0.5 0.5 0.1 0.1", "class 2 has no name: 2 are named"),
    ],
)
def test_errors_name_the_file_and_the_line(labels: Path, images: Path, line: str, problem: str) -> None:
    path = labels / "a.txt"
    path.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n", "utf-8")
    with pytest.raises(LabelError) as raised:
        read_yolo(labels, images, NAMES)
    assert f"{path}, line 2: {problem}" in str(raised.value)


def test_two_pictures_with_one_name_are_refused(labels: Path, images: Path) -> None:
    (images / "a.png").write_bytes((images / "a.jpg").read_bytes())
    with pytest.raises(LabelError, match=r"one file for two pictures, a\.jpg and a\.png"):
        read_yolo(labels, images, NAMES)


def test_class_numbers_without_names_get_the_servers_names(labels: Path, images: Path) -> None:
    read = read_yolo(labels, images)
    assert read.class_names is None
    assert read.named(("cat", "bird", "horse"), labels).class_names == ("cat", "bird", "horse")
    with pytest.raises(LabelError, match="class 1 has no name: the server knows 1 classes; name them with --names"):
        read.named(("cat",), labels)


@pytest.mark.parametrize(
    "text",
    [
        "names: ['person', \"hot dog\"]  # two\nnc: 2\n",
        "train: images\nnames: [person,\n  hot dog]\n",
        "nc: 2\nnames:\n  0: person\n  1: hot dog  # a class\n\ntest: x\n",
        "names:\n- person\n- 'hot dog'\n",
        "names: {0: person, 1: hot dog}\n",
        "path: .\nnames:\n  # all of them\n    0: 'person'\n    1: \"hot dog\"\n",
    ],
)
def test_names_are_read_from_yaml_lists_and_mappings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(text, "utf-8")
    assert read_class_names(path) == ("person", "hot dog")


def test_names_are_read_from_a_plain_list(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("person\nhot dog\n\n", "utf-8")
    assert read_class_names(path) == ("person", "hot dog")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("train: x\n", ": has no 'names:'"),
        ("names:\n  1: person\n", ", line 2: expected the name of class 0, found '1: person'"),
        ("names:\n  " + "1" * 5000 + ": person\n", ", line 2: expected the name of class 0"),
        ("names:\n  0: person\n  0: dog\n", ", line 3: expected the name of class 1"),
        ("names: [a, {b]\n", ", line 1: expected the name of class 1"),
        ("names: []\n", ": names no classes"),
        ("names: [a, b, a]\n", ": names a twice"),
    ],
)
def test_malformed_class_names_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(LabelError) as raised:
        read_class_names(path)
    assert str(raised.value).startswith(f"{path}{problem}")
