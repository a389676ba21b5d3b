"""A labelled set for detection, whatever its format: read, and cut to what is to be judged."""

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
"""Labelled faces lower than this are ignored, pixels."""


def guessed_format(labels: Path) -> Format:
    """The format of labels by their kind: a folder, JSON or text.

    Raises:
        LabelError: it is another file, or there is none.
    """
    if labels.is_dir():
        return "yolo"
    match labels.suffix.lower():
        case ".json":
            return "coco"
        case ".txt":
            return "wider"
    need_labels(labels)
    raise LabelError(labels, None, "is of a format that its name does not tell: say it with --format")


def read_set(labels: Path, format_: Format, images: Path, names: Path | None = None) -> LabelledSet:
    """Read labels, and see which of their pictures are there.

    Args:
        labels: a file, or for YOLO a folder.
        format_: what it is.
        images: the folder of the pictures.
        names: for YOLO a file of class names; see :func:`facet.evaluation.datasets.class_names.read_class_names`.

    Raises:
        LabelError: they are not what they should be, or none of their pictures is there.
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
    """Faces where the labels know no other class."""
    return "faces" if [name.lower() for name in labelled.class_names or ()] == [FACE] else "objects"


def faces_of(labelled: LabelledSet, labels: Path) -> LabelledSet:
    """The faces of a set, those lower than :data:`MIN_FACE_HEIGHT` ignored.

    Raises:
        LabelError: the labels know no class "face".
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
    """The objects of a set, all or of some classes.

    Args:
        labelled: the set.
        labels: its file.
        classes: only these, where there are any.
        known: the classes that the server finds.

    Raises:
        LabelError: the labels have no object of a class that is asked for, or the server does not know one.
    """
    chosen = labelled.restricted(classes, labels) if classes else labelled
    names = chosen.class_names or ()
    if unknown := [name for name in names if name not in known]:
        problem = f"the server does not know the class {', '.join(unknown)}; restrict with --classes to what it does"
        raise LabelError(labels, None, f"{problem}: {', '.join(known)}")
    return chosen
