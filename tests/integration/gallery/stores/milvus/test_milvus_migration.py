"""Templates of two embedding models in Milvus: nothing is lost, doubled or left over, whoever dies or comes between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest

from facet.benchmarks.galleries.milvus.milvus_server import MilvusServer
from gallery.errors import ContractMismatch, EtagMismatch, MigrationIncomplete, NoMigration, StorageBusy
from gallery.galleries import Galleries
from gallery.records.galleries import GalleryChange
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.milvus import removal as milvus_removal
from gallery.stores.milvus.corrections.claims import Claims
from gallery.stores.milvus.milvus_store import MilvusStore
from gallery.stores.milvus.rows import row_id, template_row
from gallery.stores.milvus.subject_templates import ORPHAN_AGE
from gallery.times import now
from tests.integration.gallery.stores.milvus.migrating import (
    NEW,
    OLD,
    add_missing,
    check_rows,
    second,
    server,
    unless_it_dies,
)
from tests.integration.gallery.stores.milvus.samples import DIMENSION, face, filled, new_gallery, vectors
from tests.integration.gallery.stores.samples import add_template, enrollment_state
from tests.waiting import until

FACES = vectors(6, 1)


@pytest.fixture(scope="module")
def store(milvus_lite: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusStore]:
    made = MilvusStore(str(tmp_path_factory.mktemp("lite") / "facet.db"))
    yield made
    made.close()


@pytest.fixture
def galleries(store: MilvusStore) -> Galleries:
    return server(store)


@pytest.fixture
def here(galleries: Galleries) -> str:
    return begun(galleries)


def begun(galleries: Galleries) -> str:
    """A gallery with ann, bob and cid, one template each, at the beginning of a migration."""
    made = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    for number, subject_id in enumerate(("ann", "bob", "cid")):
        galleries.enroll(made, subject_id, replace(face(FACES[number], picture=f"{number}"), crop=b"%d" % number))
    galleries.migrations.start(made, NEW.name)
    return made


def subjects(faces: Sequence[StoredFace]) -> list[str]:
    return [each.subject.subject_id for each in faces]


def in_both(store: MilvusStore, here: str) -> list[str]:
    """The subjects of the templates with embeddings of both models, which are those of their faces."""
    faces = [each for each in store.faces(here, after=("", ""), limit=99) if each.template]
    whole = [each for each in faces if each.embedding is not None and each.other_embedding is not None]
    for each in whole:
        np.testing.assert_array_equal(each.embedding, second(np.array(each.other_embedding)))
    return subjects(whole)


def test_a_server_that_dies_while_it_adds_embeddings_loses_and_doubles_none(store: MilvusStore, here: str) -> None:
    galleries = server(store)
    for number in range(99):
        add = unless_it_dies(store, lambda: add_missing(store, here, limit=2), before=number)
        check_rows(store, here)
        add_missing(store, here)
        check_rows(store, here)
        assert in_both(store, here) == ["ann", "bob", "cid"]
        assert store.second_embeddings.count_missing(here, NEW.contract) == (0, 0)
        if add:
            break
        galleries.migrations.cancel(here)
        assert galleries.migrations.drop(here)
        galleries.migrations.start(here, NEW.name)
    assert 1 < number < 98


def test_a_server_that_dies_while_it_switches_leaves_one_model_with_its_threshold(
    store: MilvusStore, here: str
) -> None:
    add_missing(store, here)
    server(store).migrations.update(here, threshold=0.75)
    for number in range(99):
        switched = unless_it_dies(store, lambda: server(store).migrations.switch(here), before=number)
        gallery = store.gallery(here)
        assert gallery.migration is not None
        sides = (gallery.contract, gallery.threshold, gallery.migration.other.threshold)
        assert sides in {(OLD.contract, 0.5, 0.75), (NEW.contract, 0.75, 0.5)}
        if switched:
            break
        with suppress(Exception):
            server(store).migrations.roll_back(here)
    assert sides[0] == NEW.contract
    assert 2 < number < 98
    check_rows(store, here)


def test_a_server_that_dies_while_a_migration_ends_leaves_nothing_behind(store: MilvusStore) -> None:
    galleries, here = server(store), ""

    def end() -> bool:
        migration = store.gallery(here).migration
        if migration is not None and not migration.is_ending:
            server(store).migrations.finish(here)
        while not server(store).migrations.drop(here):
            pass
        return True

    for number in range(0, 99, 2):
        here = begun(galleries)
        add_missing(store, here)
        galleries.migrations.switch(here, allow_default_threshold=True)
        ended = unless_it_dies(store, end, before=number)
        end()
        assert store.gallery(here).migration is None
        collection, where = store.collections.find_templates(OLD.contract), store.locator.find(here).filter
        assert store.milvus.count(str(collection), where, strong=True) == 0
        faces = store.faces(here, after=("", ""), limit=9)
        assert [each.crop for each in faces] == [b"0", b"1", b"2"]
        assert all(each.embedding is not None for each in faces)
        check_rows(store, here)
        if ended:
            break
    assert 6 < number < 98
    # The way back is another migration, for which the rows of this one count like any other.
    galleries.migrations.start(here, OLD.name)
    assert store.second_embeddings.count_missing(here, OLD.contract) == (3, 0)
    add_missing(store, here, contract=OLD.contract)
    assert store.second_embeddings.count_missing(here, OLD.contract) == (0, 0)
    check_rows(store, here)


def test_an_enrolment_that_dies_between_its_two_rows_is_searched_and_misses_the_other_one(
    store: MilvusStore, here: str
) -> None:
    add_missing(store, here)
    both = replace(face(FACES[3], picture="3"), further={NEW.contract: second(FACES[3])})
    for number in range(9):
        enrolled = unless_it_dies(store, lambda: server(store).enroll(here, "bob", both), before=number)
        check_rows(store, here)
        again = server(store).enroll(here, "bob", both)
        (found,) = server(store).search(here, FACES[3][None], top_k=1)
        assert [each.subject_id for each in found.candidates] == ["bob"]
        add_missing(store, here)
        check_rows(store, here)
        assert in_both(store, here) == ["ann", "bob", "bob", "cid"]
        if enrolled:
            break
        server(store).delete_template(here, "bob", again.template.template_id)
        check_rows(store, here)
        assert in_both(store, here) == ["ann", "bob", "cid"]
    assert number == 2


def test_what_a_dead_enrolment_left_does_not_keep_a_migration_from_its_end(
    store: MilvusStore, galleries: Galleries, here: str
) -> None:
    add_missing(store, here)
    location = store.locator.find(here)
    dead = Template("dead", here, "dan", "p", (0, 0, 1, 1), 1.0, now() - ORPHAN_AGE - timedelta(seconds=1))
    row = template_row(dead, location.key, FACES[3], None, store.collections.fields("templates"))
    store.milvus.insert(str(location.templates), [row])
    assert store.second_embeddings.count_missing(here, NEW.contract) == (0, 1)
    assert store.second_embeddings.missing(here, NEW.contract, after=("", ""), limit=9) == []
    assert store.second_embeddings.count_missing(here, NEW.contract) == (0, 0)
    galleries.migrations.switch(here, allow_default_threshold=True)
    galleries.migrations.finish(here)
    assert galleries.migrations.drop(here)
    check_rows(store, here)


def test_templates_of_either_model_alone_are_listed_counted_and_found_by_their_own(
    store: MilvusStore, galleries: Galleries, here: str
) -> None:
    add_missing(store, here, limit=2)
    galleries.migrations.switch(here, allow_missing=True, allow_default_threshold=True)
    only_new = Galleries(store, contract=NEW.contract, dimension=DIMENSION, max_templates_per_subject=9)
    only_new.enroll(here, "bob", replace(face(second(FACES[3]), picture="3"), contract=NEW.contract))
    faces = store.faces(here, after=("", ""), limit=9)
    assert subjects(faces) == ["ann", "bob", "bob", "cid"]
    has = [(each.embedding is not None, each.other_embedding is not None) for each in faces]
    assert has == [(True, True), (True, True), (True, False), (False, True)]
    check_rows(store, here)
    assert [each.template_count for each in store.subjects(here, after="", limit=9)] == [1, 2, 1]
    assert [each.picture_sha256 for each in store.templates(here, "cid", after="", limit=9)] == ["2"]
    assert enrollment_state(store, here, "cid", picture_sha256="2", request_id="").templates_of_picture
    assert list(store.embedded_by_subject(here, after=("", ""), limit=9).subject_ids) == ["ann", "bob", "bob"]
    assert sorted(store.embedded_templates(here, after="", limit=9, contract=OLD.contract).subject_ids) == [
        "ann",
        "bob",
        "cid",
    ]
    missing = store.second_embeddings
    assert missing.count_missing(here, NEW.contract) == (1, 0)
    assert missing.count_missing(here, OLD.contract) == (0, 1)
    assert subjects(missing.missing(here, NEW.contract, after=("", ""), limit=9)) == ["cid"]
    assert subjects(missing.missing(here, OLD.contract, after=("", ""), limit=9, picture_sha256="3")) == ["bob"]
    assert subjects(missing.missing(here, OLD.contract, after=("cid", ""), limit=9, picture_sha256="3")) == []
    assert subjects(missing.missing(here, OLD.contract, after=("", ""), limit=9, subject_id="ann")) == []
    (found,) = server(store).search(here, FACES[2][None], top_k=1, contract=OLD.contract)
    assert [each.subject_id for each in found.candidates] == ["cid"]
    assert found.templates_compared == 3
    add_missing(store, here)
    add_missing(store, here, contract=OLD.contract)
    assert in_both(store, here) == ["ann", "bob", "bob", "cid"]
    check_rows(store, here)


def test_an_exported_gallery_is_imported_with_the_embeddings_of_both_models(store: MilvusStore, here: str) -> None:
    add_missing(store, here, limit=2)
    source = store.gallery(here)
    importing = store.begin_import(replace(new_gallery(), migration=source.migration))
    importing.add(store.faces(here, after=("", ""), limit=9))
    imported = importing.commit()
    assert (imported.migration, imported.template_count) == (source.migration, 3)
    check_rows(store, imported.gallery_id)
    assert in_both(store, imported.gallery_id) == ["ann", "bob"]
    assert store.second_embeddings.count_missing(imported.gallery_id, NEW.contract) == (1, 0)


def rows_of(store: MilvusStore, key: int) -> int:
    kinds = ("subjects", "crops", "migrations", "unfinished")
    names = [*map(store.collections.find, kinds), *map(store.collections.find_templates, (OLD.contract, NEW.contract))]
    return sum(store.milvus.count(name, f"gallery == {key}", strong=True) for name in names if name)


def test_a_gallery_that_is_deleted_during_a_migration_leaves_no_row_of_either_model(
    store: MilvusStore, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_missing(store, here)
    key = store.locator.find(here).key
    server(store).delete_gallery(here, force=True)
    assert rows_of(store, key) == 1  # the note
    monkeypatch.setattr(milvus_removal, "ABANDONED_AFTER", timedelta(0))
    store.scrub()
    assert rows_of(store, key) == 0


def test_what_another_server_adds_after_the_end_is_removed_and_not_taken_for_part_of_the_next_migration(
    store: MilvusStore, galleries: Galleries, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_missing(store, here)
    location = store.locator.find(here)
    galleries.migrations.cancel(here)
    assert galleries.migrations.drop(here)
    late = Template("late", here, "ann", "p", (0, 0, 1, 1), 1.0, datetime.now(UTC))
    row = template_row(late, location.key, second(FACES[0]), None, store.collections.fields("templates"))

    def is_there() -> bool:
        return bool(store.milvus.get(str(location.others), [row_id(location.key, "late")], (), strong=True))

    store.milvus.insert(str(location.others), [row])
    monkeypatch.setattr(milvus_removal, "ABANDONED_AFTER", timedelta(0))
    store.scrub()
    assert not is_there()
    store.milvus.insert(str(location.others), [row])
    galleries.migrations.start(here, NEW.name)
    assert not is_there()
    store.scrub()
    assert store.gallery(here).template_count == 3


def test_one_server_at_a_time_adds_and_drops_embeddings(store: MilvusStore, galleries: Galleries, here: str) -> None:
    location = store.locator.find(here)
    elsewhere = Claims(store.milvus, store.collections)
    with elsewhere.alone(location, "embeddings"):
        with pytest.raises(StorageBusy, match="another server works on the embeddings of gallery"):
            add_missing(store, here)
        assert store.changes.mark(here) is not None  # exports go on
    with elsewhere.alone(location, "migration"), pytest.raises(StorageBusy):
        galleries.migrations.update(here, threshold=0.75)
    add_missing(store, here)
    check_rows(store, here)


def test_two_servers_that_add_at_once_double_nothing_and_keep_nothing_that_a_third_one_removes(
    milvus_server: MilvusServer,
) -> None:
    def work(store: MilvusStore) -> None:
        while any(store.second_embeddings.count_missing(here, NEW.contract)):
            with suppress(StorageBusy):
                add_missing(store, here, limit=4)

    def is_settled() -> bool:
        """Other servers see changes a fraction of a second later."""
        try:
            check_rows(one, here)
        except AssertionError:
            return False
        return True

    with ExitStack() as opened:
        one, other, third = (
            opened.enter_context(closing(MilvusStore(milvus_server.uri, token=milvus_server.token, prefix="migrating")))
            for _ in range(3)
        )
        here = filled(one, {f"s{number}": vectors(2, number) for number in range(8)}).gallery_id
        server(one).migrations.start(here, NEW.name)
        with ThreadPoolExecutor() as pool:
            working = [pool.submit(work, each) for each in (one, other)]
            galleries = server(third)
            for number in range(0, 8, 2):
                galleries.delete_subject(here, f"s{number}")
            galleries.corrections.merge(here, "s1", "s3")
            for each in working:
                each.result()
        work(one)  # what the third one moved
        until(is_settled, "a row is there twice, or left over")
        assert in_both(one, here) == ["s3"] * 4 + ["s5"] * 2 + ["s7"] * 2


def test_a_switch_sees_what_another_server_has_just_enrolled_without_the_new_model(
    milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts that are at hand agree: the other server has deleted a template that had both embeddings."""
    monkeypatch.setattr("gallery.stores.milvus.locating.locator.CACHE_SECONDS", 3600.0)  # it all happens in a second
    with ExitStack() as opened:
        one, other = (
            opened.enter_context(closing(MilvusStore(milvus_server.uri, token=milvus_server.token, prefix="switching")))
            for _ in range(2)
        )
        galleries = server(one)
        here = begun(galleries)
        add_missing(one, here)
        galleries.search(here, FACES[:1], top_k=1, contract=NEW.contract)
        without_new = Galleries(other, contract=OLD.contract, dimension=DIMENSION, max_templates_per_subject=10)
        without_new.enroll(here, "dan", face(FACES[4], picture="4"))
        without_new.delete_subject(here, "bob")
        with pytest.raises(MigrationIncomplete):
            galleries.migrations.switch(here, allow_default_threshold=True)
        assert galleries.search_contract(here) == OLD.contract
        add_missing(one, here)
        assert galleries.migrations.switch(here, allow_default_threshold=True).contract == NEW.contract


