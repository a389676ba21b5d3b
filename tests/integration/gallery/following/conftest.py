"""Two servers' galleries in one database."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from gallery.galleries import Galleries
from tests.unit.gallery.samples import CONTRACT, DIMENSION

MAX_TEMPLATES = 5

Open = Callable[[], Galleries]


@pytest.fixture
def open_server(postgres_server: PostgresServer) -> Iterator[Open]:
    """Open the galleries of one more server; all of them have a schema of the test's own."""
    from gallery.stores.postgres.postgres_store import PostgresStore

    schema = f"s{uuid.uuid4().hex}"
    made: list[Galleries] = []

    def make() -> Galleries:
        galleries = Galleries(
            PostgresStore(postgres_server.url, schema=schema, timeout=5),
            contract=CONTRACT,
            dimension=DIMENSION,
            max_templates_per_subject=MAX_TEMPLATES,
        )
        made.append(galleries)
        return galleries

    yield make
    for galleries in made:
        galleries.close()


@pytest.fixture
def servers(open_server: Open) -> tuple[Galleries, Galleries]:
    """Two servers with the gallery "g" of guests."""
    one, other = open_server(), open_server()
    one.create_gallery("g", display_name="Guests", threshold=0.5)
    return one, other
