"""Labels in the text format of WIDER FACE (Yang et al., CVPR 2016): path of a picture, count, one line per face."""

from __future__ import annotations

from pathlib import Path

from facet.evaluation.datasets.labelled import LabelledPicture, labelled
from facet.evaluation.datasets.labels import MOST_PIXELS, LabelError, read_text

_VALUES = 10
_INVALID = 7


def read_wider(path: Path) -> list[LabelledPicture]:
    """Read labels in the official format, in the order of the file.

    A face is ``x y w h blur expression illumination invalid occlusion pose``; invalid faces are ignored. A count of 0
    is followed by one line of zeros, as in the official files, or by none.

    Raises:
        LabelError: a line is malformed, or a picture is listed twice; the message says where.
    """
    lines = read_text(path).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    pictures: dict[str, LabelledPicture] = {}
    at = 0
    while at < len(lines):
        image, named = lines[at].strip(), at + 1
        if not image or _numbers(image) is not None:
            raise LabelError(path, named, f"expected the path of a picture, found {image!r}")
        if image in pictures:
            raise LabelError(path, named, f"{image} is listed a second time")
        count = _numbers(lines[at + 1]) if at + 1 < len(lines) else None
        if count is None or len(count) != 1 or count[0] < 0:
            raise LabelError(path, named + 1, f"expected the number of faces in {image}")
        at += 2
        rows = [_face(path, lines, at + i) for i in range(count[0])]
        at += len(rows)
        if not rows and at < len(lines) and _numbers(lines[at]) == [0] * _VALUES:
            at += 1
        pictures[image] = _labelled(image, rows)
    return list(pictures.values())


def _face(path: Path, lines: list[str], at: int) -> list[int]:
    values = _numbers(lines[at]) if at < len(lines) else None
    if values is None or len(values) != _VALUES or min(values[2:4]) < 0 or max(map(abs, values)) > MOST_PIXELS:
        found = repr(lines[at].strip()) if at < len(lines) else "the end of the file"
        raise LabelError(
            path,
            at + 1,
            f"expected a face, x y w h blur expression illumination invalid occlusion pose, found {found}",
        )
    return values


def _numbers(line: str) -> list[int] | None:
    """The integers of a line; ``None`` if it contains anything else."""
    try:
        return [int(value) for value in line.split()] or None
    except ValueError:
        return None


def _labelled(image: str, rows: list[list[int]]) -> LabelledPicture:
    boxes = [(x, y, x + width, y + height) for x, y, width, height, *_ in rows]
    return labelled(image, boxes, [0] * len(rows), ignored=[row[_INVALID] != 0 for row in rows])
