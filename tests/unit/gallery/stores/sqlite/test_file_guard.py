"""The guard of an open database file."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gallery.stores.sqlite.file.file_guard import FileGuard


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "facet.db", os.O_RDWR | os.O_CREAT)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield descriptor
    finally:
        sys.setswitchinterval(before)
        os.close(descriptor)


def test_a_file_that_grows_while_several_threads_look_was_not_cut_off(tmp_path: Path, file: int) -> None:
    """As a checkpoint lets it grow while changes are checked. A file that was then cut off is noticed for good."""
    guard = FileGuard(tmp_path / "facet.db", file, (), None)
    is_over = threading.Event()

    def grow() -> None:
        while not is_over.is_set():
            os.write(file, b"page")

    def looks() -> bool:
        return all(guard.note_size() for _ in range(2000))

    with ThreadPoolExecutor(5) as threads:
        threads.submit(grow)
        looking = [threads.submit(looks) for _ in range(4)]
        found = [each.result() for each in looking]
        is_over.set()
    assert found == [True] * 4
    os.ftruncate(file, 4)
    assert not guard.note_size()
    os.write(file, b"page" * 100_000)
    assert not guard.note_size()
