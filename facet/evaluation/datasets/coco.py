"""Labels in the JSON format of COCO (Lin et al., ECCV 2014): images, annotations, categories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facet.evaluation.datasets.labelled import LabelledPicture, labelled
from facet.evaluation.datasets.labels import MOST_PIXELS, LabelError, read_text

_SECTIONS = ("images", "annotations", "categories")
_SHOWN = 60


def read_coco(path: Path) -> tuple[list[LabelledPicture], tuple[str, ...]]:
    """Read the pictures in the order of the file, and the names of the categories by rising id.

    ``file_name`` identifies a picture. An ``iscrowd`` annotation is a region of many objects and is ignored. ``area``
    is the area of the object's outline and decides whether the object is small, medium or large.

    Raises:
        LabelError: the file is not JSON, lacks a section, or has a malformed entry; the message says which.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise LabelError(path, error.lineno, f"is not JSON: {error.msg}") from error
    except ValueError as error:
        raise LabelError(path, None, f"is not JSON that can be read: {error}") from error
    except RecursionError as error:
        raise LabelError(path, None, "is not JSON that can be read: it is nested too deep") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in _SECTIONS):
        raise LabelError(path, None, f"must be a JSON object with the lists {', '.join(_SECTIONS)}")
    names, classes = _categories(path, content)
    images = _images(path, content)
    found: dict[Any, list[dict[str, Any]]] = {key: [] for key in images}
    for at, entry in _entries(path, content, "annotations"):
        where = f"annotations[{at}]"
        if _key(path, where, entry, "image_id") not in images:
            raise LabelError(path, None, f"{where}: image_id {entry['image_id']!r} is no image's id")
        if _key(path, where, entry, "category_id") not in classes:
            raise LabelError(path, None, f"{where}: category_id {entry['category_id']!r} is no category's id")
        _check(path, where, entry)
        found[entry["image_id"]].append(entry)
    return [_labelled(image, found[key], classes) for key, image in images.items()], names


def _categories(path: Path, content: dict[str, Any]) -> tuple[tuple[str, ...], dict[Any, int]]:
    by_id: dict[Any, str] = {}
    for at, entry in _entries(path, content, "categories"):
        where = f"categories[{at}]"
        key, name = _key(path, where, entry, "id"), _text(path, where, entry, "name")
        if key in by_id or name in by_id.values():
            raise LabelError(path, None, f"{where}: id {key!r} or name {name!r} is there a second time")
        by_id[key] = name
    if not by_id:
        raise LabelError(path, None, "names no categories")
    order = sorted(by_id, key=lambda key: (isinstance(key, str), key))
    return tuple(by_id[key] for key in order), {key: place for place, key in enumerate(order)}


def _images(path: Path, content: dict[str, Any]) -> dict[Any, str]:
    by_id: dict[Any, str] = {}
    names: set[str] = set()
    for at, entry in _entries(path, content, "images"):
        where = f"images[{at}]"
        key, name = _key(path, where, entry, "id"), _text(path, where, entry, "file_name")
        if key in by_id or name in names:
            raise LabelError(path, None, f"{where}: id {key!r} or file_name {name!r} is there a second time")
        by_id[key] = name
        names.add(name)
    return by_id


def _entries(path: Path, content: dict[str, Any], section: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for at, entry in enumerate(content[section]):
        if not isinstance(entry, dict):
            raise LabelError(path, None, f"{section}[{at}]: must be an object, is {_told(entry)}")
        yield at, entry


def _key(path: Path, where: str, entry: dict[str, Any], name: str) -> int | str:
    value = entry.get(name)
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    raise LabelError(path, None, f"{where}: {name} must be a number, is {_told(value)}")


def _text(path: Path, where: str, entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    if isinstance(value, str) and value.strip():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise LabelError(path, None, f"{where}: {name} is no text: {_told(value)}") from error
        return value
    raise LabelError(path, None, f"{where}: {name} must be a text, is {_told(value)}")


def _check(path: Path, where: str, entry: dict[str, Any]) -> None:
    """Check the box, area and crowd flag of an annotation."""
    box, area, crowd = entry.get("bbox"), entry.get("area", 0), entry.get("iscrowd", 0)
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_pixels, box)) or min(box[2:]) < 0:
        raise LabelError(path, None, f"{where}: bbox must be [x, y, width, height] in pixels, is {_told(box)}")
    if not _is_number(area) or not 0 <= area <= MOST_PIXELS**2:
        raise LabelError(path, None, f"{where}: area must be square pixels, is {_told(area)}")
    if crowd not in (0, 1):
        raise LabelError(path, None, f"{where}: iscrowd must be 0 or 1, is {_told(crowd)}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_pixels(value: Any) -> bool:
    return _is_number(value) and abs(value) <= MOST_PIXELS


def _told(value: object) -> str:
    return "missing" if value is None else repr(value)[:_SHOWN]


def _labelled(image: str, entries: list[dict[str, Any]], classes: dict[Any, int]) -> LabelledPicture:
    boxes = [(x, y, x + width, y + height) for x, y, width, height in (entry["bbox"] for entry in entries)]
    return labelled(
        image,
        boxes,
        [classes[entry["category_id"]] for entry in entries],
        crowds=[bool(entry.get("iscrowd", 0)) for entry in entries],
        areas=[entry.get("area") for entry in entries],
    )
