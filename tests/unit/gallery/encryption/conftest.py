"""Master keys for tests of encryption."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.encryption.master_keys import KeyFile, MasterKeys, new_key


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """A file with one new master key."""
    path = tmp_path / "master.key"
    path.touch(0o600)
    path.write_text(new_key())
    return KeyFile(path)


@pytest.fixture
def masters(key_file: KeyFile) -> MasterKeys:
    """The key of that file."""
    return key_file.read()
