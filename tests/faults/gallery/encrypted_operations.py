"""Changes to an encrypted database that change its key file as well."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from gallery.encryption.key_file import key_path, read_key_file
from gallery.encryption.master_keys import KeyFile, new_key
from gallery.errors import GalleryExists, GalleryNotFound
from gallery.galleries import Galleries
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.faults.gallery.operations import DATABASE, DIMENSION, Operation, Step, faces
from tests.faults.gallery.samples import new_gallery

MASTER_KEY = "master.key"


def opened(folder: Path) -> tuple[Galleries, SqliteStore]:
    """Open the database as a server does."""
    store = SqliteStore(folder / DATABASE, master_keys=KeyFile(folder / MASTER_KEY))
    return Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=5), store


def prepare(folder: Path) -> None:
    """An encrypted database with a gallery, and its master key."""
    (folder / MASTER_KEY).touch(0o600)
    (folder / MASTER_KEY).write_text(new_key())
    galleries, store = opened(folder)
    importing = store.begin_import(new_gallery("old"))
    importing.add(faces("old", 30))
    importing.commit()
    galleries.close()


def create(galleries: Galleries) -> None:
    """Make a data key."""
    with suppress(GalleryExists):
        galleries.create_gallery("new", display_name="New")


def delete(galleries: Galleries) -> None:
    """Destroy a data key."""
    with suppress(GalleryNotFound):
        galleries.delete_gallery("old", force=True)


CHANGES = (create, delete)


def run(folder: Path, steps: int, ready: Step, acknowledge: Step) -> None:
    """Make the changes one after the other."""
    galleries, _ = opened(folder)
    ready()
    for change in CHANGES[:steps]:
        change(galleries)
        acknowledge()
    galleries.close()


def state(folder: Path) -> Any:
    """Return the galleries and how many people each has, after checking that only their data keys are there."""
    galleries, store = opened(folder)
    store.scrub()
    found = {each.gallery_id: each.subject_count for each in store.galleries(after="", limit=10)}
    galleries.close()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        uids = {uid for (uid,) in connection.execute("SELECT data_keys FROM galleries")}
    path = key_path(folder / DATABASE)
    contents, _ = read_key_file(path)
    assert uids == contents.galleries.keys(), "other data keys than those of the galleries"
    with_keys = {file for file in folder.iterdir() if b'"wrapped"' in file.read_bytes()}
    assert with_keys == {path}, "data keys in another file"
    return found


ENCRYPTED = Operation(
    "change galleries of an encrypted database",
    prepare,
    run,
    len(CHANGES),
    lambda folder: run(folder, len(CHANGES), lambda: None, lambda: None),
    state,
)
