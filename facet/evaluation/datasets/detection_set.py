"""Read a labelled set for detection in any format, and restrict it to what is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from facet.evaluation.datasets.class_names import read_class_names
from facet.evaluation.datasets.coco import read_coco
from facet.evaluation.datasets.labelled import LabelledPicture, LabelledSet
from facet.evaluation.datasets.labels import LabelError, is_file, need_folder, need_labels
from facet.evaluation.datasets.wider import read_wider
from facet.evaluation.datasets.yolo import read_yolo

Format: TypeAlias = Literal["wider", "coco", "yolo"]
Task: TypeAlias = Literal["faces", "objects"]

FACE = "face"
MIN_FACE_HEIGHT = 20.0
"""Labelled faces below this height are ignored, pixels."""


def guessed_format(labels: Path) -> Format:
    """Guess the format from the kind of path: a folder, JSON or text.

    Raises:
        LabelError: the path does not exist, or is another kind of file.
    """
    if labels.is_dir():
        return "yolo"
    match labels.suffix.lower():
        case ".json":
            return "coco"
        case ".txt":
            return "wider"
    need_labels(labels)
    raise LabelError(labels, None, "has a name that does not tell its format: pass --format")


def read_set(labels: Path, format_: Format, images: Path, names: Path | None = None) -> LabelledSet:
    """Read labels, and check which of their pictures exist.

    Args:
        labels: a file, or for YOLO a folder.
        format_: the format.
        images: the folder of the pictures.
        names: for YOLO a file of class names; see :func:`facet.evaluation.datasets.class_names.read_class_names`.

    Raises:
        LabelError: the labels are malformed, or none of their pictures exists.
    """
    need_labels(labels)
    need_folder(images)
    if (format_ == "yolo") != labels.is_dir():
        raise LabelError(labels, None, "is a file: YOLO's labels are a folder" if format_ == "yolo" else "is a folder")
    if format_ == "yolo":
        read = read_yolo(labels, images, read_class_names(names) if names else None)
    elif format_ == "coco":
        pictures, class_names = read_coco(labels)
        read = _there(pictures, class_names, images)
    else:
        read = _there(read_wider(labels), (FACE,), images)
    there, listed = len(read.pictures) - len(read.missing), len(read.pictures) - read.unlabelled
    if not there or (read.missing and len(read.missing) == listed):
        raise LabelError(labels, None, f"lists {listed} pictures, and none of them is in {images}")
    return read


def _there(pictures: Sequence[LabelledPicture], class_names: tuple[str, ...], images: Path) -> LabelledSet:
    missing = tuple(each.image for each in pictures if not is_file(images / each.image))
    return LabelledSet(tuple(pictures), class_names, missing=missing)


def guessed_task(labelled: LabelledSet) -> Task:
    """Faces if the labels have no other class."""
    return "faces" if [name.lower() for name in labelled.class_names or ()] == [FACE] else "objects"


def faces_of(labelled: LabelledSet, labels: Path) -> LabelledSet:
    """Restrict a set to faces, and ignore those below :data:`MIN_FACE_HEIGHT`.

    Raises:
        LabelError: the labels have no class "face".
    """
    named = [name for name in labelled.class_names or () if name.lower() == FACE]
    if not named:
        known = ", ".join(labelled.class_names or ())
        raise LabelError(labels, None, f"has no class {FACE}; its classes are {known}")
    if labelled.class_names != (named[0],):
        labelled = labelled.restricted(named[:1], labels)
    pictures = tuple(
        replace(each, ignored=each.ignored | (each.heights < MIN_FACE_HEIGHT)) for each in labelled.pictures
    )
    return replace(labelled, pictures=pictures)


def objects_of(labelled: LabelledSet, labels: Path, classes: Sequence[str], known: Sequence[str]) -> LabelledSet:
    """Restrict a set to some classes of objects.

    Args:
        labelled: the set.
        labels: its file.
        classes: the classes to keep; empty for all.
        known: the classes that the server detects.

    Raises:
        LabelError: the labels have no object of a requested class, or the server does not detect one.
    """
    chosen = labelled.restricted(classes, labels) if classes else labelled
    names = chosen.class_names or ()
    if unknown := [name for name in names if name not in known]:
        problem = f"the server does not know the class {', '.join(unknown)}; restrict with --classes to what it does"
        raise LabelError(labels, None, f"{problem}: {', '.join(known)}")
    return chosen
