"""Killed processes, torn logs, and disks that are full or read-only."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gallery.errors import GalleryNotFound, StorageBusy, StorageError, StorageFull, StorageUnavailable, SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.subjects import renaming
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.faults.gallery.samples import (
    DIMENSION,
    best_match,
    enroll,
    enroll_all,
    found_subjects,
    new_faces,
    new_gallery,
    opened,
)
from tests.faults.promises import Seen, promises

ROOT = Path(__file__).resolve().parents[3]

ENROLLER = """
import sys
from pathlib import Path
from tests.faults.gallery.samples import enroll, opened
galleries, _ = opened(Path(sys.argv[1]))
galleries.create_gallery("g", display_name="", threshold=0.99)
print("ready", flush=True)
number = 0
while True:
    print(number, enroll(galleries, number), flush=True)
    if number % 5 == 4:
        galleries.delete_subject("g", f"s{number - 2}")
        print("gone", number - 2, flush=True)
    number += 1
"""


@pytest.mark.parametrize("acknowledgements", [1, 23, 60])
def test_acknowledged_enrolments_survive_a_kill(tmp_path: Path, acknowledgements: int) -> None:
    path = tmp_path / "facet.db"
    process = subprocess.Popen(
        [sys.executable, "-c", ENROLLER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    acknowledged: dict[int, str] = {}
    assert process.stdout.readline() == "ready\n"

    def take(line: str) -> None:
        if not line.endswith("\n"):
            return
        first, second = line.split()
        if first == "gone":
            del acknowledged[int(second)]
        else:
            acknowledged[int(first)] = second

    for _ in range(acknowledgements):
        take(process.stdout.readline())
    with pytest.raises(StorageBusy):
        SqliteStore(path)
    process.kill()
    for line in process.stdout:
        take(line)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL

    last = max(acknowledged)
    galleries, _ = opened(path)
    there = set(found_subjects(galleries, range(last + 2)))
    # What was under way when the process died may be done or not.
    under_way = {last + 1, last - 2}
    assert there - under_way == set(acknowledged) - under_way
    assert there >= set(acknowledged) - ({last - 2} if last % 5 == 4 else set())
    assert all(
        best_match(galleries, number) == (f"s{number}", acknowledged[number]) for number in there & set(acknowledged)
    )
    enroll(galleries, last + 2)
    galleries.close()


@promises(
    "database files",
    "the end of the write-ahead log is cut off and overwritten with garbage",
    "what precedes the damage is kept, without gaps",
)
def test_a_torn_log_keeps_the_earliest_enrolments(tmp_path: Path, seen: Seen) -> None:
    path = tmp_path / "facet.db"
    galleries, _ = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    for number in range(20):
        enroll(galleries, number)
    copies = tmp_path / "copies"
    copies.mkdir()
    for name in ("facet.db", "facet.db-wal"):
        shutil.copy(tmp_path / name, copies / name)
    galleries.close()
    log = (copies / "facet.db-wal").read_bytes()
    database = (copies / "facet.db").read_bytes()
    counts = []
    for share in (0.99, 0.7, 0.5, 0.2):
        for beside in copies.iterdir():
            beside.unlink()
        (copies / "facet.db").write_bytes(database)
        (copies / "facet.db-wal").write_bytes(log[: int(len(log) * share)] + b"\xa5" * 1000)
        reopened, _ = opened(copies / "facet.db")
        there = found_subjects(reopened, range(20))
        assert there == list(range(len(there)))
        counts.append(len(there))
        reopened.close()
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= 18
    seen(f"of 20 enrolments {', '.join(map(str, counts))} kept, with 99, 70, 50 and 20 % of the log")


def fill_up(store: SqliteStore) -> None:
    # As a full disk: SQLite may not make the file any larger.
    (pages,) = store.database.connection.execute("PRAGMA page_count").fetchone()
    store.database.connection.execute(f"PRAGMA max_page_count = {pages}")


def forbid_writing(store: SqliteStore) -> None:
    # As a read-only disk, whose permissions would not stop the tests' own user where that is root.
    store.database.connection.execute("PRAGMA query_only = ON")


@pytest.mark.parametrize(
    ("fail", "error"), [(fill_up, StorageFull), (forbid_writing, StorageUnavailable)], ids=["full", "read-only"]
)
def test_a_failed_write_changes_nothing_and_reads_continue(
    tmp_path: Path, fail: Callable[[SqliteStore], None], error: type[StorageError]
) -> None:
    path = tmp_path / "facet.db"
    galleries, store = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    for number in range(10):
        enroll(galleries, number)
    fail(store)
    with pytest.raises(error) as refused:
        enroll_all(galleries, range(10, 200))
    kept = len(found_subjects(galleries, range(200)))
    assert kept >= 10
    assert str(path) in str(refused.value)
    assert found_subjects(galleries, range(kept + 1)) == list(range(kept))
    with pytest.raises(SubjectNotFound):
        galleries.get_subject("g", f"s{kept}")
    if error is StorageUnavailable:
        with pytest.raises(error):
            galleries.delete_subject("g", "s3")
        with pytest.raises(error):
            galleries.update_subject("g", "s3", renaming("new"))
        with pytest.raises(error):
            galleries.create_gallery("h", display_name="", threshold=0.5)
        with pytest.raises(GalleryNotFound):
            galleries.get_gallery("h")
        assert galleries.get_subject("g", "s3").display_name == "Name 3"
        assert found_subjects(galleries, range(kept + 1)) == list(range(kept))
    galleries.close()
    reopened, _ = opened(path)
    assert found_subjects(reopened, range(kept + 1)) == list(range(kept))
    enroll(reopened, kept)
    reopened.close()


def test_a_subject_can_be_deleted_on_a_full_disk(tmp_path: Path) -> None:
    galleries, store = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    for number in range(10):
        enroll(galleries, number)
    fill_up(store)
    galleries.delete_subject("g", "s3")
    assert found_subjects(galleries, range(10)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    galleries.close()


def test_traces_kept_by_another_reader_are_erased_once_it_has_finished(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    store = SqliteStore(path, patience=0)
    galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    for number in range(4):
        enroll(galleries, number)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM subjects").fetchone()
    for number in (1, 2):
        with pytest.raises(StorageBusy) as delayed:
            galleries.delete_subject("g", f"s{number}")
        assert delayed.value.metadata == {"change_was_made": "true"}
        assert "needs no repetition" in delayed.value.public_message
    # What was refused for another reason says that reason, and claims no change.
    with pytest.raises(SubjectNotFound):
        galleries.delete_subject("g", "nobody")
    assert found_subjects(galleries, range(4)) == [0, 3]
    enroll(galleries, 4)
    reader.close()
    # By the next deletion at the latest, also where that finds nothing to delete; by itself within seconds.
    with pytest.raises(SubjectNotFound):
        galleries.delete_subject("g", "s1")
    assert not any(b"Name 1" in each.read_bytes() or b"Name 2" in each.read_bytes() for each in tmp_path.iterdir())
    galleries.close()


@pytest.mark.parametrize(
    ("fail", "error"), [(fill_up, StorageFull), (forbid_writing, StorageUnavailable)], ids=["full", "read-only"]
)
def test_a_failed_import_leaves_nothing(
    tmp_path: Path, fail: Callable[[SqliteStore], None], error: type[StorageError]
) -> None:
    path = tmp_path / "facet.db"
    galleries, store = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    enroll_all(galleries, range(10))
    importing = store.begin_import(new_gallery("i"))
    importing.add(new_faces(range(600)))
    fail(store)
    with pytest.raises(error, match=str(path)):
        importing.add(new_faces(range(600, 5000)))
    importing.abort()
    assert found_subjects(galleries, range(10)) == list(range(10))
    with pytest.raises(GalleryNotFound):
        galleries.get_gallery("i")
    galleries.close()
    reopened, store = opened(path)
    store.scrub()
    assert found_subjects(reopened, range(11)) == list(range(10))
    assert store.database.connection.execute("SELECT COUNT(*) FROM templates").fetchone() == (10,)
    again = store.begin_import(new_gallery("i"))
    again.add(new_faces(range(600)))
    assert again.commit().template_count == 600
    reopened.close()


ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
from gallery.errors import StorageError, StorageFull, StorageUnavailable
from tests.faults.gallery.samples import enroll, enroll_all, found_subjects, new_faces, new_gallery, opened
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)
try:
    (disk / "ballast").write_bytes(bytes(1_000_000))
    galleries, store = opened(disk / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    kept = 0
    try:
        while True:
            enroll(galleries, kept)
            kept += 1
    except StorageFull:
        pass
    assert kept > 10
    assert found_subjects(galleries, range(kept + 2)) == list(range(kept))
    store.database.check_room(0)  # empties the log, so that the import begins
    importing = None
    try:
        importing = store.begin_import(new_gallery("i"))
        importing.add(new_faces(range(5000)))
        raise AssertionError("there was room")
    except StorageFull:
        pass
    if importing:
        importing.abort()
    assert found_subjects(galleries, range(kept + 2)) == list(range(kept))
    (disk / "ballast").unlink()
    enroll_all(galleries, range(kept, kept + 3))
    galleries.delete_subject("g", "s0")
    galleries.close()
    galleries, store = opened(disk / "facet.db")
    assert found_subjects(galleries, range(kept + 4)) == list(range(1, kept + 3))
    assert [gallery.gallery_id for gallery in store.galleries(after="", limit=9)] == ["g"]
    galleries.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        opened(disk / "facet.db")
        raise AssertionError("it could be written")
    except StorageUnavailable as error:
        assert "Read-only file system" in str(error) and str(disk) in str(error)
    print("kept", kept)
finally:
    subprocess.run(["umount", disk], check=True)
"""


