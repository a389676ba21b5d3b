"""The folder in memory that processes share: it goes with its server, or with the next start after that was killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from facet.server.processes.shared_folder import delete_left_folders, shared_folder


@pytest.fixture
def left() -> Iterator[Path]:
    """A folder as a killed server leaves it: its lock went with the server."""
    folder = Path(tempfile.mkdtemp(prefix="facet-index-", dir="/dev/shm"))
    (folder / "some.index").touch()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_folder_is_there_only_as_long_as_its_server(left: Path) -> None:
    with shared_folder() as folder:
        assert folder is not None
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "some.index").touch()
        delete_left_folders()
        assert list(folder.iterdir())
        assert not left.exists()
    assert not folder.exists()
