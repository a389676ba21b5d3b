"""``facet gallery backup``, ``restore``, ``verify`` and ``compact``: work on the database file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from facet.cli.gallery.age_options import EncryptTo, Identity, age_failures, identities, recipients
from facet.cli.gallery.database_argument import Database, refuse_address
from facet.cli.gallery.key_options import MasterKeys, keyring_of
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.counts import counted, in_bytes
from gallery.errors import StorageBusy, StorageError
from gallery.stores.sqlite import copies as sqlite_copies
from gallery.stores.sqlite import verify as sqlite_verify
from gallery.stores.sqlite.verify import Verification

_PARQUET = b"PAR1"
"""The first bytes of an exported gallery."""


@grouped_options
def backup(
    database: Database,
    target: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Replace TARGET if it exists.")] = False,
    encrypt_to: EncryptTo = None,
    *,
    keys: MasterKeys,
    as_json: console.AsJson = False,
) -> None:
    """Copy a database as it is now. The server may run.

    TARGET appears once the copy is complete and verified. It is one file, readable by its owner only. It holds
    everybody who is enrolled now; if you forget somebody later, delete it as well. With --encrypt-to only the owner of
    that key can read it.

    The copy of an encrypted database is as encrypted as it is, and useless without its key file, DATABASE.keys, which
    is not in it. With the master key, the encrypted values of the copy are verified as well.
    """
    readers = recipients(encrypt_to)
    source = keys.source()
    with _failures(database), age_failures(), _copying("backing up") as progress:
        keyring = keyring_of(database, source)
        verification = sqlite_copies.backup(
            database, target, replace=replace, progress=progress, recipients=readers, keyring=keyring
        )
    _say_copied(target, verification, as_json=as_json)


@grouped_options
def restore(
    backup: Annotated[Path, typer.Argument(help="A file that backup wrote.", show_default=False)],
    database: Annotated[
        Path, typer.Argument(help="The database to replace.", show_default=False, callback=refuse_address)
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Replace DATABASE if it exists; it is lost.")] = False,
    identity: Identity = None,
    *,
    keys: MasterKeys,
    as_json: console.AsJson = False,
) -> None:
    """Replace a database with a backup. Stop the server first.

    BACKUP is copied and verified first, and is only read. DATABASE is either the old one or the backup, even if the
    machine fails in between. The backup of an encrypted database needs its key file at DATABASE.keys. Galleries that
    were deleted since have no keys there any more: they are removed when the server starts.
    """
    source = keys.source()
    with _failures(backup), age_failures():
        secrets = identities(backup, identity) if backup.is_file() else []
        with _copying("restoring") as progress:
            verification = sqlite_copies.restore(
                backup,
                database,
                replace=replace,
                progress=progress,
                identities=secrets,
                keyring=keyring_of(database, source),
            )
    _say_copied(database, verification, as_json=as_json)


@grouped_options
def verify(
    database: Database,
    data_keys: Annotated[
        Path | None, typer.Option("--data-keys", help="The key file. Default: DATABASE.keys.", show_default=False)
    ] = None,
    *,
    keys: MasterKeys,
    as_json: console.AsJson = False,
) -> None:
    """Read a whole database, and report what is wrong with it. The server may run.

    Checks SQLite's structure and references, that embeddings have unit length and one dimension per contract, also both
    embeddings of a gallery that is being migrated, and that counts are right. For a large database on a busy server use
    backup, which verifies its copy: deletions wait for readers. Of an encrypted database, values are checked only with
    the master key. A backup has no key file of its own: name that of the database with --data-keys.

    Exit code: 0 sound, 1 damaged or not readable, 2 bad usage.
    """
    source = keys.source()
    with _failures(database):
        found = sqlite_verify.verify(database, keyring_of(database, source, data_keys))
    if as_json:
        console.print_json({"database": str(database), "sound": not found.problems} | asdict(found))
    else:
        _show(database, found)
    raise typer.Exit(console.FAILED if found.problems else console.DONE)


@grouped_options
def compact(
    database: Database,
    *,
    keys: MasterKeys,
    as_json: console.AsJson = False,
) -> None:
    """Rewrite a database without the space that deletions left. Stop the server first.

    Needs as much free space as the database takes. Also removes unfinished imports, and upgrades the database of an
    older version.
    """
    source = keys.source()
    with _failures(database):
        before, after = sqlite_copies.compact(database, source)
    if as_json:
        console.print_json({"database": str(database), "bytes_before": before, "bytes_after": after})
    else:
        console.out.print(f"{database}: {in_bytes(before)} before, {in_bytes(after)} now")


@contextmanager
def _failures(source: Path) -> Iterator[None]:
    """Explain the errors of a command that reads the database ``source``; refuse an exported gallery first."""
    with suppress(OSError), source.open("rb") as file:
        if file.read(len(_PARQUET)) == _PARQUET:
            command = spelled(f"facet gallery import {shlex.quote(str(source))} --gallery NAME")
            console.fail(
                f"{source} is an exported gallery, not a database. To import it under a name that is free: {command}; "
                "--dry-run only checks it",
                console.USAGE,
            )
    try:
        yield
    except FileExistsError as error:
        console.fail(f"{error}: add --replace to replace it")
    except StorageBusy as error:
        console.fail(f"{error}; if it is the server, stop it first")
    except StorageError as error:
        console.fail(spelled(str(error)))


@contextmanager
def _copying(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; gives the function that takes the pages copied and the pages in total."""
    with console.progress(description, 1) as bar:
        yield lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)


def _say_copied(path: Path, verification: Verification, *, as_json: bool) -> None:
    templates = sum(gallery.templates for gallery in verification.galleries)
    if as_json:
        said = {"file": str(path), "bytes": verification.size, "galleries": len(verification.galleries)}
        console.print_json(said | {"templates": templates, "unchecked": list(verification.unchecked)})
    else:
        console.out.print(
            f"{path}: {in_bytes(verification.size)}, verified: "
            f"{counted(len(verification.galleries), 'gallery')} with {counted(templates, 'template')}"
        )
        _say_unchecked(verification)


def _say_unchecked(found: Verification) -> None:
    if found.unchecked:
        console.out.print(
            f"encrypted, and checked in their structure only: {', '.join(found.unchecked)}; "
            "--encryption-key-file checks their values, unless they were deleted since"
        )


def _show(database: Path, found: Verification) -> None:
    if not found.schema_version:
        console.out.print(f"{database}: {in_bytes(found.size)}, not readable as a database of galleries")
    else:
        _show_galleries(database, found)
    for problem in found.problems:
        console.out.print(f"damaged: {problem}")
    if found.problems:
        console.out.print(f"replace it with a backup: {spelled('facet gallery restore')}")
    else:
        console.out.print("sound")


def _show_galleries(database: Path, found: Verification) -> None:
    title = f"{database}: schema version {found.schema_version}, {in_bytes(found.size)}"
    table = tables.table("gallery", "subjects", "templates", "values", "contract", title=title)
    for gallery in found.galleries:
        counts = (str(gallery.subjects), str(gallery.templates), str(gallery.dimension))
        table.add_row(gallery.gallery_id, *counts, gallery.contract[:16])
        for other in gallery.other_embeddings:
            table.add_row("  other model", "", str(other.count), str(other.dimension), other.contract[:16])
    console.out.print(table)
    _say_unchecked(found)
    if found.unfinished:
        console.out.print(f"unfinished imports and deletions: {found.unfinished}; the server or compact removes them")
