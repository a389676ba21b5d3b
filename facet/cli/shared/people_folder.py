"""A folder of people: a sub-folder per person, pictures named after people, or both."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from facet.terminal.pictures.files import find_pictures, is_picture
from facet.terminal.pictures.folders import HIDDEN, LINKED_FOLDER, NOT_A_PICTURE, LeftOut, is_hidden
from facet.v1.gallery_service_pb2 import Consent

_NUMBER = re.compile(r"(?:[\s_-]+\d+|[\s_-]*\(\d+\))+$")
"""The number of a picture, after a separator: "_1", " 2", "-03", " (4)", "_2024-05-01"."""
_ATTACHED_NUMBER = re.compile(r"(?<=[^\d\s_-])\d+$")
_CAMERA = re.compile(r"img|dsc[fn]?|pxl|mvi|image|photo|picture|scan|screenshot|frame", re.IGNORECASE)
"""What cameras and programs call pictures."""


@dataclass(frozen=True, slots=True)
class PersonPicture:
    """A picture and the person in it.

    Attributes:
        path: the picture's file.
        subject_id: the subject's id.
        display_name: the subject's name for people.
        consent: the subject's consent, if the source says.
        expire_time: when the face is to be erased, if the source says.
    """

    path: Path
    subject_id: str
    display_name: str
    consent: Consent | None = None
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnclearPicture:
    """A picture whose name does not say which person it shows.

    Attributes:
        path: the picture's file.
        reason: NO_NAME if the name names nobody, AMBIGUOUS_NAME if it may mean two people.
        message: what is wrong, and a remedy.
    """

    path: Path
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class EmptyPerson:
    """A person whose folder or file holds no picture that can be sent.

    Attributes:
        path: the person's folder, or the file of another format.
        subject_id: the subject's id.
    """

    path: Path
    subject_id: str


@dataclass(frozen=True, slots=True)
class PeopleFolder:
    """The pictures of a folder of people.

    Attributes:
        pictures: those whose person is known.
        unclear: the others.
        empty: people without a picture.
        left_out: what was not read.
    """

    pictures: list[PersonPicture]
    unclear: list[UnclearPicture]
    empty: list[EmptyPerson]
    left_out: list[LeftOut]


def read(folder: Path) -> PeopleFolder:
    """Find the pictures of a folder of people.

    In ``folder/NAME/.../picture.jpg`` the sub-folder's name is the subject's id and display name. In
    ``folder/NAME.jpg`` the file's name is, without its suffix and without a number after a blank, ``_`` or ``-``:
    ``Ann.jpg``, ``Ann_1.jpg``, ``Ann 2.jpg`` and ``ann-03.jpeg`` show one person. Names that differ only in case, or
    in ``_`` for a blank, are the same person: the id is the sub-folder's name if there is one, else the first spelling
    in sorted order. The display name is the id with blanks for ``_``. Hidden files and folders are left out, see
    :func:`facet.terminal.pictures.folders.is_hidden`.

    Raises:
        OSError: the folder cannot be read.
    """
    entries = sorted(folder.iterdir())
    left_out = [LeftOut(path, HIDDEN) for path in entries if is_hidden(path.name)]
    entries = [path for path in entries if not is_hidden(path.name)]
    around = [path for path in entries if _leads_around(path, folder)]
    left_out += [LeftOut(path, LINKED_FOLDER) for path in around]
    entries = [path for path in entries if path not in around]
    not_utf8 = [path for path in entries if not _is_utf8(path.name) and (path.is_dir() or _is_loose_picture(path))]
    entries = [path for path in entries if path not in not_utf8]
    folders = [path for path in entries if path.is_dir()]
    others = [path for path in entries if not path.is_dir() and not is_picture(path.name)]
    left_out += [LeftOut(path, NOT_A_PICTURE) for path in others]
    loose = [path for path in entries if _is_loose_picture(path)]
    unclear = {path: problem for path in loose if (problem := _names_nobody(path))}
    names = {path: _name_of(path) for path in loose if path not in unclear}
    unclear |= _ambiguous([path.name for path in folders], names)
    clear = {path: name for path, name in names.items() if path not in unclear}
    ids = _ids([path.name for path in folders], clear)
    found = [(path, person.name) for person in folders for path in find_pictures([person], left_out)]
    found += [(path, ids[_key(name)]) for path, name in clear.items()]
    pictures = [PersonPicture(path, subject_id, subject_id.replace("_", " ")) for path, subject_id in found]
    with_pictures = {_key(each.subject_id) for each in pictures}
    empty = [EmptyPerson(path, path.name) for path in folders if _key(path.name) not in with_pictures]
    empty += [EmptyPerson(path, _name_of(path)) for path in others if _is_lost(path, with_pictures)]
    all_unclear = [UnclearPicture(path, "NO_NAME", f"the name of {path} is not UTF-8: rename it") for path in not_utf8]
    all_unclear += [unclear[path] for path in loose if path in unclear]
    return PeopleFolder(pictures, all_unclear, empty, left_out)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leads_around(path: Path, folder: Path) -> bool:
    """Whether a link leads back to the folder or above it, or in a circle."""
    try:
        return path.is_symlink() and folder.resolve().is_relative_to(path.resolve(strict=False))
    except (OSError, RuntimeError):
        return True


def _is_loose_picture(path: Path) -> bool:
    return is_picture(path.name) and not path.is_dir()


def _is_lost(path: Path, with_pictures: set[str]) -> bool:
    """Whether a file is a picture of a format that is not read, and its person has no other."""
    kind = mimetypes.guess_type(path.name, strict=False)[0] or ""
    return kind.startswith("image/") and _names_nobody(path) is None and _key(_name_of(path)) not in with_pictures


def _key(name: str) -> str:
    """What the spellings of one name have in common."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def _name_of(picture: Path) -> str:
    """Take the person's name from a picture's file name."""
    return _NUMBER.sub("", picture.stem).strip(" _-")


