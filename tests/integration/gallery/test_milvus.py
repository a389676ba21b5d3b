"""Galleries in Milvus beyond what every store does: how they are searched, and what may go wrong on the way."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.benchmarks.galleries.milvus_server import MilvusServer
from gallery.errors import GalleryNotFound, SchemaTooNew, StorageUnavailable, SubjectNotFound
from gallery.galleries import Galleries
from gallery.ranking import rank
from gallery.records.records import Candidate, Enrollment, Gallery, StoredFace, Subject, Template
from gallery.stores.milvus import removal as milvus_removal
from gallery.stores.milvus import schema as milvus_schema
from gallery.stores.milvus.connection import MOST_ROWS
from gallery.stores.milvus.places import Place
from gallery.stores.milvus.rows import row_id, subject_row, template_row
from gallery.stores.milvus.store import REMAINS, MilvusStore

DIMENSION = 24
CONTRACT = "contract"

Vectors = NDArray[np.float32]


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


def galleries_of(store: MilvusStore, *, max_templates: int = 10) -> Galleries:
    return Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=max_templates)


def unit(values: NDArray[Any]) -> Vectors:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


def vectors(count: int, seed: int) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(count, DIMENSION)))


def face(embedding: Vectors, *, picture: str = "", name: str = "", request_id: str = "") -> Enrollment:
    return Enrollment(
        embedding=embedding,
        contract=CONTRACT,
        picture_sha256=picture or uuid.uuid4().hex,
        box=(0.0, 0.0, 9.0, 9.0),
        quality=1.0,
        display_name=name,
        request_id=request_id,
        request_digest="d",
        accept_lookalike=True,
    )


def new_gallery(mean_of_best: int = 1) -> Gallery:
    now = datetime.now(UTC)
    return Gallery(f"g{uuid.uuid4().hex}", "", 0.5, mean_of_best, CONTRACT, 0, 0, now, now, "e")


def filled(store: MilvusStore, templates: dict[str, Vectors], *, mean_of_best: int = 1) -> Gallery:
    """A gallery with these templates of these subjects."""
    gallery = new_gallery(mean_of_best)
    importing = store.begin_import(gallery)
    faces = []
    for subject_id, embeddings in templates.items():
        subject = Subject(
            gallery.gallery_id, subject_id, f"name of {subject_id}", 0, gallery.create_time, gallery.create_time, "e"
        )
        for number, embedding in enumerate(embeddings):
            template = Template(
                f"{subject_id}-{number:05}", gallery.gallery_id, subject_id, "p", (0, 0, 1, 1), 1.0, gallery.create_time
            )
            faces.append(StoredFace(subject, template, embedding, None))
    importing.add(faces)
    return importing.commit()


def reference(
    templates: dict[str, Vectors], probe: Vectors, *, subjects: int, mean_of_best: int
) -> tuple[Candidate, ...]:
    """The ranking of all templates, compared one by one."""
    candidates = [
        Candidate(subject_id, f"name of {subject_id}", float(embedding @ probe), f"{subject_id}-{number:05}")
        for subject_id, embeddings in templates.items()
        for number, embedding in enumerate(embeddings)
    ]
    return rank(candidates, subjects=subjects, mean_of_best=mean_of_best)


def seen(
    store: MilvusStore, gallery: Gallery, probes: Vectors, *, subjects: int, mean_of_best: int
) -> list[tuple[Candidate, ...]]:
    index = store.index(gallery, dimension=DIMENSION)
    return [each.candidates for each in index.search(probes, subjects=subjects, mean_of_best=mean_of_best)]


@pytest.mark.parametrize("mean_of_best", [1, 3])
def test_a_search_ranks_as_comparing_with_every_template_would(store: MilvusStore, mean_of_best: int) -> None:
    rng = np.random.default_rng(5)
    templates = {f"s{number:03}": vectors(int(rng.integers(1, 6)), number) for number in range(60)}
    gallery = filled(store, templates, mean_of_best=mean_of_best)
    probes = unit(vectors(16, 100) + np.concatenate([vectors(8, 101), templates["s007"][[0] * 8]]))
    found = seen(store, gallery, probes, subjects=7, mean_of_best=mean_of_best)
    for probe, candidates in zip(probes, found, strict=True):
        wanted = reference(templates, probe, subjects=7, mean_of_best=mean_of_best)
        assert [each.subject_id for each in candidates] == [each.subject_id for each in wanted]
        for one, other in zip(candidates, wanted, strict=True):
            assert one.similarity == pytest.approx(other.similarity, abs=1e-6)
            assert one == replace(other, similarity=one.similarity)
    (alone,) = seen(store, gallery, probes[-1:], subjects=7, mean_of_best=mean_of_best)
    assert [each.subject_id for each in alone] == [each.subject_id for each in found[-1]]


def test_somebody_with_very_many_templates_does_not_push_others_out(store: MilvusStore) -> None:
    probe = vectors(1, 0)[0]
    crowd = unit(probe + 0.05 * vectors(700, 1))
    templates = {"many": crowd[:500], "more": crowd[500:]} | {f"s{each}": vectors(1, 10 + each) for each in range(9)}
    gallery = filled(store, templates)
    (found,) = seen(store, gallery, probe[None], subjects=6, mean_of_best=1)
    wanted = reference(templates, probe, subjects=6, mean_of_best=1)
    assert [each.subject_id for each in found] == [each.subject_id for each in wanted]
    assert {each.subject_id for each in found[:2]} == {"many", "more"}


def test_ties_are_in_the_order_of_ids_whatever_the_order_of_enrolment(store: MilvusStore) -> None:
    one = vectors(1, 0)
    for order in (("c", "a", "b"), ("b", "c", "a")):
        gallery = filled(store, dict.fromkeys(order, one))
        (found,) = seen(store, gallery, one, subjects=3, mean_of_best=1)
        assert [each.subject_id for each in found] == ["a", "b", "c"]


def test_the_similarity_to_a_subject_is_that_of_a_search(store: MilvusStore) -> None:
    templates = {"ann": vectors(4, 1), "bob": vectors(2, 2)}
    gallery = filled(store, templates)
    index = store.index(gallery, dimension=DIMENSION)
    probe = vectors(1, 3)[0]
    for mean_of_best in (1, 2, 9):
        for candidate in reference(templates, probe, subjects=2, mean_of_best=mean_of_best):
            similarity = index.similarity(candidate.subject_id, probe, mean_of_best=mean_of_best)
            assert similarity == pytest.approx(candidate.similarity, abs=1e-6)
    assert index.similarity("nobody", probe, mean_of_best=1) is None


def test_everybody_is_found_where_milvus_keeps_them_in_several_segments(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    embeddings = vectors(9, 23)
    for number, embedding in enumerate(embeddings):
        # In an order that is not that of the segments.
        galleries.enroll(gallery_id, f"s{number * 4 % 9}", face(embedding, name="somebody"))
        if number % 3 == 2:
            store._milvus._client.flush(store._collections.subjects, timeout=60)
    found = galleries.search(gallery_id, embeddings, top_k=9)
    assert [each.candidates[0].subject_id for each in found] == [f"s{number * 4 % 9}" for number in range(9)]
    assert all(len({one.subject_id for one in each.candidates}) == 9 for each in found)
    assert [each.subject_id for each in galleries.list_subjects(gallery_id, page_size=9).items] == [
        f"s{number}" for number in range(9)
    ]


def test_what_was_written_is_seen_by_the_next_search(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    for number, embedding in enumerate(vectors(8, 7)):
        enrolled = galleries.enroll(gallery_id, f"s{number}", face(embedding, name="before"))
        (found,) = galleries.search(gallery_id, embedding[None], top_k=1)
        assert found.candidates[0].template_id == enrolled.template.template_id
        assert found.templates_compared == number + 1
        galleries.update_subject(gallery_id, f"s{number}", display_name="after")
        (found,) = galleries.search(gallery_id, embedding[None], top_k=1)
        assert found.candidates[0].display_name == "after"
    for number, embedding in enumerate(vectors(8, 7)):
        galleries.delete_subject(gallery_id, f"s{number}")
        (found,) = galleries.search(gallery_id, embedding[None], top_k=10)
        assert f"s{number}" not in {each.subject_id for each in found.candidates}
        assert found.templates_compared == 7 - number
    with pytest.raises(SubjectNotFound):
        galleries.similarity_to_subject(gallery_id, "s0", vectors(1, 7)[0])


def test_an_enrolment_during_a_search_is_seen_by_the_next_search(
    store: MilvusStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first template of its contract: without it there is nothing that a search could look in.
    contract = uuid.uuid4().hex
    galleries = Galleries(store, contract=contract, dimension=DIMENSION, max_templates_per_subject=10)
    gallery = galleries.create_gallery("", display_name="", threshold=0.5)
    index = store.index(gallery, dimension=DIMENSION)
    (probe,) = vectors(1, 9)
    count = store._places.templates

    def count_then_enroll(place: Place) -> int:
        templates = count(place)
        monkeypatch.undo()
        galleries.enroll(gallery.gallery_id, "ann", replace(face(probe), contract=contract))
        return templates

    monkeypatch.setattr(store._places, "templates", count_then_enroll)
    (during,) = index.search(probe[None], subjects=1, mean_of_best=1)
    (after,) = index.search(probe[None], subjects=1, mean_of_best=1)
    assert not during.candidates
    assert [each.subject_id for each in after.candidates] == ["ann"]


def test_a_face_and_a_request_are_enrolled_once(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    (embedding,) = vectors(1, 1)
    first = galleries.enroll(gallery_id, "ann", face(embedding, picture="p", request_id="r1"))
    again = galleries.enroll(gallery_id, "ann", face(embedding, picture="p", request_id="r2"))
    assert (again.template, again.already_enrolled) == (first.template, True)
    for request_id in ("r1", "r2"):
        answered = galleries.enroll(gallery_id, "bob", face(embedding, picture="q", request_id=request_id))
        assert (answered.template, answered.subject.subject_id) == (first.template, "ann")
    assert galleries.get_gallery(gallery_id).template_count == 1


def test_lists_are_complete_and_in_order_beyond_what_milvus_answers_at_once(store: MilvusStore) -> None:
    count = MOST_ROWS + 700
    order = np.random.default_rng(2).permutation(count)
    some = vectors(97, 3)
    templates = {"ann": some[order % len(some)]}
    gallery = filled(store, templates)
    assert store.gallery(gallery.gallery_id).template_count == count
    assert store.subject(gallery.gallery_id, "ann").template_count == count
    after, found = "", []
    while page := store.templates(gallery.gallery_id, "ann", after=after, limit=5000):
        found += [each.template_id for each in page]
        after = found[-1]
    assert found == [f"ann-{number:05}" for number in range(count)]
    assert store.delete_subject(gallery.gallery_id, "ann", etag="") == count
    assert store.gallery(gallery.gallery_id).template_count == 0


def test_half_an_enrolment_is_not_seen_and_goes_when_the_subject_is_enrolled(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    first, second = vectors(2, 1)
    galleries.enroll(gallery_id, "bob", face(second))
    place = store._places.find(gallery_id)
    assert place.templates is not None
    long_ago = datetime.now(UTC) - REMAINS - timedelta(seconds=1)
    dead = Template("dead", gallery_id, "ann", "p", (0, 0, 1, 1), 1.0, long_ago)
    store._milvus.insert(place.templates, [template_row(dead, place.key, first, None)])
    (found,) = galleries.search(gallery_id, first[None], top_k=5)
    assert [each.subject_id for each in found.candidates] == ["bob"]
    with pytest.raises(SubjectNotFound):
        galleries.get_subject(gallery_id, "ann")
    assert [each.subject_id for each in galleries.list_subjects(gallery_id, page_size=5).items] == ["bob"]
    assert store.known(gallery_id, "ann", picture_sha256="p", request_id="").templates_of_picture == ()
    assert [each.subject.subject_id for each in store.faces(gallery_id, after=("", ""), limit=5)] == ["bob"]
    assert list(store.embedded_templates(gallery_id, after="", limit=1).subject_ids) == ["bob"]
    enrolled = galleries.enroll(gallery_id, "ann", face(first, picture="p"))
    assert list(galleries.list_templates(gallery_id, "ann", page_size=5).items) == [enrolled.template]


def test_a_subject_that_another_replica_just_made_keeps_its_name_and_gets_both_templates(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    now = datetime.now(UTC)
    theirs, ours = (Subject(gallery_id, "ann", name, 0, now, now, name) for name in ("theirs", "ours"))
    for subject, embedding in zip((theirs, ours), vectors(2, 1), strict=True):
        template = Template(uuid.uuid4().hex, gallery_id, "ann", subject.etag, (0, 0, 1, 1), 1.0, now)
        store.add_template(template, embedding, new_subject=subject, request=None, crop=None)
    assert galleries.get_subject(gallery_id, "ann") == replace(theirs, template_count=2)


def test_remains_of_a_dead_import_are_removed_when_nobody_did_anything_for_long(
    store: MilvusStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = new_gallery()
    dead = store.begin_import(gallery)
    subject = Subject(gallery.gallery_id, "ann", "Ann", 0, gallery.create_time, gallery.create_time, "e")
    template = Template("t", gallery.gallery_id, "ann", "p", (0, 0, 1, 1), 1.0, gallery.create_time, has_crop=True)
    dead.add([StoredFace(subject, template, vectors(1, 1)[0], b"png")])

    def remains() -> int:
        names = [store._collections.templates_found(CONTRACT), store._collections.subjects]
        names += [store._collections.found(kind) for kind in ("crops", "unfinished")]
        return sum(store._milvus.count(name, f"gallery == {dead._key}") for name in names if name)

    store.scrub()
    assert remains() == 4
    monkeypatch.setattr(milvus_removal, "ABANDONED", timedelta(0))
    store.scrub()
    assert remains() == 0
    with pytest.raises(StorageUnavailable, match="given up"):
        dead.commit()
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)


def test_a_deleted_gallery_leaves_no_row(store: MilvusStore, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = filled(store, {"ann": vectors(3, 1)})
    key = store._places.find(gallery.gallery_id).key
    galleries_of(store).delete_gallery(gallery.gallery_id, force=True)
    templates = store._collections.templates_found(CONTRACT)
    assert templates is not None
    for name in (templates, store._collections.subjects, store._collections.galleries):
        assert store._milvus.count(name, f"gallery == {key}") == 0
    # Another replica, which had not seen it, may have been about to enrol.
    now = datetime.now(UTC)
    late = Template("late", gallery.gallery_id, "bob", "p", (0, 0, 1, 1), 1.0, now)
    store._milvus.insert(templates, [template_row(late, key, vectors(1, 1)[0], None)])
    store._milvus.put(
        store._collections.subjects, [subject_row(Subject(gallery.gallery_id, "bob", "", 0, now, now, "e"), key)]
    )
    monkeypatch.setattr(milvus_removal, "ABANDONED", timedelta(0))
    store.scrub()
    notes = store._collections.found("unfinished")
    assert notes is not None
    for name in (templates, store._collections.subjects, notes):
        assert store._milvus.count(name, f"gallery == {key}") == 0


def test_embeddings_of_another_dimension_under_a_contract_are_refused(store: MilvusStore) -> None:
    gallery = filled(store, {"ann": vectors(1, 1)})
    with pytest.raises(StorageUnavailable, match=f"embeddings of {DIMENSION} values, not of 7"):
        store.index(gallery, dimension=7)


def test_collections_of_a_newer_version_and_of_somebody_else_are_refused(
    milvus_lite: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "facet.db")
    monkeypatch.setattr(milvus_schema, "VERSION", 7)
    MilvusStore(path).close()
    monkeypatch.undo()
    for fields in (milvus_schema._FIELDS["galleries"], (*milvus_schema._FIELDS["galleries"], ("dropped", "INT64"))):
        monkeypatch.setitem(milvus_schema._FIELDS, "galleries", fields)
        with pytest.raises(SchemaTooNew) as refused:
            MilvusStore(path)
        assert (refused.value.found, refused.value.supported) == (7, milvus_schema.VERSION)
    monkeypatch.undo()
    path = str(tmp_path / "other.db")
    store = MilvusStore(path, prefix="mine")
    schema = store._milvus.schema(partition_key=None)
    types = store._milvus.types()
    schema.add_field("id", types.VARCHAR, is_primary=True, max_length=9)
    schema.add_field("v", types.FLOAT_VECTOR, dim=2)
    store._milvus.create("facet_galleries", schema, vector="v", index="FLAT", parameters={})
    store.close()
    with pytest.raises(StorageUnavailable, match="choose another prefix"):
        MilvusStore(path)


def test_a_wrong_token_is_refused_and_not_shown(milvus_server: MilvusServer) -> None:
    with pytest.raises(StorageUnavailable) as refused:
        MilvusStore(milvus_server.uri, token="root:a-secret-of-mine", timeout=5)
    assert "secret" not in str(refused.value)


def test_a_milvus_that_is_not_there_is_said_within_the_deadline() -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(StorageUnavailable):
        MilvusStore("http://127.0.0.1:9", timeout=1)


def test_without_pymilvus_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(StorageUnavailable, match="need the package pymilvus"):
        MilvusStore("http://127.0.0.1:9")


def test_rows_of_a_gallery_sort_as_what_they_are_of() -> None:
    ids = ["a", "ab", "b", "é", "人", "😀"]
    assert sorted(row_id(5, each) for each in ids) == [row_id(5, each) for each in ids]
    assert row_id(5, "z") < row_id(6, "a")
