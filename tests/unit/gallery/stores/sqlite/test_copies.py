"""Backup, restore, verify and compact, as functions and as scripts/gallery.py."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.errors import SchemaTooNew, StorageBusy, StorageUnavailable
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.identifications import Decision
from gallery.stores.sqlite.copies import backup, compact, restore
from gallery.stores.sqlite.erasure_records.made_copies import read_copies
from gallery.stores.sqlite.file.files import PAGE_SIZE
from gallery.stores.sqlite.schema import MIGRATIONS
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify

DIMENSION = 64
ROOT = Path(__file__).resolve().parents[5]


def vector(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).normal(size=DIMENSION).astype(np.float32)


def opened(path: Path) -> Galleries:
    return Galleries(SqliteStore(path), contract="c", dimension=DIMENSION, max_templates_per_subject=20)


def enroll(galleries: Galleries, number: int) -> None:
    enrollment = Enrollment(vector(number), "c", f"picture {number}", (0, 0, 9, 9), 1.0, f"Name {number}")
    galleries.enroll("g", f"s{number}", enrollment, validate_only=False)


def filled(path: Path, count: int = 30) -> Galleries:
    galleries = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    for number in range(count):
        enroll(galleries, number)
    return galleries


def subjects(path: Path) -> set[str]:
    galleries = opened(path)
    found = {subject.subject_id for subject in galleries.list_subjects("g", page_size=1000).items}
    assert galleries.get_gallery("g").template_count == len(found)
    galleries.close()
    return found


def numbered(*ranges: range) -> set[str]:
    return {f"s{number}" for numbers in ranges for number in numbers}


def damage(path: Path) -> None:
    """Garble the last pages, which hold templates."""
    data = bytearray(path.read_bytes())
    data[-PAGE_SIZE - 3000 : -PAGE_SIZE] = bytes(3000)
    path.write_bytes(data)


def script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "gallery.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_backup_during_enrolments_is_consistent(tmp_path: Path) -> None:
    path, copy = tmp_path / "facet.db", tmp_path / "copy.db"
    galleries = filled(path)
    done = threading.Event()

    def keep_enrolling() -> None:
        number = 30
        while not done.is_set() or number < 50:
            enroll(galleries, number)
            number += 1

    enrolling = threading.Thread(target=keep_enrolling)
    enrolling.start()
    result = script("backup", path, copy, "--json")
    done.set()
    enrolling.join()
    galleries.close()
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["templates"] >= 30
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("copy.db?*"))
    assert subjects(copy) == numbered(range(said["templates"]))
    assert subjects(path) >= numbered(range(50))


def test_a_backup_can_be_read_on_a_read_only_disk(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    filled(path).close()
    found = backup(path, tmp_path / "copy.db")
    assert (found.galleries[0].templates, found.problems) == (30, ())
    connection = sqlite3.connect(f"{(tmp_path / 'copy.db').as_uri()}?immutable=1", uri=True)
    assert connection.execute("SELECT COUNT(*) FROM templates").fetchone() == (30,)
    connection.close()


def test_a_backup_replaces_a_file_only_with_replace(tmp_path: Path) -> None:
    path, copy = tmp_path / "facet.db", tmp_path / "copy.db"
    filled(path).close()
    copy.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        backup(path, copy)
    assert copy.read_bytes() == b"precious"
    result = script("backup", path, copy)
    assert (result.returncode, "--replace" in result.stderr) == (1, True)
    (tmp_path / "copy.db.partial").write_bytes(b"left by a killed backup")
    backup(path, copy, replace=True)
    assert subjects(copy) == numbered(range(30))
    assert not (tmp_path / "copy.db.partial").exists()


def test_a_damaged_database_does_not_replace_a_good_backup(tmp_path: Path) -> None:
    path, copy = tmp_path / "facet.db", tmp_path / "copy.db"
    filled(path, 200).close()
    backup(path, copy)
    damage(path)
    with pytest.raises(StorageUnavailable, match="damaged"):
        backup(path, copy, replace=True)
    assert verify(copy).problems == ()
    assert [each.name for each in tmp_path.glob("copy.db*")] == ["copy.db"]
    assert len(read_copies(path)) == 1


def test_a_backup_of_no_database_or_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    with pytest.raises(StorageUnavailable, match="there is no database"):
        backup(path, tmp_path / "copy.db")
    filled(path, 1).close()
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        backup(path, tmp_path / "missing" / "copy.db")
    (tmp_path / "text").write_text("no database")
    assert script("backup", tmp_path / "text", tmp_path / "copy.db").returncode == 1
    assert not (tmp_path / "copy.db").exists()


def test_a_deletion_during_a_backup_waits_and_then_erases_its_traces(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = filled(path)
    copying, deleted = threading.Event(), threading.Event()

    def delete() -> None:
        copying.wait()
        galleries.delete_subject("g", "s7")
        deleted.set()

    deleting = threading.Thread(target=delete)
    deleting.start()

    def progress(_done: int, _total: int) -> None:
        copying.set()
        while galleries.search("g", vector(7)[None], top_k=1)[0].decision is Decision.MATCH:
            pass
        # Enrolments do not wait for the backup, as the deletion does.
        enroll(galleries, 100 + len(galleries.list_subjects("g", page_size=1000).items))
        assert not deleted.is_set()

    backup(path, tmp_path / "copy.db", progress=progress)
    deleting.join()
    assert not any(b"Name 7" in each.read_bytes() for each in tmp_path.glob("facet.db*"))
    assert (tmp_path / "copy.db").read_bytes().count(b"Name 7") == 1
    galleries.close()


def test_a_restored_database_equals_the_backup(tmp_path: Path) -> None:
    path, copy = tmp_path / "facet.db", tmp_path / "copy.db"
    filled(path).close()
    backup(path, copy)
    galleries = opened(path)
    for number in range(30, 60):
        enroll(galleries, number)
    # As after a crash: the latest writes are only in the log, which must not be mixed with the backup.
    for name in ("facet.db", "facet.db-wal", "facet.db-shm"):
        shutil.copy(tmp_path / name, tmp_path / f"crashed-{name}")
    galleries.close()
    for name in ("facet.db", "facet.db-wal", "facet.db-shm"):
        (tmp_path / f"crashed-{name}").replace(tmp_path / name)
    with pytest.raises(FileExistsError):
        restore(copy, path)
    result = script("restore", copy, path, "--replace", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["templates"] == 30
    assert not (tmp_path / "facet.db-wal").exists()
    assert subjects(path) == numbered(range(30))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert verify(copy).problems == ()


def test_a_database_in_use_is_not_replaced(tmp_path: Path) -> None:
    path, copy = tmp_path / "facet.db", tmp_path / "copy.db"
    galleries = filled(path)
    backup(path, copy)
    enroll(galleries, 30)
    for attempt in (lambda: restore(copy, path, replace=True), lambda: compact(path)):
        with pytest.raises(StorageBusy):
            attempt()
    galleries.close()
    assert subjects(path) == numbered(range(31))


def test_a_link_to_a_database_works_like_its_path_and_stays_a_link(tmp_path: Path) -> None:
    path, link, copy = tmp_path / "data" / "facet.db", tmp_path / "link.db", tmp_path / "copy.db"
    path.parent.mkdir()
    link.symlink_to(path)
    galleries = filled(path)
    backup(link, copy)
    for attempt in (lambda: restore(copy, link, replace=True), lambda: compact(link)):
        with pytest.raises(StorageBusy):
            attempt()
    enroll(galleries, 30)
    galleries.close()
    restore(copy, link, replace=True)
    assert subjects(path) == numbered(range(30))
    compact(link)
    kept = tmp_path / "kept.db"
    kept.symlink_to(tmp_path / "data" / "kept.db")
    backup(link, kept)
    assert link.is_symlink()
    assert kept.is_symlink()
    assert subjects(tmp_path / "data" / "kept.db") == subjects(path) == numbered(range(30))


def test_a_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    path, copy = tmp_path / "facet.db", tmp_path / "copy.db"
    filled(path, 200).close()
    backup(path, copy)
    damage(copy)
    for wrong in (copy, tmp_path / "missing.db", ROOT / "README.md"):
        result = script("restore", wrong, path, "--replace")
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
    assert subjects(path) == numbered(range(200))
    assert not list(tmp_path.glob("*.partial"))


def test_a_damaged_database_can_be_replaced_by_its_backup(tmp_path: Path) -> None:
    path, copy = tmp_path / "facet.db", tmp_path / "copy.db"
    filled(path).close()
    backup(path, copy)
    path.write_bytes(b"no database at all" * 1000)
    restore(copy, path, replace=True)
    assert subjects(path) == numbered(range(30))


def test_a_compacted_database_is_smaller_and_has_the_same_contents(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = filled(path, 300)
    for number in range(250):
        galleries.delete_subject("g", f"s{number}")
    galleries.close()
    result = script("compact", path, "--json")
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["bytes_after"] == path.stat().st_size < said["bytes_before"]
    assert subjects(path) == numbered(range(250, 300))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_compaction_enlarges_small_pages(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    filled(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA page_size = 4096")
    connection.execute("VACUUM")
    connection.close()
    compact(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA page_size").fetchone() == (PAGE_SIZE,)
    connection.close()
    assert subjects(path) == numbered(range(30))


def test_a_sound_database_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = filled(path)
    result = script("verify", path, "--json")
    galleries.close()
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["sound"], said["problems"], said["schema_version"]) == (True, [], len(MIGRATIONS))
    wanted = {"gallery_id": "g", "contract": "c", "dimension": DIMENSION, "subjects": 30, "templates": 30}
    wanted["other_embeddings"] = []
    assert said["galleries"] == [wanted]
    assert "sound" in script("verify", path).stdout


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE galleries SET template_count = 31", "claims 30 subjects and 31 templates"),
        ("UPDATE templates SET embedding = zeroblob(256) WHERE key = 9", "not of unit length"),
        ("UPDATE templates SET embedding = substr(embedding, 1, 128) WHERE key = 9", "differ in length"),
        ("DELETE FROM subjects WHERE key = 5", "refers to a missing row of subjects"),
        ("UPDATE subjects SET consent_basis = 'because', consent_time = 0 WHERE key = 5", "a consent"),
        ("UPDATE subjects SET consent_basis = 'consent' WHERE key = 5", "a consent"),
        ("UPDATE templates SET expire_time = 1 << 62 WHERE key = 5", "an expiry"),
        ("UPDATE galleries SET template_retention = -1", "a retention"),
    ],
)
def test_problems_are_reported(tmp_path: Path, statement: str, named: str) -> None:
    path = tmp_path / "facet.db"
    filled(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()
    assert named in " ".join(verify(path).problems)
    result = script("verify", path)
    assert result.returncode == 1
    assert "damaged: " in result.stdout


def test_different_dimensions_under_one_contract_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = filled(path, 3)
    galleries.create_gallery("h", display_name="", threshold=0.5)
    galleries.close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE templates SET gallery_key = 2, embedding = x'0000803f' WHERE key = 1")
    connection.execute("UPDATE galleries SET template_count = 2 - template_count / 3")
    connection.close()
    assert "differ in dimension: [1, 64]" in " ".join(verify(path).problems)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    filled(path, 1).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SchemaTooNew):
        verify(path)
    result = script("verify", path)
    assert (result.returncode, "schema version 99" in result.stderr) == (1, True)


def test_an_exported_gallery_and_other_files_are_not_shown_as_empty_databases(tmp_path: Path) -> None:
    exported, text = tmp_path / "folk.parquet", tmp_path / "notes.txt"
    exported.write_bytes(b"PAR1" + bytes(1000) + b"PAR1")
    for command in (("verify", exported), ("compact", exported), ("backup", exported, tmp_path / "copy")):
        result = script(*command)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"scripts/gallery.py import {exported} --gallery NAME" in result.stderr
    text.write_text("no database\n" * 100)
    result = script("verify", text)
    assert result.returncode == 1
    assert "schema version" not in result.stdout
    assert "damaged: file is not a database\n" in result.stdout


@pytest.mark.parametrize("command", ["backup", "restore", "verify", "compact"])
def test_every_command_has_help(command: str) -> None:
    shown = script(command, "--help")
    assert shown.returncode == 0
    assert "--json" in shown.stdout
    assert "server" in shown.stdout
    assert script(command).returncode == 2


def test_the_script_does_not_hide_the_package_from_those_beside_it() -> None:
    for program in ("serve.py", "bench.py"):
        command = [sys.executable, str(ROOT / "scripts" / program), "--help"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