def _names_nobody(path: Path) -> UnclearPicture | None:
    """Describe the problem if a file's name has no person's name in it; a number alone may be a camera's."""
    name = _name_of(path)
    if name.isdigit():
        remedy = f"if {name} is a person, put it into a folder {name}/ or use --subject {name}; else name it after"
    elif not name or _CAMERA.fullmatch(name):
        remedy = "put it into a folder of the person's name, use --subject, or name it after"
    else:
        return None
    return UnclearPicture(path, "NO_NAME", f"{path} does not say whom it shows: {remedy} the person")


def _ambiguous(folders: list[str], names: dict[Path, str]) -> dict[Path, UnclearPicture]:
    """Find the pictures whose names may mean two people."""
    taken = Counter(map(_key, folders))
    spelling = {_key(folder): folder for folder in reversed(folders)}
    known = taken.keys() | set(map(_key, names.values()))
    found: dict[Path, UnclearPicture] = {}
    for path, name in names.items():
        whole, without_number = _key(path.stem), _ATTACHED_NUMBER.sub("", name)
        if whole != _key(name) and whole in taken:
            who = f"{name!r}, or of {spelling[whole]!r}, which is a folder"
        elif _key(without_number) != _key(name) and _key(without_number) in known:
            who = f"{without_number!r}, or of somebody called {name!r}"
        elif taken[_key(name)] > 1:
            who = f"one of several folders called {name!r}, which differ only in their spelling"
        else:
            continue
        remedy = f"Put it into the person's folder, or name it NAME_NUMBER{path.suffix}"
        found[path] = UnclearPicture(path, "AMBIGUOUS_NAME", f"{path} is ambiguous: a picture of {who}? {remedy}")
    return found


def _ids(folders: list[str], names: dict[Path, str]) -> dict[str, str]:
    """Choose the subject's id for each key of a name: the first folder of that name, else its first spelling."""
    ids: dict[str, str] = {}
    for name in (*folders, *sorted(names.values())):
        ids.setdefault(_key(name), name)
    return ids
