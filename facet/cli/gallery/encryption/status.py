"""``facet gallery encryption status`` and ``renew``: how far a database is encrypted, and new data keys."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from facet.cli.gallery.database_argument import Database
from facet.cli.gallery.key_options import MasterKeys
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.command_line.program import spelled
from facet.terminal.counts import counted
from gallery.errors import StorageBusy, StorageError
from gallery.stores.sqlite.sealing import progress


def status(database: Database, as_json: console.AsJson = False) -> None:
    """Show how far a database is encrypted, and which master keys its key file needs. The server may run.

    Needs no key, and shows none: master keys are named by a part of their digest, as in
    [b]facet gallery encryption new-key --json[/b].

    Exit code: 0 all of it is encrypted, 1 not all of it, or it cannot be read, 2 bad usage.
    """
    try:
        found = progress.encryption_status(database)
    except StorageError as error:
        console.fail(spelled(str(error)))
    if as_json:
        console.print_json({"database": str(database), "complete": found.is_complete} | asdict(found))
    else:
        _show(database, found)
    raise typer.Exit(console.DONE if found.is_complete else console.FAILED)


@grouped_options
def renew(
    database: Database,
    *,
    keys: MasterKeys,
    as_json: console.AsJson = False,
) -> None:
    """Give every gallery a new data key. Stop the server first.

    When the server runs again it encrypts everything anew in the background, then destroys the old data keys: backups
    that were made before can no longer be read. Do this if a data key, or a master key together with the key file, may
    have become known.
    """
    source = keys.source()
    if source is None:
        console.fail("name the master key with --encryption-key-file, -env or -command", console.USAGE)
    try:
        renewed = progress.renew_data_keys(database, source)
    except StorageBusy as error:
        console.fail(f"{error}; if it is the server, stop it first")
    except StorageError as error:
        console.fail(spelled(str(error)))
    if as_json:
        console.print_json({"database": str(database), "renewed": renewed})
    else:
        console.out.print(f"{database}: new data keys for {counted(renewed, 'gallery')}; start the server to use them")


def _show(database: Path, found: progress.EncryptionStatus) -> None:
    if not found.is_encrypted:
        console.out.print(f"{database} is not encrypted: see {spelled('facet gallery encryption')} --help")
        return
    rows = tables.table("gallery", "templates", "not encrypted yet", title=f"{database}, keys in {found.key_file}")
    for gallery in found.galleries:
        rows.add_row(gallery.gallery_id, str(gallery.templates), str(gallery.pending))
    console.out.print(rows)
    for master, keys in found.masters.items():
        console.out.print(f"master key {master} wraps {counted(keys, 'data key')}")
    if found.destroyed:
        console.out.print(f"destroyed with their galleries: the data keys of {counted(found.destroyed, 'gallery')}")
    console.out.print("all of it is encrypted" if found.is_complete else "the server encrypts the rest while it runs")
