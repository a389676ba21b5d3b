"""Open-set identification protocols by folders: a folder a subject, to be enrolled and to be looked for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from facet.evaluation.datasets.labels import LabelError, need_utf8
from facet.evaluation.datasets.protocol import Entry, Protocol, Role

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

_NUMBER = re.compile(r"[ _.-]*\d+$")


def read_folders(gallery: Path, probes: Path) -> Protocol:
    """Read a protocol that folders tell.

    ``gallery/NAME/...`` are pictures of the subject NAME, to be enrolled in the order of their paths.
    ``probes/NAME/...`` are pictures to look for: mated where the gallery has a folder NAME, non-mated where it has
    none. A picture that lies in ``probes`` itself is of the subject that it is called after, by its whole name or by
    what stands before a number: ``obama.jpg``, ``obama1.jpg`` and ``obama_0001.jpg`` of ``gallery/obama``. One that is
    called after nobody in the gallery is refused, for its name does not tell whether it is a stranger: it belongs in a
    folder. So is one that is called after two. Hidden files are passed over; any other file that is no picture is
    refused. Pictures are called ``gallery/NAME/...`` and ``probes/...``, wherever the folders are.

    Args:
        gallery: the folder of those to be enrolled.
        probes: the folder of the probes.

    Raises:
        LabelError: a folder has no picture, a picture's subject is not told, a file is none or has a name that is not
            UTF-8, or one of the two folders lies in the other: the message names the path.
    """
    enrolled, looked_for = gallery.resolve(), probes.resolve()
    if enrolled.is_relative_to(looked_for) or looked_for.is_relative_to(enrolled):
        raise LabelError(probes, None, f"the probes and the gallery {gallery} lie in each other")
    entries = read_gallery(gallery)
    subjects = {entry.subject for entry in entries}
    looked: list[Entry] = []
    for path in _visible(probes):
        subject = _normal(path.name) if path.is_dir() else _called_after(path, subjects)
        pictures = _pictures(path) if path.is_dir() else [path]
        role: Role = "mated" if subject in subjects else "nonmated"
        looked += [Entry(role, subject, _name("probes", picture, probes), picture) for picture in pictures]
    if not looked:
        raise LabelError(probes, None, "there are no pictures in it")
    return Protocol(entries, tuple(looked))


def read_gallery(gallery: Path) -> tuple[Entry, ...]:
    """The pictures to be enrolled of a folder with a folder a subject, in the order of their paths.

    Raises:
        LabelError: as :func:`read_folders`.
    """
    entries: list[Entry] = []
    for path in _visible(gallery):
        if not path.is_dir():
            raise LabelError(path, None, f"lies in no subject's folder: expected {gallery.name}/NAME/picture.jpg")
        subject = _normal(path.name)
        entries += [
            Entry("gallery", subject, _name("gallery", picture, gallery), picture) for picture in _pictures(path)
        ]
    if not entries:
        raise LabelError(gallery, None, "there are no pictures in it")
    return tuple(entries)


def _called_after(path: Path, subjects: set[str]) -> str:
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise LabelError(path, None, _no_picture())
    names = {_normal(path.stem), _normal(_NUMBER.sub("", path.stem))} & subjects
    if len(names) > 1:
        raise LabelError(path, None, f"may be of {' or '.join(sorted(names))}: put it in a folder of that name")
    if not names:
        raise LabelError(path, None, "is called after no subject of the gallery: put it in a folder of its subject")
    return names.pop()


def _pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, in the order of their paths."""
    found = list(_below(folder))
    if not found:
        raise LabelError(folder, None, "there are no pictures in it")
    return found


def _below(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if path.is_dir():
            yield from _below(path)
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            yield path
        else:
            raise LabelError(path, None, _no_picture())


def _visible(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise LabelError(folder, None, f"cannot be read: {error.strerror}") from error
    for path in found:
        need_utf8(path)
    return found


def _no_picture() -> str:
    return f"is no picture ({', '.join(sorted(PICTURE_SUFFIXES))})"


def _name(role: str, picture: Path, folder: Path) -> str:
    return f"{role}/{picture.relative_to(folder).as_posix()}"


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)
