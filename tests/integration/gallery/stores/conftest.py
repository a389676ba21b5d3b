"""Every store that the contract is tested with."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from gallery.encryption.master_keys import KeyFile, new_key
from gallery.records.galleries import Gallery
from gallery.stores.base import Store
from gallery.stores.milvus.milvus_store import MilvusStore
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.integration.gallery.stores.samples import new_gallery


@pytest.fixture(scope="module", params=["sqlite", "encrypted-sqlite", "milvus-lite", "milvus-server", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("stores")
    made: Store
    if request.param == "sqlite":
        made = SqliteStore(folder / "facet.db")
    elif request.param == "encrypted-sqlite":
        key = folder / "master.key"
        key.touch(0o600)
        key.write_text(new_key())
        made = SqliteStore(folder / "facet.db", master_keys=KeyFile(key))
    elif request.param == "milvus-lite":
        request.getfixturevalue("milvus_lite")
        made = MilvusStore(str(folder / "facet.db"))
    elif request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        from gallery.stores.postgres.postgres_store import PostgresStore

        made = PostgresStore(server.url, schema=f"contract_{uuid.uuid4().hex}")
    else:
        server = request.getfixturevalue("milvus_server")
        made = MilvusStore(server.uri, token=server.token, prefix="contract")
    yield made
    made.close()


@pytest.fixture
def gallery(store: Store) -> Gallery:
    made = new_gallery()
    store.create_gallery(made)
    return made
