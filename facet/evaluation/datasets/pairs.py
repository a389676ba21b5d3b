"""Mated and nonmated pairs of pictures: CSV files, and the text format of LFW."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facet.evaluation.datasets.labels import LabelError, is_file, need_folder, need_picture, read_text

FOLDS = 10
"""Number of folds if the file does not name any, as in LFW."""

_COLUMNS = ("image_a", "image_b", "same")
_SAME = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_LFW_HEADER = re.compile(r"\s*\d{1,9}(\s+\d{1,9})?\s*")
_LFW_NUMBER = re.compile(r"\d{1,9}")
_LFW_SUFFIXES = (".jpg", ".png", ".jpeg", ".bmp", ".webp")

IdentitySource = Literal["columns", "folders", "pairs"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Labelled pairs, in the order of their file.

    Attributes:
        images: the distinct pictures, as in the file, in the order of first use.
        subjects: the person in each picture.
        identified_by: where the subjects come from: columns of the file, the folders of the pictures, or the pairs
            themselves, in which case pictures connected by a chain of mated pairs are one person.
        a: first picture of each pair, the reference: index into ``images``, shape ``(n,)``.
        b: second picture of each pair, the probe.
        same: whether the pair is mated.
        folds: fold of each pair, from 0.
    """

    images: tuple[str, ...]
    subjects: tuple[str, ...]
    identified_by: IdentitySource
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    same: NDArray[np.bool_]
    folds: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.same)


@dataclass(frozen=True, slots=True)
class _Line:
    """One pair as in its file; subjects and fold are empty if the file does not have them."""

    number: int
    image_a: str
    image_b: str
    same: bool
    subject_a: str = ""
    subject_b: str = ""
    fold: str = ""


def read_pairs(path: Path, images: Path) -> Pairs:
    """Read pairs.

    A CSV file has the columns image_a, image_b and same (1 or 0), and optionally fold, or subject_a and subject_b. In
    LFW's format (Huang et al. 2007) the first line has the number of folds and the number of pairs of each kind per
    fold, or only the latter; ``name n1 n2`` is a mated pair, ``name1 n1 name2 n2`` a nonmated one.

    Without subjects in the file, the folder of a picture names its subject; if folders contradict the pairs, mated
    pairs connect pictures of one person. Without folds there are ten, each with a run of the mated and a run of the
    nonmated pairs.

    Args:
        path: the file.
        images: the folder of the pictures.

    Raises:
        LabelError: the file is unreadable or has neither format, a column or field is missing or wrong, a picture does
            not exist, a subject contradicts a pair, or one of the two kinds of pairs is missing.
    """
    text = read_text(path)
    need_folder(images)
    first = next((line for line in text.splitlines() if line.strip()), "")
    lines = list(_lfw(path, text, images) if _LFW_HEADER.fullmatch(first) else _csv(path, text))
    same = np.array([line.same for line in lines], np.bool_)
    places: dict[str, int] = {}
    for line in lines:
        for image in (line.image_a, line.image_b):
            if image not in places:
                need_picture(path, line.number, images / image)
                places[image] = len(places)
    for kind, there in (("of one person (same is 1)", same.any()), ("of two people (same is 0)", (~same).any())):
        if not there:
            raise LabelError(path, None, f"has no pair {kind}")
    a = np.array([places[line.image_a] for line in lines], np.intp)
    b = np.array([places[line.image_b] for line in lines], np.intp)
    subjects, identified_by = _subjects(path, lines, tuple(places), a, b, same)
    return Pairs(tuple(places), subjects, identified_by, a, b, same, _folds(path, lines, same))


def _csv(path: Path, text: str) -> Iterator[_Line]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = rows.fieldnames or ()
        if missing := [name for name in _COLUMNS if name not in columns]:
            raise LabelError(path, 1, f"has no column {', '.join(missing)}; image_a, image_b and same are needed")
        optional = [name for name in ("subject_a", "subject_b", "fold") if name in columns]
        if len({"subject_a", "subject_b"}.intersection(optional)) == 1:
            raise LabelError(path, 1, "has one of the columns subject_a and subject_b; both are needed, or none")
        for row in rows:
            values = {name: (row[name] or "").strip() for name in (*_COLUMNS, *optional)}
            for name, value in values.items():
                if not value:
                    raise LabelError(path, rows.line_num, f"{name} is empty")
            same = _SAME.get(values.pop("same").lower())
            if same is None:
                raise LabelError(path, rows.line_num, f"same is {row['same']!r}; it must be 1 or 0")
            yield _Line(rows.line_num, same=same, **values)
    except csv.Error as error:
        raise LabelError(path, rows.line_num, f"is not CSV: {error}") from error


