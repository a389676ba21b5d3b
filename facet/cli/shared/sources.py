"""What to enrol: folders of people, manifests, single pictures."""

from __future__ import annotations

import csv
from pathlib import Path

from facet.cli.shared import people_folder
from facet.cli.shared.people_folder import PeopleFolder, PersonPicture, UnclearPicture
from facet.runtime.picture_suffixes import PICTURE_SUFFIXES
from facet.terminal import console
from facet.terminal.picture_files import find_pictures

COLUMNS = ("subject", "path")
_NAMED = 3
"""Names of ignored files in a message."""


def read(sources: list[Path], subject_id: str, display_name: str) -> PeopleFolder:
    """Find all pictures of the sources; exits with a usage error if a source is not understood.

    Files in folders that are not pictures, and hidden pictures, are ignored, and named on standard error. It is a
    usage error, too, if no picture at all says whom it shows.

    Args:
        sources: folders of people (see :func:`facet.cli.shared.people_folder.read`), ``.csv`` manifests, or pictures,
            which need ``subject_id``.
        subject_id: the person in all pictures; empty if the sources say.
        display_name: that person's name.
    """
    found: list[PersonPicture] = []
    unclear: list[UnclearPicture] = []
    for source in sources:
        if subject_id:
            found += [PersonPicture(path, subject_id, display_name) for path in _pictures(source)]
        elif source.suffix.lower() == ".csv" and source.is_file():
            found += _manifest(source)
        elif source.is_dir():
            people = _people(source)
            found += people.pictures
            unclear += people.unclear
        elif source.is_file():
            console.fail(
                f"{source} is a single picture: name the person with --subject, or give its folder", console.USAGE
            )
        else:
            console.fail(f"there is no file or folder {source}", console.USAGE)
    _tell_ignored(sources)
    if not found and unclear:
        more = f"; {len(unclear) - 1} more of this kind" if len(unclear) > 1 else ""
        console.fail(f"{unclear[0].message}{more}", console.USAGE)
    if not found:
        console.fail("there are no pictures in " + ", ".join(map(str, sources)), console.USAGE)
    return PeopleFolder(found, unclear)


def _people(folder: Path) -> PeopleFolder:
    try:
        return people_folder.read(folder)
    except OSError as error:
        console.fail(f"cannot read {folder}: {error.strerror}", console.USAGE)


def _pictures(source: Path) -> list[Path]:
    return people_folder.shown_pictures(source) if source.is_dir() else find_pictures([source])


def _tell_ignored(sources: list[Path]) -> None:
    folders = [source for source in sources if source.is_dir()]
    ignored = [path.name for folder in folders for path in people_folder.ignored_files(folder)]
    hidden = [str(path.relative_to(folder)) for folder in folders for path in people_folder.hidden_pictures(folder)]
    if ignored:
        kinds = ", ".join(sorted(PICTURE_SUFFIXES))
        console.err.print(f"ignored, as only {kinds} are pictures: {_first(ignored)}")
    if hidden:
        console.err.print(f"ignored, as hidden files and folders are not read: {_first(hidden)}")


def _first(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _manifest(manifest: Path) -> list[PersonPicture]:
    """Read a CSV file with the columns subject, path (relative to the file's folder) and, optionally, display_name."""
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


def _row(manifest: Path, line: int, row: dict[str, str | None]) -> PersonPicture:
    subject_id, path = (row["subject"] or "").strip(), (row["path"] or "").strip()
    if not subject_id or not path:
        console.fail(f"{manifest}, line {line}: subject and path must not be empty", console.USAGE)
    return PersonPicture(manifest.parent / path, subject_id, (row.get("display_name") or "").strip())
