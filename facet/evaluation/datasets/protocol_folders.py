"""Open-set identification protocols as folders: one folder per subject, for the gallery and for the probes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from facet.evaluation.datasets.labels import LabelError, need_utf8
from facet.evaluation.datasets.protocol import Entry, Protocol, Role
from facet.runtime.picture_suffixes import PICTURE_SUFFIXES
from facet.terminal.pictures.folders import is_hidden

_NUMBER = re.compile(r"[ _.-]*\d+$")


def read_folders(gallery: Path, probes: Path) -> Protocol:
    """Read a protocol from two folders.

    ``gallery/NAME/...`` are pictures of the subject NAME, enrolled in the order of their paths. ``probes/NAME/...`` are
    probes: mated if the gallery has a folder NAME, otherwise nonmated. A picture directly in ``probes`` belongs to the
    subject it is named after, by its whole name or by the part before a number: ``obama.jpg``, ``obama1.jpg`` and
    ``obama_0001.jpg`` belong to ``gallery/obama``. A picture named after nobody in the gallery is refused, because a
    file name cannot say that somebody is a stranger: it belongs into a folder. A picture named after two subjects is
    refused, too. Hidden files are skipped; other files that are not pictures are refused. Pictures are called
    ``gallery/NAME/...`` and ``probes/...``, wherever the folders are.

    Args:
        gallery: the folder of the gallery.
        probes: the folder of the probes.

    Raises:
        LabelError: a folder has no picture, a picture has no clear subject, a file is not a picture or has a name that
            is not UTF-8, or one of the two folders contains the other; the message names the path.
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
    """Read the gallery pictures of a folder with one folder per subject, in the order of their paths.

    Raises:
        LabelError: see :func:`read_folders`.
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
    """All pictures in a folder and its subfolders, in the order of their paths."""
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
        found = sorted(path for path in folder.iterdir() if not is_hidden(path.name))
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