def _lfw(path: Path, text: str, images: Path) -> Iterator[_Line]:
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    header = [int(value) for value in lines[0][1]]
    folds, of_each = (1, header[0]) if len(header) == 1 else (header[0], header[1])
    expected = 2 * folds * of_each
    if expected != len(lines) - 1:
        least = min(expected, len(lines) - 1)
        number = lines[least + 1][0] if least + 1 < len(lines) else lines[-1][0] + 1
        raise LabelError(path, number, f"expected {expected} pairs, as the first line says; found {len(lines) - 1}")
    wanted = [(fold, same) for fold in range(folds) for same in (True, False) for _ in range(of_each)]
    for (number, words), (fold, same) in zip(lines[1:], wanted, strict=True):
        if len(words) != (3 if same else 4) or not all(map(_LFW_NUMBER.fullmatch, (words[1], words[-1]))):
            form = "name n1 n2, two pictures of one person" if same else "name1 n1 name2 n2, pictures of two people"
            raise LabelError(path, number, f"expected {form}; found {' '.join(words)!r}")
        first, second = (words[0], words[1]), (words[0 if same else 2], words[-1])
        image_a, image_b = (_lfw_picture(path, number, images, *each) for each in (first, second))
        yield _Line(number, image_a, image_b, same, first[0], second[0], str(fold) if folds > 1 else "")


def _lfw_picture(path: Path, line: int, images: Path, name: str, number: str) -> str:
    stem = f"{name}/{name}_{int(number):04d}"
    for suffix in _LFW_SUFFIXES:
        if is_file(images / f"{stem}{suffix}"):
            return f"{stem}{suffix}"
    raise LabelError(path, line, f"there is no picture {images / stem}.jpg")


def _subjects(
    path: Path,
    lines: Iterable[_Line],
    images: tuple[str, ...],
    a: NDArray[np.intp],
    b: NDArray[np.intp],
    same: NDArray[np.bool_],
) -> tuple[tuple[str, ...], IdentitySource]:
    """The subject of each picture, and where that comes from."""
    named: dict[str, str] = {}
    for line in lines:
        if not line.subject_a:
            break
        for image, subject in ((line.image_a, line.subject_a), (line.image_b, line.subject_b)):
            if named.setdefault(image, subject) != subject:
                raise LabelError(path, line.number, f"{image} is of {subject!r} here, and of {named[image]!r} before")
        if line.same != (line.subject_a == line.subject_b):
            people = f"{line.subject_a!r} and {line.subject_b!r}"
            raise LabelError(path, line.number, f"same is {line.same:d}, but the pictures are of {people}")
    if named:
        return tuple(named[image] for image in images), "columns"
    folders = np.array([str(PurePosixPath(image).parent) for image in images])
    if bool(((folders[a] == folders[b]) == same).all()):
        return tuple(folders.tolist()), "folders"
    return _chained(images, a[same], b[same]), "pairs"


def _chained(images: tuple[str, ...], a: NDArray[np.intp], b: NDArray[np.intp]) -> tuple[str, ...]:
    """Union-find over mated pairs: each picture's subject is the first picture of its component."""
    heads = list(range(len(images)))

    def head(at: int) -> int:
        while heads[at] != at:
            heads[at] = heads[heads[at]]
            at = heads[at]
        return at

    for one, other in zip(a.tolist(), b.tolist(), strict=True):
        first, second = sorted((head(one), head(other)))
        heads[second] = first
    return tuple(images[head(at)] for at in range(len(images)))


def _folds(path: Path, lines: list[_Line], same: NDArray[np.bool_]) -> NDArray[np.intp]:
    if lines[0].fold:
        places = {name: place for place, name in enumerate(dict.fromkeys(line.fold for line in lines))}
        if len(places) == 1:
            raise LabelError(path, None, "has one fold; a threshold chosen on the others needs at least two")
        return np.array([places[line.fold] for line in lines], np.intp)
    folds = np.empty(len(lines), np.intp)
    for kind in (same, ~same):
        folds[kind] = np.arange(kind.sum()) * FOLDS // kind.sum()
    return folds
