"""Database files that are damaged, empty, or in the wrong place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gallery.errors import GalleryNotFound, StorageError, StorageUnavailable, SubjectNotFound
from gallery.galleries import Galleries
from gallery.records.subjects import renaming
from gallery.stores.sqlite.file.files import PAGE_SIZE
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify
from tests.faults.gallery.samples import (
    DIMENSION,
    best_match,
    enroll,
    enroll_all,
    open_and_close,
    opened,
    vector,
)
from tests.faults.promises import Seen, promises

ROOT = Path(__file__).resolve().parents[3]


def garble_header(data: bytearray) -> None:
    data[:16] = b"\0" * 16


def cut_in_half(data: bytearray) -> None:
    del data[len(data) // 2 :]


def cut_in_a_page(data: bytearray) -> None:
    del data[-1000:]


def garble_pages(data: bytearray) -> None:
    data[4096:] = np.random.default_rng(0).bytes(len(data) - 4096)


def blob(number: int) -> bytes:
    """An embedding as it is in the file."""
    unit = vector(number).astype(np.float64)
    return (unit / np.linalg.norm(unit)).astype("<f4").tobytes()


def garble_an_embedding(data: bytearray) -> None:
    at = data.index(blob(5))
    data[at : at + 64] = b"\xff" * 64


@pytest.mark.parametrize("damage", [garble_header, cut_in_half, cut_in_a_page, garble_pages, garble_an_embedding])
def test_a_damaged_database_is_refused_by_name(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
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
def test_a_path_that_cannot_be_a_database_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "a folder").mkdir()
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        SqliteStore(tmp_path / place)


def test_embeddings_of_another_dimension_are_refused(tmp_path: Path) -> None:
    galleries, _ = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="", threshold=0.99)
    enroll(galleries, 0)
    galleries.close()
    store = SqliteStore(tmp_path / "facet.db")
    with pytest.raises(StorageUnavailable, match="128 values"):
        Galleries(store, contract="c", dimension=64, max_templates_per_subject=20)
    store.close()


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
            best_match(galleries, number)
        for subject in galleries.list_subjects("g", page_size=1000).items[::10]:
            galleries.list_templates("g", subject.subject_id, page_size=10)
        enroll(galleries, 1000)
        galleries.update_subject("g", "s1000", renaming("new"))
        galleries.delete_subject("g", "s1000")
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(40))
def test_a_corrupted_page_is_reported_as_damage(tmp_path: Path, sound: bytes, seed: int) -> None:
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


@promises(
    "database files",
    "a page with templates is overwritten with garbage while no server runs",
    "the server does not start; it names the file and the commands that help",
)
def test_a_database_with_a_garbled_page_is_refused_with_a_remedy(tmp_path: Path, sound: bytes, seen: Seen) -> None:
    path = tmp_path / "facet.db"
    data = bytearray(sound)
    start = data.index(blob(150)) // PAGE_SIZE * PAGE_SIZE
    data[start : start + PAGE_SIZE] = np.random.default_rng(0).bytes(PAGE_SIZE)
    path.write_bytes(data)
    assert verify(path).problems
    with pytest.raises(StorageUnavailable, match=r"damaged.*facet gallery restore"):
        open_and_close(path)
    with pytest.raises(StorageUnavailable, match=r"damaged.*facet gallery restore"):
        SqliteStore(path, check=True)
    seen("refused as damaged, by name, with `facet gallery verify` and `facet gallery restore`")
