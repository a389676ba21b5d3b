"""The gallery "g" of guests, and a master key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.encryption.master_keys import KeyFile, new_key
from gallery.galleries import Galleries
from tests.unit.gallery.samples import opened


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    yield galleries
    galleries.close()


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """A file with one new master key."""
    path = tmp_path / "master.key"
    path.touch(0o600)
    path.write_text(new_key())
    return KeyFile(path)