def test_a_switch_waits_for_no_time_tick_to_see_its_own_writes(
    store: MilvusStore, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_missing(store, here)
    galleries, client = server(store), store.milvus.client
    read: list[tuple[str, str]] = []
    written: set[str] = set()

    def reading(query: Callable[..., Any], collection: str, **options: Any) -> Any:
        if collection in written:
            read.append((collection, options["consistency_level"]))
        return query(collection, **options)

    def writing(write: Callable[..., Any], collection: str, *args: Any, **options: Any) -> Any:
        written.add(collection)
        return write(collection, *args, **options)

    monkeypatch.setattr(client, "query", partial(reading, client.query))
    for name in ("insert", "upsert", "delete"):
        monkeypatch.setattr(client, name, partial(writing, getattr(client, name)))
    switched = galleries.migrations.switch(here, allow_default_threshold=True)
    assert (switched.contract, switched.template_count) == (NEW.contract, 3)
    assert written >= {store.collections.ensure(kind) for kind in ("galleries", "migrations", "reference_starts")}
    # The claims of other servers are read after the own claim is written.
    assert read == [(store.collections.ensure("changes"), "Strong")]


def test_two_servers_that_begin_a_migration_begin_one(store: MilvusStore, here: str) -> None:
    galleries = server(store)
    galleries.migrations.cancel(here)
    galleries.migrations.drop(here)
    gallery = store.gallery(here)
    first, other = (galleries.migrations.plan(here, NEW.name).migration for _ in range(2))
    store.update_gallery(here, GalleryChange(migration=first), etag=gallery.etag, new_etag="first", time=now())
    with pytest.raises(EtagMismatch):
        store.update_gallery(here, GalleryChange(migration=other), etag=gallery.etag, new_etag="other", time=now())
    assert store.gallery(here).migration == first


def test_an_enrolment_that_began_before_another_server_switched_has_its_embeddings_under_the_right_models(
    store: MilvusStore, here: str
) -> None:
    add_missing(store, here)
    server(store).migrations.switch(here, allow_default_threshold=True)
    made = now()

    def add(template_id: str, *, contract: str, other: Any) -> None:
        template = Template(template_id, here, "dan", template_id, (0, 0, 1, 1), 1.0, made, embedding_model=OLD.sha256)
        dan = Subject(here, "dan", "", 0, made, made, "e")
        add_template(
            store, template, FACES[3], new_subject=dan, request=None, crop=None, contract=contract, other=other
        )

    with pytest.raises(ContractMismatch):
        add("alone", contract=OLD.contract, other=None)
    add("both", contract=OLD.contract, other=second(FACES[3]))
    dan = store.faces(here, after=("dan", ""), limit=9)
    assert [each.template.embedding_model for each in dan if each.template] == [NEW.sha256]
    (found,) = server(store).search(here, second(FACES[3])[None], top_k=1, contract=NEW.contract)
    assert [each.subject_id for each in found.candidates] == ["dan"]
    np.testing.assert_allclose(found.candidates[0].similarity, 1, atol=1e-6)
    check_rows(store, here)


def test_a_gallery_without_a_migration_is_found_without_a_look_at_migrations(
    store: MilvusStore, galleries: Galleries, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    query = store.milvus.client.query

    def asking(collection: str, **options: Any) -> Any:
        asked.append(collection)
        return query(collection, **options)

    monkeypatch.setattr(store.milvus.client, "query", asking)
    migrations = store.collections.ensure("migrations")
    without = galleries.create_gallery("", display_name="", threshold=0.5).gallery_id
    store.locator.find(without)
    assert migrations not in asked
    for _ in range(2):
        store.locator.find(here)
    assert asked.count(migrations) <= 1


def test_the_migration_of_a_gallery_cannot_be_changed_once_it_has_ended(store: MilvusStore, here: str) -> None:
    server(store).migrations.cancel(here)
    server(store).migrations.drop(here)
    with pytest.raises(NoMigration):
        server(store).migrations.update(here, threshold=0.75)
    with pytest.raises(ContractMismatch):
        store.second_embeddings.add(here, NEW.contract, ["any"], FACES[:1])
