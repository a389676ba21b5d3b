"""Servers whose database files are damaged, cut off, deleted or replaced under them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from facet import Client, FacetError, InternalError, NotFound
from gallery.stores.sqlite.copies import backup, restore
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY, enroll

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

LIGHT = ("--models.objects", "none")
DATABASE = "facet.sqlite3"
AREA = "database files"
PEOPLE = 12
NOTICED = "identification goes on; writes are refused with STORAGE_UNAVAILABLE, none is acknowledged and lost"
DAMAGED = (
    "identification goes on; the next start has everything acknowledged or refuses the file by name, and a backup can "
    "be restored"
)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 4)
        file.write(np.random.default_rng(1).bytes(size // 2))


def delete(path: Path) -> None:
    for file in path.parent.glob(f"{DATABASE}*"):
        file.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(cut_in_half, marks=promises(AREA, "cut in half while the server runs", NOTICED)),
        pytest.param(garble, marks=promises(AREA, "half overwritten with garbage while the server runs", DAMAGED)),
        pytest.param(delete, marks=promises(AREA, "deleted while the server runs", NOTICED)),
        pytest.param(replace, marks=promises(AREA, "replaced by another file while the server runs", NOTICED)),
    ],
)
def test_a_damaged_database_acknowledges_nothing_that_is_lost(
    serve: Serve,
    tmp_path: Path,
    pictures: Pictures,
    damage: Callable[[Path], None],
    seen: Seen,
) -> None:
    database, copy = tmp_path / DATABASE, tmp_path / "backup.sqlite3"
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        for number in range(PEOPLE):
            enroll(client, f"p{number}", pictures.yaoming)
        backup(database, copy)
        damage(database)
        reasons, acknowledged = [], []
        for person in ("x", "y", "z"):
            try:
                enroll(client, person, pictures.yaoming)
                acknowledged.append(person)
            except InternalError:
                raise
            except FacetError as error:
                reasons.append(error.reason)
            assert client.identify(GALLERY, pictures.yaoming).faces[0].identification.candidates
        assert set(reasons) <= {"STORAGE_UNAVAILABLE"}
    serving.stop()
    found = people_after_start(serve)
    assert damage is garble or set(acknowledged) <= set(found), "acknowledged, and lost"
    if not found:
        restore(copy, database, replace=True)
        assert len(people_after_start(serve)) == PEOPLE
    then = f"{len(found)} people after the next start" if found else f"{PEOPLE} people after restoring a backup"
    seen(f"{len(reasons)} of 3 enrolments refused, {len(acknowledged)} acknowledged; {then}")


def people_after_start(serve: Serve) -> list[str]:
    """Start again, and return the people; none if the database is refused as damaged, or new."""
    try:
        serving = serve(*LIGHT)
    except pytest.fail.Exception as refusal:
        if f"{DATABASE} is damaged" not in str(refusal):
            raise
        return []
    with Client(serving.address) as client:
        try:
            found = [each.subject_id for each in client.iter_subjects(GALLERY)]
        except NotFound:
            found = []
    assert serving.stop() == 0
    return found


@promises(
    AREA,
    "the write-ahead log and its index are overwritten with garbage while no server runs",
    "what was moved into the database is there; the server starts",
)
def test_a_garbled_log_is_ignored(serve: Serve, tmp_path: Path, pictures: Pictures, seen: Seen) -> None:
    serving = serve(*LIGHT)
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        enroll(client, "a", pictures.yaoming)
    assert serving.stop() == 0
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"{DATABASE}{suffix}").write_bytes(np.random.default_rng(2).bytes(100_000))
    with Client(serve(*LIGHT).address) as client:
        assert [each.subject_id for each in client.iter_subjects(GALLERY)] == ["a"]
        enroll(client, "b", pictures.yaoming)
        assert client.identify(GALLERY, pictures.yaoming).faces[0].identification.candidates
    seen("the person enrolled before was there, another was enrolled")