@promises(
    "disk",
    "a disk of 4 MB that fills up, and is then remounted read-only",
    "enrolments and imports are refused as full, and leave nothing; with room again both work; a database on a "
    "read-only disk is refused at the start by name",
)
def test_a_real_disk_that_is_full_or_read_only_loses_nothing(tmp_path: Path, seen: Seen) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of its own can be mounted here")
    command = [*alone, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("kept ")
    seen(f"{result.stdout.split()[1]} enrolments until it was full, all found; none half there")


DELETED_ON_A_SMALL_DISK = """
import os, subprocess, sys
from pathlib import Path
from gallery.errors import GalleryNotFound, StorageError, StorageFull
from tests.faults.gallery.samples import enroll_all, found_subjects, new_faces, new_gallery, opened

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", disk], check=True)
try:
    galleries, store = opened(disk / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    enroll_all(galleries, range(5))
    importing = store.begin_import(new_gallery("i"))
    importing.add(new_faces(range(3000)))
    importing.commit()
    galleries.close()
    galleries, store = opened(disk / "facet.db")
    there = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(there.f_bavail * there.f_frsize - int(sys.argv[2])))
    try:
        galleries.delete_gallery("i", force=True)
        said = "deleted"
    except StorageFull as error:
        said = "deleted, traces left" if error.change_was_made else "nothing"
    try:
        galleries.get_gallery("i")
        done = False
    except GalleryNotFound:
        done = True
    assert done == (said != "nothing"), said
    assert found_subjects(galleries, range(6)) == list(range(5))
    (disk / "ballast").unlink()
    store.scrub()
    galleries.delete_subject("g", "s0")
    names = b"".join(each.read_bytes() for each in disk.iterdir())
    assert (b"Name 2999" in names) == (not done)
    galleries.close()
    galleries, store = opened(disk / "facet.db")
    assert len(store.galleries(after="", limit=9)) == (1 if done else 2)
    galleries.close()
    print(said)
finally:
    subprocess.run(["umount", disk], check=True)
"""


@pytest.mark.parametrize(
    ("free", "allowed"), [(0, {"nothing"}), (150_000, {"deleted", "deleted, traces left"}), (4_000_000, {"deleted"})]
)
def test_a_deletion_on_a_full_disk_tells_the_truth(tmp_path: Path, free: int, allowed: set[str]) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of its own can be mounted here")
    command = [*alone, sys.executable, "-c", DELETED_ON_A_SMALL_DISK, str(tmp_path), str(free)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() in allowed


LIMITED = """
import resource, sys
from pathlib import Path
from gallery.errors import StorageFull
from tests.faults.gallery.samples import enroll, found_subjects, opened

galleries, store = opened(Path(sys.argv[1]) / "facet.db")
galleries.create_gallery("g", display_name="", threshold=0.99)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        enroll(galleries, kept)
        kept += 1
except StorageFull:
    pass
assert found_subjects(galleries, range(kept + 1)) == list(range(kept))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
enroll(galleries, kept)
galleries.close()
print(kept)
"""


def test_the_largest_size_of_a_file_is_told_as_no_room(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 3
