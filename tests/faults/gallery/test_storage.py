"""Galleries on a machine that fails: killed processes, full and read-only disks, damaged files."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.errors import GalleryNotFound, StorageBusy, StorageError, StorageFull, StorageUnavailable, SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.records import Enrollment, Gallery, StoredFace, Subject, Template
from gallery.stores.sqlite.files import PAGE_SIZE
from gallery.stores.sqlite.store import SqliteStore
from gallery.stores.sqlite.verify import verify

DIMENSION = 128
ROOT = Path(__file__).resolve().parents[3]

ENROLLER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_gallery_storage import enroll, opened
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


def opened(path: Path) -> tuple[Galleries, SqliteStore]:
    store = SqliteStore(path)
    return Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20), store


def open_and_close(path: Path) -> None:
    store = SqliteStore(path)
    try:
        Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
    finally:
        store.close()


def vector(number: int) -> NDArray[np.float32]:
    return np.random.default_rng(number).normal(size=DIMENSION).astype(np.float32)


def enroll(galleries: Galleries, number: int) -> str:
    enrollment = Enrollment(vector(number), "c", f"picture {number}", (0, 0, 9, 9), 1.0, f"Name {number}")
    return galleries.enroll("g", f"s{number}", enrollment).template.template_id


def found(galleries: Galleries, number: int) -> tuple[str, str]:
    """Whom the gallery takes the face for, and by which template."""
    (answer,) = galleries.search("g", vector(number)[None], top_k=1)
    if not answer.candidates or answer.candidates[0].similarity < 0.999:
        return "", ""
    return answer.candidates[0].subject_id, answer.candidates[0].template_id


def agree(galleries: Galleries, numbers: range) -> list[int]:
    """Who is in the gallery; on disk and in memory alike."""
    there = [number for number in numbers if found(galleries, number)[0]]
    listed = galleries.list_subjects("g", page_size=1000).items
    assert sorted(subject.subject_id for subject in listed) == sorted(f"s{number}" for number in there)
    return there


@pytest.mark.parametrize("acknowledgements", [1, 23, 60])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, acknowledgements: int) -> None:
    path = tmp_path / "facet.db"
    process = subprocess.Popen(
        [sys.executable, "-c", ENROLLER, str(path), str(Path(__file__).parent), str(ROOT)],
        stdout=subprocess.PIPE,
        text=True,
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
    there = set(agree(galleries, range(last + 2)))
    # What was under way when the process died may be done or not.
    under_way = {last + 1, last - 2}
    assert there - under_way == set(acknowledged) - under_way
    assert there >= set(acknowledged) - ({last - 2} if last % 5 == 4 else set())
    assert all(found(galleries, number) == (f"s{number}", acknowledged[number]) for number in there & set(acknowledged))
    enroll(galleries, last + 2)
    galleries.close()


def test_a_log_that_was_torn_by_a_power_cut_leaves_the_first_so_many(tmp_path: Path) -> None:
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
        there = agree(reopened, range(20))
        assert there == list(range(len(there)))
        counts.append(len(there))
        reopened.close()
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= 18


def enroll_all(galleries: Galleries, numbers: range) -> None:
    for number in numbers:
        enroll(galleries, number)


def fill_up(store: SqliteStore) -> None:
    # As a full disk: SQLite may not make the file any larger.
    (pages,) = store._database.connection.execute("PRAGMA page_count").fetchone()
    store._database.connection.execute(f"PRAGMA max_page_count = {pages}")


def forbid_writing(store: SqliteStore) -> None:
    # As a read-only disk, whose permissions would not stop the tests' own user where that is root.
    store._database.connection.execute("PRAGMA query_only = ON")


@pytest.mark.parametrize(
    ("fail", "error"), [(fill_up, StorageFull), (forbid_writing, StorageUnavailable)], ids=["full", "read-only"]
)
def test_a_write_that_fails_leaves_nothing_and_reading_goes_on(
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
    kept = len(agree(galleries, range(200)))
    assert kept >= 10
    assert str(path) in str(refused.value)
    assert agree(galleries, range(kept + 1)) == list(range(kept))
    with pytest.raises(SubjectNotFound):
        galleries.get_subject("g", f"s{kept}")
    if error is StorageUnavailable:
        with pytest.raises(error):
            galleries.delete_subject("g", "s3")
        with pytest.raises(error):
            galleries.update_subject("g", "s3", display_name="new")
        with pytest.raises(error):
            galleries.create_gallery("h", display_name="", threshold=0.5)
        with pytest.raises(GalleryNotFound):
            galleries.get_gallery("h")
        assert galleries.get_subject("g", "s3").display_name == "Name 3"
        assert agree(galleries, range(kept + 1)) == list(range(kept))
    galleries.close()
    reopened, _ = opened(path)
    assert agree(reopened, range(kept + 1)) == list(range(kept))
    enroll(reopened, kept)
    reopened.close()


def test_on_a_full_disk_a_subject_can_still_be_forgotten(tmp_path: Path) -> None:
    galleries, store = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    for number in range(10):
        enroll(galleries, number)
    fill_up(store)
    galleries.delete_subject("g", "s3")
    assert agree(galleries, range(10)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    galleries.close()


def test_traces_that_another_reader_kept_are_erased_when_it_has_finished(tmp_path: Path) -> None:
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
        with pytest.raises(StorageBusy):
            galleries.delete_subject("g", f"s{number}")
    assert agree(galleries, range(4)) == [0, 3]
    enroll(galleries, 4)
    reader.close()
    # By the next deletion at the latest, also where that finds nothing to delete; by itself within seconds.
    with pytest.raises(SubjectNotFound):
        galleries.delete_subject("g", "s1")
    assert not any(b"Name 1" in each.read_bytes() or b"Name 2" in each.read_bytes() for each in tmp_path.iterdir())
    galleries.close()


def garble_header(data: bytearray) -> None:
    data[:16] = b"\0" * 16


def cut_in_half(data: bytearray) -> None:
    del data[len(data) // 2 :]


def cut_in_a_page(data: bytearray) -> None:
    del data[-1000:]


def garble_pages(data: bytearray) -> None:
    data[4096:] = np.random.default_rng(0).bytes(len(data) - 4096)


def garble_an_embedding(data: bytearray) -> None:
    unit = vector(5).astype(np.float64)
    blob = (unit / np.linalg.norm(unit)).astype("<f4").tobytes()
    at = data.index(blob)
    data[at : at + 64] = b"\xff" * 64


@pytest.mark.parametrize("damage", [garble_header, cut_in_half, cut_in_a_page, garble_pages, garble_an_embedding])
def test_a_damaged_database_is_refused_with_its_name(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    path = tmp_path / "facet.db"
    galleries, _ = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    for number in range(40):
        enroll(galleries, number)
    galleries.close()
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(StorageUnavailable) as refused:
            open_and_close(path)
        assert str(path) in str(refused.value)


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    path.touch()
    galleries, _ = opened(path)
    assert galleries.list_galleries(page_size=1).items == ()
    galleries.close()


@pytest.mark.parametrize("place", ["missing/facet.db", "a file/facet.db", "a folder"])
def test_a_place_where_no_database_can_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "a folder").mkdir()
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        SqliteStore(tmp_path / place)


def test_embeddings_of_another_dimension_under_this_contract_are_refused(tmp_path: Path) -> None:
    galleries, _ = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    enroll(galleries, 0)
    galleries.close()
    store = SqliteStore(tmp_path / "facet.db")
    with pytest.raises(StorageUnavailable, match="128 values"):
        Galleries(store, contract="c", dimension=64, max_templates_per_subject=20)
    store.close()


def faces(numbers: range) -> list[StoredFace]:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    return [
        StoredFace(
            Subject("i", f"s{number}", f"Name {number}", 0, now, now, "etag"),
            Template(f"t{number}", "i", f"s{number}", "p", (0, 0, 9, 9), 1.0, now),
            vector(number) / np.linalg.norm(vector(number)),
            None,
        )
        for number in numbers
    ]


def to_import(gallery_id: str) -> Gallery:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    return Gallery(gallery_id, "", 0.5, 1, "c", 0, 0, now, now, "etag")


@pytest.mark.parametrize(
    ("fail", "error"), [(fill_up, StorageFull), (forbid_writing, StorageUnavailable)], ids=["full", "read-only"]
)
def test_an_import_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, fail: Callable[[SqliteStore], None], error: type[StorageError]
) -> None:
    path = tmp_path / "facet.db"
    galleries, store = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    enroll_all(galleries, range(10))
    importing = store.begin_import(to_import("i"))
    importing.add(faces(range(600)))
    fail(store)
    with pytest.raises(error, match=str(path)):
        importing.add(faces(range(600, 5000)))
    importing.abort()
    assert agree(galleries, range(10)) == list(range(10))
    with pytest.raises(GalleryNotFound):
        galleries.get_gallery("i")
    galleries.close()
    reopened, store = opened(path)
    store.scrub()
    assert agree(reopened, range(11)) == list(range(10))
    assert store._database.connection.execute("SELECT COUNT(*) FROM templates").fetchone() == (10,)
    again = store.begin_import(to_import("i"))
    again.add(faces(range(600)))
    assert again.commit().template_count == 600
    reopened.close()


ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from gallery.errors import StorageError, StorageFull, StorageUnavailable
from test_gallery_storage import agree, enroll, enroll_all, faces, opened, to_import
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
    assert agree(galleries, range(kept + 2)) == list(range(kept))
    importing = None
    try:
        importing = store.begin_import(to_import("i"))
        importing.add(faces(range(5000)))
        raise AssertionError("there was room")
    except StorageFull:
        pass
    if importing:
        importing.abort()
    assert agree(galleries, range(kept + 2)) == list(range(kept))
    (disk / "ballast").unlink()
    enroll_all(galleries, range(kept, kept + 3))
    galleries.delete_subject("g", "s0")
    galleries.close()
    galleries, store = opened(disk / "facet.db")
    assert agree(galleries, range(kept + 4)) == list(range(1, kept + 3))
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


def test_a_disk_that_is_really_full_or_read_only_loses_nothing(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of its own can be mounted here")
    command = [*alone, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path), str(Path(__file__).parent), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("kept ")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of some hundred templates."""
    path = tmp_path_factory.mktemp("sound") / "facet.db"
    galleries, _ = opened(path)
    galleries.create_gallery("g", display_name="", threshold=0.99)
    enroll_all(galleries, range(300))
    galleries.close()
    return path.read_bytes()


