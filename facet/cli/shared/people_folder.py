"""A folder of people: a sub-folder per person, pictures named after people, or both."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from facet.terminal.picture_files import PICTURE_SUFFIXES, find_pictures

_NUMBER = re.compile(r"(?:[ _-]+\d+|[ _-]*\(\d+\))+$")
"""The number of a picture, after a separator: "_1", " 2", "-03", " (4)", "_2024-05-01"."""
_ATTACHED_NUMBER = re.compile(r"(?<=[^\d _-])\d+$")
_CAMERA = re.compile(r"img|dsc[fn]?|pxl|mvi|image|photo|picture|scan|screenshot|frame", re.IGNORECASE)
"""What cameras and programs call pictures."""


class AmbiguousFolder(ValueError):
    """It is not clear who is in a picture; the message names the file and a remedy."""


@dataclass(frozen=True, slots=True)
class PersonPicture:
    """A picture and the person in it.

    Attributes:
        path: the picture's file.
        subject_id: the subject's id.
        display_name: the subject's name for people.
    """

    path: Path
    subject_id: str
    display_name: str


def read(folder: Path) -> list[PersonPicture]:
    """Find the pictures of a folder of people.

    In ``folder/NAME/.../picture.jpg`` the sub-folder's name is the subject's id and display name. In
    ``folder/NAME.jpg`` the file's name is, without its suffix and without a number after a blank, ``_`` or ``-``:
    ``Ann.jpg``, ``Ann_1.jpg``, ``Ann 2.jpg`` and ``ann-03.jpeg`` show one person. Names that differ only in case, or
    in ``_`` for a blank, are the same person: the id is the sub-folder's name if there is one, else the first spelling
    in sorted order. Hidden files are skipped.

    Raises:
        AmbiguousFolder: a file's name does not say who is in the picture, or may mean two people.
        OSError: the folder cannot be read.
    """
    entries = sorted(folder.iterdir())
    folders = {path.name: path for path in entries if path.is_dir()}
    names = {path: _name_of(path) for path in entries if _is_loose_picture(path)}
    ids = _ids(list(folders), names)
    found = [PersonPicture(path, name, name) for name, person in folders.items() for path in find_pictures([person])]
    for path, name in names.items():
        subject_id = ids[_key(name)]
        display_name = subject_id if subject_id in folders else subject_id.replace("_", " ")
        found.append(PersonPicture(path, subject_id, display_name))
    return found


def ignored_files(folder: Path) -> list[Path]:
    """List the files below a folder that are not pictures, hidden ones left out, in sorted order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() not in PICTURE_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def _is_loose_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir() and not path.name.startswith(".")


def _key(name: str) -> str:
    """What the spellings of one name have in common."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def _name_of(picture: Path) -> str:
    """Take the person's name from a picture's file name."""
    name = _NUMBER.sub("", picture.stem).strip(" _-")
    if name.isdigit() or not name or _CAMERA.fullmatch(name):
        raise AmbiguousFolder(
            f"{picture} does not say who it shows: name it after the person, put it into a folder of that name, or use "
            "--subject if all pictures show one person"
        )
    return name


def _ids(folders: list[str], names: dict[Path, str]) -> dict[str, str]:
    """Choose the subject's id for each key of a name."""
    ids: dict[str, str] = {}
    for folder in folders:
        ids.setdefault(_key(folder), folder)
    taken = Counter(map(_key, folders))
    known = taken.keys() | set(map(_key, names.values()))
    for path, name in names.items():
        whole, base = _key(path.stem), _key(_ATTACHED_NUMBER.sub("", name))
        if whole != _key(name) and whole in taken:
            raise _ambiguous(path, f"{name!r}, or of {ids[whole]!r}, which is a folder")
        if base != _key(name) and base in known:
            raise _ambiguous(path, f"{_ATTACHED_NUMBER.sub('', name)!r}, or of somebody called {name!r}")
        if taken[_key(name)] > 1:
            raise _ambiguous(path, f"one of several folders called {name!r}, which differ only in their spelling")
    for name in sorted(names.values()):
        ids.setdefault(_key(name), name)
    return ids


def _ambiguous(path: Path, who: str) -> AmbiguousFolder:
    return AmbiguousFolder(
        f"{path} is ambiguous: a picture of {who}? Put it into the person's folder, or name it NAME_NUMBER{path.suffix}"
    )
