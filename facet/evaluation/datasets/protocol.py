"""Open-set identification protocols: who is enrolled from which picture, and who is looked for in which."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeGuard

from facet.evaluation.datasets.labels import LabelError, need_folder, need_picture, read_text

Role = Literal["gallery", "mated", "nonmated"]

_COLUMNS = ("role", "subject", "image")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a protocol.

    Attributes:
        role: "gallery" is enrolled; "mated" is a probe whose subject is enrolled; "nonmated" is one whose isn't.
        subject: who the central face of the picture is.
        image: the picture's path as the protocol names it.
        path: where the picture is.
    """

    role: Role
    subject: str
    image: str
    path: Path


@dataclass(frozen=True, slots=True)
class Protocol:
    """A labelled set for open-set identification, in the order of its file.

    Attributes:
        gallery: what is enrolled; a subject may have several entries.
        probes: what is looked for, mated and non-mated.
    """

    gallery: tuple[Entry, ...]
    probes: tuple[Entry, ...]

    def at_most(self, templates: int | None) -> Protocol:
        """With the first so many pictures of each subject to enrol; all of them where ``None``."""
        if templates is None:
            return self
        seen: Counter[str] = Counter()
        gallery = []
        for entry in self.gallery:
            if seen[entry.subject] < templates:
                gallery.append(entry)
            seen[entry.subject] += 1
        return replace(self, gallery=tuple(gallery))


def read_protocol(path: Path, images: Path) -> Protocol:
    """Read a protocol: a CSV file with the columns role, subject and image, others being ignored.

    Args:
        path: the file.
        images: the folder that the column image is relative to.

    Raises:
        LabelError: a column is missing, a role is unknown, a field is empty, a picture cannot be read, nobody or
            nothing is to be enrolled or looked for, or a subject is among the wrong probes: the message says where.
    """
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    need_folder(images)
    try:
        if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
            raise LabelError(path, 1, f"has no column {', '.join(missing)}; role, subject and image are needed")
        entries = [(rows.line_num, _entry(path, rows.line_num, row, images)) for row in rows]
    except csv.Error as error:
        raise LabelError(path, rows.line_num, f"is not CSV: {error}") from error
    enrolled = {entry.subject for _, entry in entries if entry.role == "gallery"}
    for line, entry in entries:
        if entry.role == "mated" and entry.subject not in enrolled:
            raise LabelError(path, line, f"{entry.subject!r} is a mated probe, but is in no line of the gallery")
        if entry.role == "nonmated" and entry.subject in enrolled:
            raise LabelError(path, line, f"{entry.subject!r} is a nonmated probe, but is in the gallery")
    gallery = _of_role((entry for _, entry in entries), "gallery")
    probes = _of_role((entry for _, entry in entries), "mated", "nonmated")
    if not gallery or not probes:
        raise LabelError(path, None, "needs at least one line of the role gallery and one of mated or nonmated")
    return Protocol(gallery, probes)


def _entry(path: Path, line: int, row: dict[str, str | None], images: Path) -> Entry:
    role, subject, image = ((row[name] or "").strip() for name in _COLUMNS)
    if not _is_role(role):
        raise LabelError(path, line, f"role is {role!r}; it must be gallery, mated or nonmated")
    for name, value in (("subject", subject), ("image", image)):
        if not value:
            raise LabelError(path, line, f"{name} is empty")
    picture = images / image
    need_picture(path, line, picture)
    # The server compares ids after this normalisation, and answers them so.
    return Entry(role, unicodedata.normalize("NFC", subject), image, picture)


def _is_role(text: str) -> TypeGuard[Role]:
    return text in ("gallery", "mated", "nonmated")


def _of_role(entries: Iterable[Entry], *roles: Role) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.role in roles)