def use(path: Path) -> None:
    """What a server does with a database, as far as it goes."""
    store = SqliteStore(path)
    try:
        galleries = Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=20)
        for number in range(0, 300, 10):
            found(galleries, number)
        for subject in galleries.list_subjects("g", page_size=1000).items[::10]:
            galleries.list_templates("g", subject.subject_id, page_size=10)
        enroll(galleries, 1000)
        galleries.update_subject("g", "s1000", display_name="new")
        galleries.delete_subject("g", "s1000")
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(40))
def test_a_corrupted_page_is_said_to_be_damage_and_crashes_nothing(tmp_path: Path, sound: bytes, seed: int) -> None:
    path = tmp_path / "facet.db"
    rng = np.random.default_rng(seed)
    data = bytearray(sound)
    # Some bytes behind the header of the file, as a disk or a cable garbles them.
    at = int(rng.integers(100, len(data) - 600))
    length = int(rng.choice([1, 16, 512]))
    data[at : at + length] = rng.bytes(length)
    path.write_bytes(data)
    problems = verify(path).problems
    try:
        use(path)
    except StorageError as error:
        refusal = str(error)
    except (SubjectNotFound, GalleryNotFound):
        # A garbled id is another id.
        refusal = ""
    else:
        refusal = ""
    if refusal:
        assert str(path) in refusal
        assert problems, refusal


def test_a_database_that_is_damaged_in_the_middle_is_refused_with_what_to_do(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "facet.db"
    data = bytearray(sound)
    middle = len(data) // 2 // PAGE_SIZE * PAGE_SIZE
    data[middle : middle + PAGE_SIZE] = np.random.default_rng(0).bytes(PAGE_SIZE)
    path.write_bytes(data)
    assert verify(path).problems
    with pytest.raises(StorageUnavailable, match=r"damaged.*gallery\.py restore"):
        open_and_close(path)
    with pytest.raises(StorageUnavailable, match=r"damaged.*gallery\.py restore"):
        SqliteStore(path, check=True)
