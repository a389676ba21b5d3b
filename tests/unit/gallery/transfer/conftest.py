"""A store, and its galleries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.galleries import Galleries
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.transfer.samples import CONTRACT, DIMENSION


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "facet.db")


@pytest.fixture
def galleries(store: SqliteStore) -> Iterator[Galleries]:
    opened = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=10)
    yield opened
    opened.close()
