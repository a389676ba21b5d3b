"""Folders of pictures: what is in them, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facet.terminal.counts import first
from facet.terminal.visible import one_line

HIDDEN, NOT_A_PICTURE, LINKED_FOLDER, CANNOT_READ = "HIDDEN", "NOT_A_PICTURE", "LINKED_FOLDER", "CANNOT_READ"

_HIDING = (".", "~$")
"""How the names of hidden files begin, and those that Office puts beside files that are open."""
_OF_SYSTEMS = frozenset(
    {
        *("@eadir", "#recycle", "@recycle", "#snapshot", "@tmp", "@recently-snapshot"),  # Synology, QNAP
        *("$recycle.bin", "recycler", "system volume information", "found.000"),
        *("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini"),
        *("__macosx", "icon\r", "network trash folder", "temporary items"),
        "lost+found",
    }
)
"""What operating systems, storage and programs put beside pictures; names in lower case."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that was not read; what is below such a folder is not listed.

    Attributes:
        path: where it is.
        reason: HIDDEN, NOT_A_PICTURE, LINKED_FOLDER or CANNOT_READ.
    """

    path: Path
    reason: str


def is_hidden(name: str) -> bool:
    """Whether a name is one of a hidden file, or one that systems give to files of their own."""
    return name.startswith(_HIDING) or name.casefold() in _OF_SYSTEMS


def walk(
    folder: str,
    is_picture: Callable[[str], bool],
    leave_out: Callable[[str, str], None],
    unreadable: Callable[[OSError], None],
) -> Iterator[str]:
    """Yield the paths of the pictures below a folder, sorted within each folder.

    Args:
        folder: where to look; its own name does not matter.
        is_picture: whether a file of this name is a picture.
        leave_out: receives the path and the reason of everything else.
        unreadable: receives the error of a folder that cannot be read.
    """
    for place, folders, files in os.walk(folder, onerror=unreadable):
        kept = []
        for name in sorted(folders):
            path = os.path.join(place, name)  # noqa: PTH118 - of a million
            if is_hidden(name):
                leave_out(path, HIDDEN)
            elif os.path.islink(path):  # noqa: PTH114 - it may lead back here
                leave_out(path, LINKED_FOLDER)
            else:
                kept.append(name)
        folders[:] = kept
        for name in sorted(files):
            path = os.path.join(place, name)  # noqa: PTH118
            if is_hidden(name):
                leave_out(path, HIDDEN)
            elif is_picture(name):
                yield path
            else:
                leave_out(path, NOT_A_PICTURE)


def described(left_out: Iterable[LeftOut], suffixes: Iterable[str]) -> list[str]:
    """A line for people for each reason: how many files and folders were left out, why, and the first few names."""
    why = {
        HIDDEN: "hidden and system files are not read",
        NOT_A_PICTURE: f"only {', '.join(sorted(suffixes))} are pictures",
        LINKED_FOLDER: "links to folders are not followed",
        CANNOT_READ: "they cannot be read",
    }
    paths: dict[str, list[str]] = {}
    for each in left_out:
        paths.setdefault(each.reason, []).append(one_line(str(each.path)))
    return [
        f"left out {len(paths[reason])}, as {said}: {first(paths[reason])}"
        for reason, said in why.items()
        if reason in paths
    ]
