"""The store in a PostgreSQL server, in a schema of its own for every test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer

if TYPE_CHECKING:
    from gallery.stores.postgres.postgres_store import PostgresStore


@pytest.fixture
def schema() -> str:
    return f"test_{uuid.uuid4().hex}"


@pytest.fixture
def store(postgres_server: PostgresServer, schema: str) -> Iterator[PostgresStore]:
    from gallery.stores.postgres.postgres_store import PostgresStore

    made = PostgresStore(postgres_server.url, schema=schema)
    yield made
    made.close()
