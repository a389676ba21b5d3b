"""What is to be enrolled: folders of people, manifests, single pictures."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from facet.terminal import console
from facet.terminal import picture_files as pictures

COLUMNS = ("subject", "path")


@dataclass(frozen=True, slots=True)
class Item:
    """A picture and whose it is.

    Attributes:
        path: the picture's file.
        subject_id: the subject.
        display_name: the subject's name for people; may be empty.
    """

    path: Path
    subject_id: str
    display_name: str


def read(sources: list[Path], subject_id: str, display_name: str) -> list[Item]:
    """All pictures of the sources; exits with a usage error where one is not understood.

    Args:
        sources: folders with a folder a person, ``.csv`` manifests, or pictures (which need ``subject_id``).
        subject_id: whose the pictures are; empty where the sources say.
        display_name: that subject's name.
    """
    items: list[Item] = []
    for source in sources:
        if subject_id:
            items += [Item(path, subject_id, display_name) for path in pictures.find_pictures([source])]
        elif source.suffix.lower() == ".csv" and source.is_file():
            items += _manifest(source)
        elif source.is_dir():
            items += _people(source)
        elif source.is_file():
            console.fail(f"{source} is a single picture: say whose with --subject", console.USAGE)
        else:
            console.fail(f"there is no file or folder {source}", console.USAGE)
    if not items:
        console.fail("there are no pictures in " + ", ".join(map(str, sources)), console.USAGE)
    return items


def _people(folder: Path) -> list[Item]:
    """``folder/NAME/picture``: the name of the folder is the subject's id and, unless it is told, its name."""
    if loose := sorted(path for path in folder.iterdir() if path.suffix.lower() in pictures.PICTURE_SUFFIXES):
        console.fail(
            f"{loose[0]} lies in no person's folder: expected {folder.name}/NAME/picture.jpg, "
            "or --subject for a folder of one person",
            console.USAGE,
        )
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    return [Item(path, person.name, person.name) for person in people for path in pictures.find_pictures([person])]


def _manifest(manifest: Path) -> list[Item]:
    """A CSV file with the columns subject, path (from the file's own folder) and, if you like, display_name."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                console.fail(
                    f"{manifest} has no column {', '.join(missing)}; its first line must name "
                    f"{', '.join(COLUMNS)} and may name display_name",
                    console.USAGE,
                )
            return [_row(manifest, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        console.fail(f"cannot read {manifest}: {error}", console.USAGE)


def _row(manifest: Path, line: int, row: dict[str, str | None]) -> Item:
    subject_id, path = (row["subject"] or "").strip(), (row["path"] or "").strip()
    if not subject_id or not path:
        console.fail(f"{manifest}, line {line}: subject and path must not be empty", console.USAGE)
    return Item(manifest.parent / path, subject_id, (row.get("display_name") or "").strip())
