"""The folder of index files: what is opened, what is deleted, and who waits for whom."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from gallery.errors import StorageUnavailable
from gallery.index.files.index_folder import IndexFolder
from gallery.index.files.segment_file import IndexKey, Rows, SegmentFile
from tests.waiting import until

KEY = IndexKey("team", 1_700_000_000_000_000, "contract", "epoch", 8)
ROWS = Rows(np.array(["t1", "t2"], "S36"), np.ones(2, np.float32), np.ones((2, 1), np.uint8), np.ones((2, 8), np.int16))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[IndexFolder]:
    folder = IndexFolder(tmp_path / "snapshots")
    yield folder
    folder.close()


def written(folder: IndexFolder) -> SegmentFile:
    return folder.write(KEY, ROWS, np.zeros(8, np.float32))


@contextmanager
def one_descriptor_left() -> Iterator[None]:
    """A file can be opened, but not mapped: that takes a second descriptor."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.open(os.devnull, os.O_RDONLY)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one + 1, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_good_file_that_cannot_be_opened_now_is_not_deleted(folder: IndexFolder) -> None:
    path = written(folder).path
    with one_descriptor_left(), pytest.raises(StorageUnavailable, match="cannot be used: Too many open files"):
        folder.files(KEY)
    assert [each.path for each in folder.files(KEY)] == [path]


def test_what_nothing_uses_is_deleted_and_what_others_put_there_stays(folder: IndexFolder) -> None:
    used, unused = written(folder).path, written(folder).path
    unfinished = used.with_name(f"{unused.stem}.part")
    unfinished.touch()
    begins = used.stem.partition("-")[0]
    others = [used.with_name(name) for name in ("books.index", "film.part", f"{begins}-copy.index", f"{used.name}.old")]
    for each in others:
        each.write_bytes(used.read_bytes())
    before = set(used.parent.iterdir())
    folder.keep_only([used])
    assert before - set(used.parent.iterdir()) == {unused, unfinished}
    assert [each.path for each in folder.files(KEY)] == [used]


def test_the_others_wait_for_the_one_that_writes_and_not_for_each_other(tmp_path: Path) -> None:
    one = IndexFolder(tmp_path / "snapshots")
    others: list[IndexFolder] = []

    def open_another() -> None:
        others.append(IndexFolder(tmp_path / "snapshots"))

    for _ in range(3):
        threading.Thread(target=open_another, daemon=True).start()
    assert not others
    one.let_others_load()
    until(lambda: len(others) == 3, "they load one after the other")
    assert [each.is_writer for each in (one, *others)] == [True, False, False, False]
    for each in (one, *others):
        each.close()
