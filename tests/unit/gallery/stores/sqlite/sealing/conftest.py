"""A database with people in it, and its master key."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet, in a folder of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "facet.db"
