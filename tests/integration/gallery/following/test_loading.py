"""How a server loads galleries from the database when it starts."""

from __future__ import annotations

import pytest

from gallery.errors import StorageUnavailable
from tests.integration.gallery.following.conftest import Open
from tests.unit.gallery.samples import axis, best_match, face


@pytest.mark.parametrize("count", [5, 6])
def test_a_gallery_is_loaded_to_its_end_by_several_statements(
    open_server: Open, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    from gallery.stores.postgres import feed

    monkeypatch.setattr(feed, "_COPY_AT_ONCE", 3)
    monkeypatch.setattr(feed, "_TEMPLATES_PER_PAGE", 2)
    one = open_server()
    one.create_gallery("before", display_name="")
    one.create_gallery("g", display_name="Guests", threshold=0.5)
    for number in range(count):
        one.enroll("before", f"b{number}", face(axis(number + 10)))
        one.enroll("g", f"s{number}", face(axis(number)))
    other = open_server()
    assert [best_match(other, axis(number)) for number in range(count)] == [f"s{number}" for number in range(count)]
    (found,) = other.search("g", axis(0)[None], top_k=1)
    assert found.templates_compared == count


def test_a_damaged_embedding_is_an_error_of_the_store(open_server: Open) -> None:
    from gallery.stores.postgres.postgres_store import PostgresStore

    one = open_server()
    one.create_gallery("g", display_name="Guests", threshold=0.5)
    one.enroll("g", "ann", face(axis(1)))
    assert isinstance(one._store, PostgresStore)
    with one._store.database.writing() as connection:
        connection.execute("UPDATE embeddings SET embedding = substring(embedding FROM 3)")
    with pytest.raises(StorageUnavailable, match="not as it was written"):
        open_server()
