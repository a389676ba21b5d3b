"""Open-set identification protocols: which pictures are enrolled, and which are probes."""

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
        role: "gallery" is enrolled; "mated" is a probe of an enrolled subject; "nonmated" is a probe of anybody else.
        subject: the person of the picture's central face.
        image: path of the picture as in the protocol.
        path: path of the file.
    """

    role: Role
    subject: str
    image: str
    path: Path


@dataclass(frozen=True, slots=True)
class Protocol:
    """A labelled set for open-set identification, in the order of its file.

    Attributes:
        gallery: pictures to enrol; a subject may have several.
        probes: mated and nonmated probes.
    """

    gallery: tuple[Entry, ...]
    probes: tuple[Entry, ...]

    def at_most(self, templates: int | None) -> Protocol:
        """The protocol with at most this many gallery pictures per subject; ``None`` for all."""
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
    """Read a CSV file with the columns role, subject and image; other columns are ignored.

    Args:
        path: the file.
        images: the folder of the pictures.

    Raises:
        LabelError: a column is missing, a role is unknown, a field is empty, a picture is unreadable, the gallery or
            the probes are empty, or the role of a probe contradicts the gallery; the message says where.
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
    # The server normalises ids in the same way.
    return Entry(role, unicodedata.normalize("NFC", subject), image, picture)


def _is_role(text: str) -> TypeGuard[Role]:
    return text in ("gallery", "mated", "nonmated")


def _of_role(entries: Iterable[Entry], *roles: Role) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.role in roles)
