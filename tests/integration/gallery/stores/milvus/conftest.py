"""The store in Milvus Lite and in a Milvus server, with both of its indexes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gallery.stores.milvus.milvus_store import MilvusStore


@pytest.fixture(scope="module", params=["lite", "server", "server-hnsw"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusStore]:
    if request.param == "lite":
        request.getfixturevalue("milvus_lite")
        made = MilvusStore(str(tmp_path_factory.mktemp("lite") / "facet.db"))
    else:
        server = request.getfixturevalue("milvus_server")
        made = MilvusStore(
            server.uri,
            token=server.token,
            prefix=request.param.replace("-", "_"),
            index="HNSW" if request.param == "server-hnsw" else "FLAT",
        )
    yield made
    made.close()
