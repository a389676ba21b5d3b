"""A database with people in it, and its master key."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.encryption.master_keys import KeyFile, new_key


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """A file with a new master key, outside the database's folder."""
    path = tmp_path / "master.key"
    path.touch(0o600)
    path.write_text(new_key())
    return KeyFile(path)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet, in a folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "facet.db"
