"""The gallery "g" of guests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.galleries import Galleries
from tests.unit.gallery.samples import opened


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    yield galleries
    galleries.close()
