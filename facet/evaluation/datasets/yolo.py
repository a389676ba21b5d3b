"""Labels in the text format of YOLO: a folder with one file per picture and one line per object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from facet.evaluation.datasets.labelled import LabelledPicture, LabelledSet, labelled
from facet.evaluation.datasets.labels import LabelError, need_utf8, read_text
from facet.runtime.picture_suffixes import PICTURE_SUFFIXES
from facet.runtime.pictures import PictureError, read_header
from facet.terminal.pictures.folders import is_hidden

_NOT_LABELS = "classes.txt"
_MOST_CLASSES = 1_000_000
_SLACK = 0.01
_UNREADABLE = (640, 640)
_TRANSPOSED = 5


def read_yolo(labels: Path, images: Path, class_names: Sequence[str] | None = None) -> LabelledSet:
    """Read lines ``class cx cy w h``, relative to the upright picture.

    All pictures of the folder count, ordered by name; the labels of ``a/b.jpg`` are in ``a/b.txt``. A picture without
    a label file has no objects. A label file without a picture stands for a missing picture. All objects of a missing
    or unreadable picture count as missed; their boxes assume a picture of 640 by 640 pixels.

    Args:
        labels: the folder of the labels. ``classes.txt`` is not read.
        images: the folder of the pictures.
        class_names: ordered by class number; ``None`` to use the server's.

    Raises:
        LabelError: a file is unreadable, has a name that is not UTF-8, or has a malformed line or an unnamed class; or
            two pictures share a label file. The message says where.
    """
    pictures: dict[Path, Path] = {}
    for each in sorted(images.rglob("*")):
        if (
            each.suffix.lower() in PICTURE_SUFFIXES
            and each.is_file()
            and not any(map(is_hidden, each.relative_to(images).parts))
        ):
            need_utf8(each)
            name = each.relative_to(images)
            if (other := pictures.setdefault(name.with_suffix(".txt"), name)) != name:
                raise LabelError(labels, None, f"has one file for two pictures, {other} and {name}")
    files = {each.relative_to(labels) for each in labels.rglob("*.txt") if each.name != _NOT_LABELS}
    missing = sorted(files - pictures.keys())
    read = []
    for file, name in pictures.items():
        rows = _rows(labels / file, class_names) if file in files else []
        read.append(_labelled(name, rows, images))
    for file in missing:
        need_utf8(labels / file)
        read.append(_labelled(file, _rows(labels / file, class_names), images))
    return LabelledSet(
        tuple(read),
        None if class_names is None else tuple(class_names),
        missing=tuple(file.as_posix() for file in missing),
        unlabelled=len(pictures.keys() - files),
    )


def _rows(path: Path, class_names: Sequence[str] | None) -> list[tuple[int, list[float]]]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            rows.append(_row(path, number, line, class_names))
    return rows


def _row(path: Path, number: int, line: str, class_names: Sequence[str] | None) -> tuple[int, list[float]]:
    try:
        of_class, *place = line.split()
        chosen, values = int(of_class), [float(value) for value in place]
    except ValueError:
        chosen, values = -1, []
    good = len(values) == 4 and all(math.isfinite(value) and -_SLACK <= value <= 1 + _SLACK for value in values)
    if not 0 <= chosen < _MOST_CLASSES or not good or min(values[2:]) < 0:
        problem = f"expected an object, class cx cy w h with the last four in [0, 1], found {line.strip()[:80]!r}"
        raise LabelError(path, number, problem)
    if class_names is not None and chosen >= len(class_names):
        raise LabelError(path, number, f"class {chosen} has no name: {len(class_names)} are named")
    return chosen, values


def _labelled(name: Path, rows: Sequence[tuple[int, list[float]]], images: Path) -> LabelledPicture:
    width, height = _size(images / name) if rows and name.suffix.lower() in PICTURE_SUFFIXES else _UNREADABLE
    boxes = [
        ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        for _, (x, y, w, h) in rows
    ]
    return labelled(name.as_posix(), boxes, [chosen for chosen, _ in rows])


def _size(picture: Path) -> tuple[int, int]:
    """Width and height of the upright picture, pixels."""
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise LabelError(picture, None, f"cannot be read: {error.strerror}") from error
    try:
        header = read_header(data, max_pixels=2**62)
    except PictureError:
        return _UNREADABLE
    turned = header.orientation >= _TRANSPOSED
    return (header.height, header.width) if turned else (header.width, header.height)
