"""Corrections in Milvus whose process dies at any of their writes: the same call does the rest, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gallery.errors import SubjectNotFound, TooManyTemplates
from gallery.galleries import Galleries
from gallery.records.changes import Change
from gallery.records.subjects import renaming
from gallery.stores.milvus.milvus_store import MilvusStore
from tests.integration.gallery.stores.milvus.migrating import NEW, add_missing, check_rows, server, unless_it_dies
from tests.integration.gallery.stores.milvus.samples import face, galleries_of, vectors
from tests.integration.gallery.stores.milvus.samples import filled as imported

FACES = vectors(6, 1)


@pytest.fixture(scope="module")
def store(milvus_lite: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusStore]:
    made = MilvusStore(str(tmp_path_factory.mktemp("lite") / "facet.db"))
    yield made
    made.close()


@pytest.fixture
def here(store: MilvusStore) -> str:
    return filled(store)


def filled(store: MilvusStore) -> str:
    """A gallery with ann, of two templates, bob and cid, of one each; ann and cid were told apart."""
    galleries = galleries_of(store)
    made = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    for number, subject_id in enumerate(("ann", "ann", "bob", "cid")):
        enrollment = face(FACES[number], picture=f"{number}", name=subject_id.title(), request_id=f"e{number}")
        galleries.enroll(made, subject_id, replace(enrollment, crop=b"crop %d" % number))
    galleries.enroll(made, "ann", face(FACES[0], picture="0", request_id="again"))
    galleries.corrections.set_distinct(made, "ann", "cid", is_distinct=True)
    return made


def templates(store: MilvusStore, here: str) -> list[tuple[str, str, bytes | None, list[str]]]:
    """The subject, picture, crop and requests of every template; there are no more rows than these."""
    found = [(each, each.template) for each in store.faces(here, after=("", ""), limit=99) if each.template]
    check_rows(store, here)
    return sorted(
        (each.subject.subject_id, template.picture_sha256, each.crop, store.requests_of_template(here, each.key[1]))
        for each, template in found
    )


def everything(store: MilvusStore, here: str) -> tuple[object, ...]:
    faces = store.faces(here, after=("", ""), limit=99)
    others = [None if each.other_embedding is None else each.other_embedding.tolist() for each in faces]
    return templates(store, here), [(each.subject, each.template) for each in faces], others, store.distinct_pairs(here)


@pytest.mark.parametrize(
    ("kind", "request_id", "is_migrating"),
    [("merge", "", False), ("move", "r", False), ("merge", "", True)],
    ids=["merge", "move", "merge-during-a-migration"],
)
def test_the_same_call_does_the_rest_after_a_death_at_any_write(
    store: MilvusStore, here: str, kind: str, request_id: str, is_migrating: bool
) -> None:
    if is_migrating:
        server(store).migrations.start(here, NEW.name)
        add_missing(store, here)
    before = everything(store, here)
    (template, *_) = galleries_of(store).list_templates(here, "ann", page_size=5).items
    moved = "01" if kind == "merge" else "0"
    expected = sorted(
        ("bob" if picture in moved else subject, picture, *rest) for subject, picture, *rest in templates(store, here)
    )

    def correct(galleries: Galleries) -> Change:
        request = request_id and f"{request_id} {number}"
        if kind == "merge":
            return galleries.corrections.merge(here, "ann", "bob", request_id=request).change
        corrected = galleries.corrections.move(
            here, template.template_id, from_id="ann", into_id="bob", request_id=request
        )
        return corrected.change

    def undo(galleries: Galleries) -> Change:
        return galleries.corrections.undo(here, change.change_id).change

    for number in range(0, 99, 3 if is_migrating else 1):
        made = unless_it_dies(store, lambda: correct(galleries_of(store)), before=number)
        change = made or correct(galleries_of(store))
        assert templates(store, here) == expected, number
        assert len(change.template_ids) == len(moved)
        assert store.distinct_pairs(here) == {("bob", "cid") if kind == "merge" else ("ann", "cid")}
        undone = unless_it_dies(store, lambda: undo(galleries_of(store)), before=number)
        assert undo(galleries_of(store)).is_undone
        assert everything(store, here) == before, number
        if made and undone:
            break
    assert 4 < number < 98


def test_what_came_between_a_death_and_the_repetition_stays(store: MilvusStore, here: str) -> None:
    def merge(galleries: Galleries) -> Change:
        return galleries.corrections.merge(here, "ann", "bob").change

    # After its claim, its intent, and the row of bob.
    assert unless_it_dies(store, lambda: merge(galleries_of(store)), before=3) is None
    galleries = galleries_of(store)
    galleries.enroll(here, "ann", face(FACES[4], picture="4"))
    galleries.update_subject(here, "bob", renaming("Robert"))
    change = merge(galleries)
    assert [each[:2] for each in templates(store, here)] == [*(("bob", each) for each in "0124"), ("cid", "3")]
    assert galleries.get_subject(here, "bob").display_name == "Robert"
    galleries.corrections.undo(here, change.change_id)
    assert [each[:2] for each in templates(store, here)] == [
        *(("ann", each) for each in "01"),
        *(("bob", each) for each in "24"),
        ("cid", "3"),
    ]


def test_a_subject_that_is_forgotten_after_an_interrupted_merge_leaves_nothing_with_the_other(
    store: MilvusStore, here: str
) -> None:
    def merge(galleries: Galleries) -> Change:
        return galleries.corrections.merge(here, "ann", "bob").change

    for number in range(99):
        if unless_it_dies(store, lambda: merge(galleries_of(store)), before=number) is not None:
            break
        galleries = galleries_of(store)
        try:
            galleries.delete_subject(here, "ann")
        except SubjectNotFound:
            assert [each[0] for each in templates(store, here)] == ["bob", "bob", "bob", "cid"]
            break
        assert [each[:2] for each in templates(store, here)] == [("bob", "2"), ("cid", "3")]
        with pytest.raises(SubjectNotFound):
            merge(galleries)
        for again in range(2):
            galleries.enroll(here, "ann", face(FACES[again], picture=f"{again}"))
    assert 4 < number < 98


def test_a_merge_that_is_too_large_for_milvus_is_refused_with_the_limit_and_changes_nothing(store: MilvusStore) -> None:
    here = imported(store, {"ann": vectors(500, 2), "bob": vectors(1, 3)}).gallery_id
    galleries = galleries_of(store, max_templates=999)
    with pytest.raises(TooManyTemplates, match=r"'ann' .* 500 templates") as refused:
        galleries.corrections.merge(here, "ann", "bob")
    assert 250 < int(refused.value.metadata["limit"]) < 500
    assert [galleries.get_subject(here, each).template_count for each in ("ann", "bob")] == [500, 1]
    assert store.changes.changes(here) == []
