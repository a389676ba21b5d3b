"""Search and enrolment in Milvus."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest

from gallery.errors import SubjectNotFound
from gallery.galleries import Galleries
from gallery.ranking import rank
from gallery.records.galleries import Gallery
from gallery.records.identifications import Candidate
from gallery.records.subjects import renaming
from gallery.stores.milvus.connection import MAX_ROWS
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.milvus_store import MilvusStore
from tests.integration.gallery.stores.milvus.samples import (
    DIMENSION,
    Vectors,
    face,
    filled,
    galleries_of,
    unit,
    vectors,
)


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
def test_a_search_ranks_like_a_comparison_with_every_template(store: MilvusStore, mean_of_best: int) -> None:
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


def test_a_subject_with_very_many_templates_does_not_crowd_out_others(store: MilvusStore) -> None:
    probe = vectors(1, 0)[0]
    crowd = unit(probe + 0.05 * vectors(700, 1))
    templates = {"many": crowd[:500], "more": crowd[500:]} | {f"s{each}": vectors(1, 10 + each) for each in range(9)}
    gallery = filled(store, templates)
    (found,) = seen(store, gallery, probe[None], subjects=6, mean_of_best=1)
    wanted = reference(templates, probe, subjects=6, mean_of_best=1)
    assert [each.subject_id for each in found] == [each.subject_id for each in wanted]
    assert {each.subject_id for each in found[:2]} == {"many", "more"}


def test_ties_are_sorted_by_id(store: MilvusStore) -> None:
    one = vectors(1, 0)
    for order in (("c", "a", "b"), ("b", "c", "a")):
        gallery = filled(store, dict.fromkeys(order, one))
        (found,) = seen(store, gallery, one, subjects=3, mean_of_best=1)
        assert [each.subject_id for each in found] == ["a", "b", "c"]


def test_similarity_to_a_subject_equals_that_of_a_search(store: MilvusStore) -> None:
    templates = {"ann": vectors(4, 1), "bob": vectors(2, 2)}
    gallery = filled(store, templates)
    index = store.index(gallery, dimension=DIMENSION)
    probe = vectors(1, 3)[0]
    for mean_of_best in (1, 2, 9):
        for candidate in reference(templates, probe, subjects=2, mean_of_best=mean_of_best):
            similarity = index.similarity(candidate.subject_id, probe, mean_of_best=mean_of_best)
            assert similarity == pytest.approx(candidate.similarity, abs=1e-6)
    assert index.similarity("nobody", probe, mean_of_best=1) is None
    of_ann = index.template_similarities("ann", probe)
    assert sorted(of_ann.values()) == pytest.approx(sorted(templates["ann"] @ probe), abs=1e-6)
    assert index.template_similarities("nobody", probe) == {}


def test_subjects_in_several_segments_of_milvus_are_all_found(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    embeddings = vectors(9, 23)
    for number, embedding in enumerate(embeddings):
        # In an order that is not that of the segments.
        galleries.enroll(gallery_id, f"s{number * 4 % 9}", face(embedding, name="somebody"))
        if number % 3 == 2:
            store.milvus.client.flush(store.collections.subjects, timeout=60)
    found = galleries.search(gallery_id, embeddings, top_k=9)
    assert [each.candidates[0].subject_id for each in found] == [f"s{number * 4 % 9}" for number in range(9)]
    assert all(len({one.subject_id for one in each.candidates}) == 9 for each in found)
    assert [each.subject_id for each in galleries.list_subjects(gallery_id, page_size=9).items] == [
        f"s{number}" for number in range(9)
    ]


def test_a_write_is_visible_to_the_next_search(store: MilvusStore) -> None:
    galleries = galleries_of(store)
    gallery_id = galleries.create_gallery("", display_name="", threshold=0.9).gallery_id
    for number, embedding in enumerate(vectors(8, 7)):
        enrolled = galleries.enroll(gallery_id, f"s{number}", face(embedding, name="before"))
        (found,) = galleries.search(gallery_id, embedding[None], top_k=1)
        assert found.candidates[0].template_id == enrolled.template.template_id
        assert found.templates_compared == number + 1
        galleries.update_subject(gallery_id, f"s{number}", renaming("after"))
        (found,) = galleries.search(gallery_id, embedding[None], top_k=1)
        assert found.candidates[0].display_name == "after"
    for number, embedding in enumerate(vectors(8, 7)):
        galleries.delete_subject(gallery_id, f"s{number}")
        (found,) = galleries.search(gallery_id, embedding[None], top_k=10)
        assert f"s{number}" not in {each.subject_id for each in found.candidates}
        assert found.templates_compared == 7 - number
    with pytest.raises(SubjectNotFound):
        galleries.similarity_to_subject(gallery_id, "s0", vectors(1, 7)[0])


def test_an_enrolment_during_a_search_is_visible_to_the_next_search(
    store: MilvusStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first template of its contract: without it there is nothing that a search could look in.
    contract = uuid.uuid4().hex
    galleries = Galleries(store, contract=contract, dimension=DIMENSION, max_templates_per_subject=10)
    gallery = galleries.create_gallery("", display_name="", threshold=0.5)
    index = store.index(gallery, dimension=DIMENSION)
    (probe,) = vectors(1, 9)
    count = store.locator.count_templates

    def count_then_enroll(location: GalleryLocation) -> int:
        templates = count(location)
        monkeypatch.undo()
        galleries.enroll(gallery.gallery_id, "ann", replace(face(probe), contract=contract))
        return templates

    monkeypatch.setattr(store.locator, "count_templates", count_then_enroll)
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


def test_lists_longer_than_a_milvus_response_are_complete_and_sorted(store: MilvusStore) -> None:
    count = MAX_ROWS + 700
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
