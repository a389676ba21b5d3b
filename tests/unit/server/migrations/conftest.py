"""The galleries of a server with two models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.galleries import Galleries
from tests.unit.server.migrations.samples import NEW, THIRD, opened


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    """The empty gallery "g" of the old model; the server has two more."""
    made = opened(tmp_path / "facet.db", NEW, THIRD)
    made.create_gallery("g", display_name="", threshold=0.5)
    yield made
    made.close()
