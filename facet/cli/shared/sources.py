"""What to enrol: folders of people, manifests, single pictures."""

from __future__ import annotations

import csv
from pathlib import Path

from facet.cli.shared import people_folder, terms
from facet.cli.shared.people_folder import EmptyPerson, PeopleFolder, PersonPicture, UnclearPicture
from facet.terminal import console
from facet.terminal.pictures.files import find_pictures, tell
from facet.terminal.pictures.folders import LeftOut

COLUMNS = ("subject", "path")
OPTIONAL_COLUMNS = ("display_name", "consent_basis", "consent_reference", "consent_time", "expires")


def read(sources: list[Path], subject_id: str, display_name: str) -> PeopleFolder:
    """Find all pictures of the sources; exits with a usage error if a source is not understood.

    What is left out of folders is described on standard error. It is a usage error, too, if no picture at all says whom
    it shows.

    Args:
        sources: folders of people (see :func:`facet.cli.shared.people_folder.read`), ``.csv`` manifests, or pictures,
            which need ``subject_id``.
        subject_id: the person in all pictures; empty if the sources say.
        display_name: that person's name.
    """
    found: list[PersonPicture] = []
    unclear: list[UnclearPicture] = []
    empty: list[EmptyPerson] = []
    left_out: list[LeftOut] = []
    for source in sources:
        if subject_id:
            found += [PersonPicture(path, subject_id, display_name) for path in find_pictures([source], left_out)]
        elif source.suffix.lower() == ".csv" and source.is_file():
            found += _manifest(source)
        elif source.is_dir():
            people = _people(source)
            found += people.pictures
            unclear += people.unclear
            empty += people.empty
            left_out += people.left_out
        elif source.is_file():
            console.fail(
                f"{source} is a single picture: name the person with --subject, or give its folder", console.USAGE
            )
        else:
            console.fail(f"there is no file or folder {source}", console.USAGE)
    tell(left_out)
    if not found and unclear:
        more = f"; {len(unclear) - 1} more of this kind" if len(unclear) > 1 else ""
        console.fail(f"{unclear[0].message}{more}", console.USAGE)
    if not found:
        console.fail("there are no pictures in " + ", ".join(map(str, sources)), console.USAGE)
    return PeopleFolder(found, unclear, empty, left_out)


def _people(folder: Path) -> PeopleFolder:
    try:
        return people_folder.read(folder)
    except OSError as error:
        console.fail(f"cannot read {folder}: {error.strerror}", console.USAGE)


def _manifest(manifest: Path) -> list[PersonPicture]:
    """Read a CSV file with the columns subject, path (relative to the file's folder), and the optional ones."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                console.fail(
                    f"{manifest} has no column {', '.join(missing)}; its first line must name "
                    f"{', '.join(COLUMNS)} and may name {', '.join(OPTIONAL_COLUMNS)}",
                    console.USAGE,
                )
            return [_row(manifest, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        console.fail(f"cannot read {manifest}: {error}", console.USAGE)


def _row(manifest: Path, line: int, row: dict[str, str | None]) -> PersonPicture:
    subject_id, path = (row["subject"] or "").strip(), (row["path"] or "").strip()
    if not subject_id or not path:
        console.fail(f"{manifest}, line {line}: subject and path must not be empty", console.USAGE)
    where = f"{manifest}, line {line}"
    name, basis, reference, time, expires = ((row.get(column) or "").strip() for column in OPTIONAL_COLUMNS)
    return PersonPicture(
        manifest.parent / path,
        subject_id,
        name,
        terms.consent_of(basis, reference, time, where),
        terms.expiry_of(expires, where),
    )
