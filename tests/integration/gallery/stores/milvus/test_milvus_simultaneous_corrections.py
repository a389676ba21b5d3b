"""Two servers, or two threads of one, that work on the same correction in one Milvus."""

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
from tests.integration.gallery.stores.milvus.migrating import unless_it_dies
from tests.integration.gallery.stores.milvus.samples import face, galleries_of
from tests.integration.gallery.stores.milvus.test_milvus_interrupted_corrections import (
    FACES,
    filled,
    templates,
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
    store: MilvusStore, call: Callable[[], Change], meanwhile: Callable[[], Any], *, at: int
) -> tuple[Change, list[Any]]:
    """The answers of a call, and of one of another server that runs before one of the writes of the first.

    The second is ``None`` if it is refused.
    """
    writes, client = count(), store.milvus.client
    answers: list[Any] = []

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


def merge_of_ann(here: str, galleries: Galleries) -> Change:
    return galleries.corrections.merge(here, "ann", "bob", request_id="r").change


def test_one_of_two_servers_that_find_an_interrupted_merge_finishes_it(stores: Stores) -> None:
    store, other = stores
    answers: list[str] = []
    for number in range(0, 99, 1 if store.milvus.is_lite else 4):
        here = filled(store)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(claims, "now", lambda: now() - 2 * claims.INTERRUPTED_AFTER)
            # After its claim, its intent, and the row of bob.
            assert unless_it_dies(store, partial(merge_of_ann, here, galleries_of(store)), before=3) is None
        first, second = galleries_of(store), galleries_of(other)
        first.enroll(here, "ann", face(FACES[4], picture="4"))
        mine, theirs = with_another(
            store, partial(merge_of_ann, here, first), partial(merge_of_ann, here, second), at=number
        )
        answers += ["refused" if each is None else "the same" for each in theirs if each in (None, mine)]
        assert [each[:2] for each in templates(store, here)] == [*(("bob", each) for each in "0124"), ("cid", "3")]
        assert store.distinct_pairs(here) == {("bob", "cid")}
        assert merge_of_ann(here, second) == mine
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


def test_a_correction_has_no_mark_from_its_first_write_to_its_last(stores: Stores) -> None:
    def read_after(write: Callable[..., Any], *args: Any, **options: Any) -> Any:
        marks.append(other.changes.mark(here))
        return write(*args, **options)

    store, other = stores
    here = filled(store)
    marks: list[str | None] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("insert", "upsert", "delete"):
            patch.setattr(store.milvus.client, name, partial(read_after, getattr(store.milvus.client, name)))
        galleries_of(store).corrections.merge(here, "ann", "bob")
    before, *meanwhile = marks
    assert before is not None
    assert set(meanwhile) == {None}
    assert len(meanwhile) > 4
    assert other.changes.mark(here) not in (None, before)


def test_a_request_id_is_never_taken_for_a_claim(stores: Stores) -> None:
    here, galleries = filled(stores[0]), galleries_of(stores[0])
    merged = galleries.corrections.merge(here, "ann", "bob").change
    (template, *_) = galleries.list_templates(here, "cid", page_size=5).items
    moved = galleries.corrections.move(
        here, template.template_id, from_id="cid", into_id="bob", request_id=f"claim {merged.change_id}"
    ).change
    galleries.corrections.undo(here, merged.change_id)
    listed = galleries.corrections.list_changes(here, page_size=5).items
    assert [each.change_id for each in listed] == [moved.change_id, merged.change_id]
    assert stores[1].changes.mark(here) is not None


def test_two_threads_of_one_server_do_not_work_on_one_change_together(stores: Stores) -> None:
    store = stores[0]
    # Before its claim, its intent, and the copies of templates.
    for number in (0, 1, 3):
        here = filled(store)
        galleries = galleries_of(store)
        assert unless_it_dies(store, partial(merge_of_ann, here, galleries_of(store)), before=3) is None
        galleries.enroll(here, "ann", face(FACES[4], picture="4"))
        merge = partial(merge_of_ann, here, galleries)
        (change,) = store.changes.changes(here)
        finish = partial(store.changes.finish, here, change_id=change.change_id)
        merged, others = with_another(store, merge, finish, at=number)
        assert others == [None], "refused"
        assert [each[:2] for each in templates(store, here)] == [*(("bob", each) for each in "0124"), ("cid", "3")]
        assert merge() == merged


@pytest.mark.parametrize("ahead", [-2, 2])
def test_the_claim_of_a_dead_server_whose_clock_was_wrong_does_not_count(stores: Stores, ahead: int) -> None:
    store, other = stores
    here = filled(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "now", lambda: now() + ahead * claims.INTERRUPTED_AFTER)
        assert unless_it_dies(store, partial(merge_of_ann, here, galleries_of(store)), before=3) is None
    assert other.changes.mark(here) is not None
    merged = merge_of_ann(here, galleries_of(other))
    assert [each[:2] for each in templates(other, here)] == [*(("bob", each) for each in "012"), ("cid", "3")]
    assert merge_of_ann(here, galleries_of(store)) == merged
