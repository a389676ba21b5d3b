from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facet.evaluation.datasets.coco import read_coco
from facet.evaluation.datasets.labels import LabelError

Content = dict[str, Any]


def content() -> Content:
    return {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 3, "file_name": "b/c.jpg", "width": 9}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 18, "bbox": [10, 20, 30, 40], "area": 500, "iscrowd": 0},
            {"id": 2, "image_id": 3, "category_id": 1, "bbox": [0.5, 0, 1, 2], "iscrowd": 1},
        ],
    }


def written(folder: Path, text: str) -> Path:
    path = folder / "labels.json"
    path.write_text(text, "utf-8")
    return path


def test_pictures_keep_the_order_of_the_file_and_classes_are_ordered_by_id(tmp_path: Path) -> None:
    pictures, names = read_coco(written(tmp_path, json.dumps(content())))
    assert names == ("person", "dog")
    assert [each.image for each in pictures] == ["a.jpg", "b/c.jpg"]
    assert len(pictures[0].boxes) == 0
    second = pictures[1]
    assert second.boxes.tolist() == [[10, 20, 40, 60], [0.5, 0, 1.5, 2]]
    assert second.classes.tolist() == [1, 0]


def test_crowds_are_ignored_and_areas_come_from_the_file_if_given(tmp_path: Path) -> None:
    second = read_coco(written(tmp_path, json.dumps(content())))[0][1]
    assert second.crowds.tolist() == second.ignored.tolist() == [False, True]
    assert second.areas.tolist() == [500, 2]


def put(section: str, at: int, **values: object) -> Callable[[Content], object]:
    return lambda content: content[section][at].update(values)


def drop(section: str, at: int, name: str) -> Callable[[Content], object]:
    return lambda content: content[section][at].pop(name)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content.pop("images"), "must be a JSON object with the lists"),
        (lambda content: content.update(annotations={}), "must be a JSON object with the lists"),
        (lambda content: content["images"].append(5), "images[2]: must be an object"),
        (drop("images", 1, "file_name"), "images[1]: file_name must be a text, is missing"),
        (put("images", 1, id=7), "images[1]: id 7 or file_name 'b/c.jpg' is there a second time"),
        (put("images", 1, file_name="a.jpg"), "images[1]: id 3 or file_name 'a.jpg' is there a second time"),
        (put("images", 0, id=None), "images[0]: id must be a number, is missing"),
        (put("categories", 1, name=""), "categories[1]: name must be a text"),
        (put("categories", 1, name="dog"), "categories[1]: id 1 or name 'dog' is there a second time"),
        (put("annotations", 1, image_id=8), "annotations[1]: image_id 8 is no image's id"),
        (put("annotations", 1, category_id=2), "annotations[1]: category_id 2 is no category's id"),
        (drop("annotations", 0, "bbox"), "annotations[0]: bbox must be [x, y, width, height] in pixels, is missing"),
        (put("annotations", 0, bbox=[1, 2, 3]), "annotations[0]: bbox must be"),
        (put("annotations", 0, bbox=[1, 2, 3, "4"]), "annotations[0]: bbox must be"),
        (put("annotations", 0, bbox=[1, 2, -3, 4]), "annotations[0]: bbox must be"),
        (put("annotations", 0, bbox=[1, 2, float("nan"), 4]), "annotations[0]: bbox must be"),
        (lambda content: content.update(categories=[]), "names no categories"),
        (put("images", 1, file_name="\ud800.jpg"), "images[1]: file_name is no text"),
        (put("annotations", 0, bbox=[1, 2, 10**400, 4]), "annotations[0]: bbox must be"),
        (put("annotations", 0, bbox=[1, 2, float("inf"), 4]), "annotations[0]: bbox must be"),
        (put("annotations", 0, area=10**400), "annotations[0]: area must be square pixels"),
        (put("annotations", 0, area=-1), "annotations[0]: area must be square pixels"),
        (put("annotations", 0, iscrowd=2), "annotations[0]: iscrowd must be 0 or 1"),
    ],
)
def test_errors_name_the_file_and_the_entry(tmp_path: Path, damage: Callable[[Content], object], problem: str) -> None:
    damaged = content()
    damage(damaged)
    path = written(tmp_path, json.dumps(damaged))
    with pytest.raises(LabelError) as raised:
        read_coco(path)
    assert str(raised.value).startswith(f"{path}: {problem}")


def test_invalid_json_is_reported_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, '{\n"images": [,]}')
    with pytest.raises(LabelError, match="line 2: is not JSON"):
        read_coco(path)
    with pytest.raises(LabelError, match="is not JSON that can be read"):
        read_coco(written(tmp_path, '{"images": ' + "1" * 5000 + "}"))
    with pytest.raises(LabelError, match="must be a JSON object"):
        read_coco(written(tmp_path, "[]"))
    with pytest.raises(LabelError, match="nested too deep"):
        read_coco(written(tmp_path, "[" * 100_000))
