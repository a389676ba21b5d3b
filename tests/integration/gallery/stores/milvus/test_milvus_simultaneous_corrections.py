"""Two servers that find the same interrupted correction in one Milvus at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest

from gallery.errors import ChangeUnderWay
from gallery.galleries import Galleries
from gallery.records.changes import Change
from gallery.stores.milvus.corrections import claims
from gallery.stores.milvus.milvus_store import MilvusStore
from gallery.times import now
from tests.integration.gallery.stores.milvus.samples import face, galleries_of
from tests.integration.gallery.stores.milvus.test_milvus_interrupted_corrections import (
    FACES,
    filled,
    templates,
    unless_it_dies,
)

Stores = tuple[MilvusStore, MilvusStore]


@pytest.fixture(scope="module", params=["lite", "server"])
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """The stores of two servers."""
    if request.param == "lite":
        request.getfixturevalue("milvus_lite")
        opened = partial(MilvusStore, str(tmp_path_factory.mktemp("lite") / "facet.db"))
    else:
        server = request.getfixturevalue("milvus_server")
        opened = partial(MilvusStore, server.uri, token=server.token, prefix="simultaneous")
    made = opened(), opened()
    yield made
    for each in made:
        each.close()


def with_another(
    store: MilvusStore, call: Callable[[], Change], meanwhile: Callable[[], Change], *, at: int
) -> tuple[Change, list[Change | None]]:
    """The answers of a call, and of one of another server that runs before one of the writes of the first.

    The second is ``None`` if it is refused.
    """
    writes, client = count(), store.milvus.client
    answers: list[Change | None] = []

    def write_after(write: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if next(writes) == at:
            try:
                answers.append(meanwhile())
            except ChangeUnderWay:
                answers.append(None)
        return write(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("insert", "upsert", "delete"):
            patch.setattr(client, name, partial(write_after, getattr(client, name)))
        return call(), answers


def test_one_of_two_servers_that_find_an_interrupted_merge_finishes_it(stores: Stores) -> None:
    def merge(galleries: Galleries) -> Change:
        return galleries.corrections.merge(here, "ann", "bob", request_id="r").change

    store, other = stores
    answers: list[str] = []
    for number in range(0, 99, 1 if store.milvus.is_lite else 4):
        here = filled(store)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(claims, "now", lambda: now() - 2 * claims.INTERRUPTED_AFTER)
            # After its claim, its intent, and the row of bob.
            assert unless_it_dies(store, merge, before=3) is None
        first, second = galleries_of(store), galleries_of(other)
        first.enroll(here, "ann", face(FACES[4], picture="4"))
        mine, theirs = with_another(store, partial(merge, first), partial(merge, second), at=number)
        answers += ["refused" if each is None else "the same" for each in theirs if each in (None, mine)]
        assert [each[:2] for each in templates(store, here)] == [*(("bob", each) for each in "0124"), ("cid", "3")]
        assert store.distinct_pairs(here) == {("bob", "cid")}
        assert merge(second) == mine
        second.corrections.undo(here, mine.change_id)
        assert [each[:2] for each in templates(store, here)] == [
            *(("ann", each) for each in "01"),
            *(("bob", each) for each in "24"),
            ("cid", "3"),
        ]
        if not theirs:
            break
    # The other one comes first, or finds the merge finished; in between it is refused.
    assert answers[0] == "the same"
    assert set(answers[1:-1]) == {"refused"}
    assert 4 < number < 98
