"""The commands of scripts/gallery.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from facet.terminal import console, tables
from gallery.errors import StorageError
from gallery.stores.sqlite import copies as sqlite_copies
from gallery.stores.sqlite import verify as sqlite_verify
from gallery.stores.sqlite.verify import Verification

Database = Annotated[Path, typer.Argument(help="The database of a server.", show_default=False)]


def backup(
    database: Database,
    target: Annotated[Path, typer.Argument(help="The file to make.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Also where TARGET is there already.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Copy a database as it is at this moment, while its server goes on.

    TARGET appears when all of it is copied and verified; it is one file, which only its owner can read. It holds
    everybody who is enrolled now: when they are forgotten later, delete it as well.
    """
    with _failures(), _copying("backing up") as progress:
        verification = sqlite_copies.backup(database, target, replace=replace, progress=progress)
    _say_copied(target, verification, as_json=as_json)


def restore(
    backup: Annotated[Path, typer.Argument(help="What backup has made.", show_default=False)],
    database: Annotated[Path, typer.Argument(help="The database that it is to become.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Also where DATABASE is there; it is lost.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Put a backup in the place of a database. The server must be stopped.

    BACKUP is copied and verified first. DATABASE is whole as it was, or whole as the backup, also where the machine
    fails meanwhile. BACKUP itself is only read.
    """
    with _failures(), _copying("restoring") as progress:
        verification = sqlite_copies.restore(backup, database, replace=replace, progress=progress)
    _say_copied(database, verification, as_json=as_json)


def verify(database: Database, as_json: console.AsJson = False) -> None:
    """Read all of a database, and say what is wrong with it. The server may go on.

    Checks SQLite's structure and references, that embeddings are of unit length and of one dimension in a contract,
    and that counts are right. Exits with 1 where anything is not. A large database on a live server is better backed
    up, which verifies the copy, because deletions wait for whoever reads.
    """
    with _failures():
        found = sqlite_verify.verify(database)
    if as_json:
        console.print_json({"database": str(database), "sound": not found.problems} | asdict(found))
    else:
        _show(database, found)
    raise typer.Exit(console.FAILED if found.problems else console.DONE)


def compact(database: Database, as_json: console.AsJson = False) -> None:
    """Write a database anew without the room that deletions have left. The server must be stopped.

    Needs as much room again beside it while it works. Also removes what imports have left that were never finished,
    and brings a database of an older version to this one.
    """
    with _failures():
        before, after = sqlite_copies.compact(database)
    if as_json:
        console.print_json({"database": str(database), "bytes_before": before, "bytes_after": after})
    else:
        console.out.print(f"{database}: {_size(before)} before, {_size(after)} now")


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        console.fail(f"{error}: say --replace to have it replaced")
    except StorageError as error:
        console.fail(str(error))


@contextmanager
def _copying(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; what to tell about it: how many pages are done, and of how many."""
    with console.progress(description, 1) as bar:
        yield lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)


def _say_copied(path: Path, verification: Verification, *, as_json: bool) -> None:
    templates = sum(gallery.templates for gallery in verification.galleries)
    if as_json:
        said = {"file": str(path), "bytes": verification.size, "galleries": len(verification.galleries)}
        console.print_json(said | {"templates": templates})
    else:
        console.out.print(
            f"{path}: {_size(verification.size)}, verified: "
            f"{len(verification.galleries)} galleries with {templates} templates"
        )


def _show(database: Path, found: Verification) -> None:
    title = f"{database}: schema version {found.schema_version}, {_size(found.size)}"
    table = tables.table("gallery", "subjects", "templates", "values", "contract", title=title)
    for gallery in found.galleries:
        counts = (str(gallery.subjects), str(gallery.templates), str(gallery.dimension))
        table.add_row(gallery.gallery_id, *counts, gallery.contract[:16])
    console.out.print(table)
    if found.unfinished:
        console.out.print(f"{found.unfinished} unfinished imports or deletions, which the server or compact removes")
    for problem in found.problems:
        console.out.print(f"damaged: {problem}")
    if found.problems:
        console.out.print('put a backup in its place with "gallery.py restore"')
    else:
        console.out.print("sound")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
