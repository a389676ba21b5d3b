"""Labelled pictures: the same records for all label formats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.labels import LabelError


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture and its labelled objects.

    Attributes:
        image: path of the picture as in the labels, relative to the folder of the pictures.
        boxes: xyxy pixels of the upright picture, float64 ``(n, 4)``; a box may have no area.
        classes: indices into :attr:`LabelledSet.class_names`, intp ``(n,)``.
        ignored: objects that are not judged, bool ``(n,)``: a miss is no error, and a detection on one counts neither
            way.
        crowds: ignored objects that stand for a region of many objects, bool ``(n,)``. A detection matches a crowd by
            the share of the detection inside it, not by IoU.
        areas: square pixels of the box, or of the outline if the labels have one, float64 ``(n,)``.
    """

    image: str
    boxes: NDArray[np.float64]
    classes: NDArray[np.intp]
    ignored: NDArray[np.bool_]
    crowds: NDArray[np.bool_]
    areas: NDArray[np.float64]

    @property
    def heights(self) -> NDArray[np.float64]:
        """Heights of the boxes, pixels, ``(n,)``."""
        return self.boxes[:, 3] - self.boxes[:, 1]

    def take(self, chosen: NDArray[np.bool_]) -> LabelledPicture:
        """The same picture with only the chosen objects."""
        return LabelledPicture(
            self.image,
            self.boxes[chosen],
            self.classes[chosen],
            self.ignored[chosen],
            self.crowds[chosen],
            self.areas[chosen],
        )


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A labelled set of pictures.

    Attributes:
        pictures: all listed pictures, in the order of the labels; formats that label a whole folder also include the
            unlisted ones.
        class_names: names of all classes; ``None`` if the labels only number them.
        missing: listed pictures that the folder does not contain.
        unlabelled: number of pictures without labels, which have no objects.
    """

    pictures: tuple[LabelledPicture, ...]
    class_names: tuple[str, ...] | None
    missing: tuple[str, ...] = ()
    unlabelled: int = 0

    def there(self) -> LabelledSet:
        """The set with only the pictures that exist; :attr:`missing` stays."""
        missing = set(self.missing)
        return replace(self, pictures=tuple(each for each in self.pictures if each.image not in missing))

    def named(self, class_names: Sequence[str], labels: Path) -> LabelledSet:
        """The set with names for its classes, unless it already has them.

        Raises:
            LabelError: a class number has no name.
        """
        if self.class_names is not None:
            return self
        most = max((int(each.classes.max()) for each in self.pictures if len(each.classes)), default=-1)
        if most >= len(class_names):
            problem = f"class {most} has no name: the server knows {len(class_names)} classes; name them with --names"
            raise LabelError(labels, None, problem)
        return replace(self, class_names=tuple(class_names))

    def restricted(self, names: Sequence[str], labels: Path) -> LabelledSet:
        """The set with only the objects of these classes, in this order.

        Raises:
            LabelError: the labels do not have one of the classes, or no object of it.
        """
        known = self.class_names or ()
        if unknown := [name for name in names if name not in known]:
            problem = f"has no class {', '.join(unknown)}; its classes are {', '.join(known)}"
            raise LabelError(labels, None, problem)
        places = np.full(len(known), -1, np.intp)
        for place, name in enumerate(names):
            places[known.index(name)] = place
        pictures = []
        for each in self.pictures:
            chosen = each.take(places[each.classes] >= 0)
            pictures.append(replace(chosen, classes=places[chosen.classes]))
        restricted = replace(self, pictures=tuple(pictures), class_names=tuple(names))
        if empty := restricted.empty_classes():
            raise LabelError(labels, None, f"has no object of the class {', '.join(empty)} to judge by")
        return restricted

    def empty_classes(self) -> list[str]:
        """Classes without an object that is judged."""
        names = self.class_names or ()
        counts = sum(
            (np.bincount(each.classes[~each.ignored], minlength=len(names)) for each in self.pictures),
            np.zeros(len(names), np.int64),
        )
        return [name for name, count in zip(names, counts, strict=True) if not count]


def labelled(
    image: str,
    boxes: Iterable[Sequence[float]],
    classes: Iterable[int],
    *,
    ignored: Iterable[bool] | None = None,
    crowds: Iterable[bool] | None = None,
    areas: Iterable[float | None] | None = None,
) -> LabelledPicture:
    """Build a record from plain values. Crowds are always ignored; a missing area is that of the box."""
    corners = np.array(list(boxes), np.float64).reshape(-1, 4)
    none = np.zeros(len(corners), np.bool_)
    of_crowds = none if crowds is None else np.array(list(crowds), np.bool_)
    told = np.array(list(areas), np.float64) if areas is not None else np.full(len(corners), np.nan)
    return LabelledPicture(
        image,
        corners,
        np.array(list(classes), np.intp),
        of_crowds | (none if ignored is None else np.array(list(ignored), np.bool_)),
        of_crowds,
        np.where(np.isnan(told), (corners[:, 2:] - corners[:, :2]).prod(axis=1), told),
    )
