"""Searches: which embeddings they compare, and what they do when a gallery disappears."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.errors import (
    ContractMismatch,
    GalleryNotFound,
    InvalidEmbedding,
)
from gallery.galleries import Galleries
from gallery.index.memory_index import MemoryIndex
from gallery.index.protocol import SearchResult
from gallery.records.galleries import GalleryChange
from gallery.records.identifications import Decision
from gallery.records.subjects import renaming
from tests.unit.gallery.samples import CONTRACT, DIMENSION, Vector, axis, between, face, opened


def test_similarity_to_a_subject_is_that_of_its_best_template(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "ann", face(axis(1)))
    assert galleries.similarity_to_subject("g", "ann", between(axis(1), axis(2), 0.8)) == pytest.approx(0.8)


def test_a_search_during_the_deletion_of_its_gallery_reports_it_missing(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries.enroll("g", "s", face(axis(0)))
    search = MemoryIndex.search

    def deleted_first(self: MemoryIndex, probes: Vector, **options: Any) -> tuple[SearchResult, ...]:
        galleries.delete_gallery("g", force=True)
        return search(self, probes, **options)

    monkeypatch.setattr(MemoryIndex, "search", deleted_first)
    with pytest.raises(GalleryNotFound):
        galleries.search("g", axis(0)[None], top_k=1)


@pytest.mark.parametrize(
    "embedding",
    [
        np.full(DIMENSION, np.nan, np.float32),
        np.full(DIMENSION, np.inf, np.float32),
        np.zeros(DIMENSION, np.float32),
        np.full(DIMENSION, 1e-30, np.float32),
        np.ones(DIMENSION - 1, np.float32),
        np.ones((DIMENSION, 1), np.float32),
        np.float32(1.0),
        np.empty(0, np.float32),
    ],
    ids=["nan", "infinite", "zero", "tiny", "short", "a column", "a number", "empty"],
)
def test_an_invalid_embedding_is_refused(galleries: Galleries, embedding: Vector) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    array = np.asarray(embedding)
    with pytest.raises(InvalidEmbedding):
        galleries.enroll("g", "bob", face(array))
    with pytest.raises(InvalidEmbedding):
        galleries.search("g", array[None], top_k=1)
    with pytest.raises(InvalidEmbedding):
        galleries.similarity_to_subject("g", "ann", array)


def test_a_very_long_embedding_is_normalised(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face((3e38 * axis(0)).astype(np.float32)))
    assert galleries.similarity_to_subject("g", "ann", axis(0)) == 1.0


def test_a_gallery_of_another_contract_can_be_managed_but_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "facet.db"
    galleries = opened(path)
    galleries.create_gallery("g", display_name="Guests", threshold=0.5)
    template = galleries.enroll("g", "ann", face(axis(0), name="Ann")).template
    galleries.enroll("g", "bob", face(axis(1)))
    galleries.close()

    galleries = opened(path, contract="another")
    for call in (
        lambda: galleries.search("g", axis(0)[None], top_k=1),
        lambda: galleries.similarity_to_subject("g", "ann", axis(0)),
        lambda: galleries.enroll("g", "ann", replace(face(axis(2)), contract="another")),
        lambda: galleries.enroll("g", "ann", face(axis(2))),
    ):
        with pytest.raises(ContractMismatch) as refused:
            call()
        assert (refused.value.gallery_id, refused.value.expected) == ("g", CONTRACT)
        assert refused.value.found == "another"
    assert galleries.list_galleries(page_size=5).items == (galleries.get_gallery("g"),)
    assert galleries.get_gallery("g").template_count == 2
    assert galleries.update_subject("g", "ann", renaming("Anna")).display_name == "Anna"
    assert galleries.update_gallery("g", GalleryChange(display_name="Old", threshold=0.6)).display_name == "Old"
    galleries.delete_template("g", "ann", template.template_id)
    assert galleries.delete_subject("g", "bob") == 1
    galleries.delete_gallery("g", force=True)
    assert galleries.list_galleries(page_size=5).items == ()
    galleries.close()


def test_an_embedding_of_another_contract_is_refused(galleries: Galleries) -> None:
    with pytest.raises(ContractMismatch) as refused:
        galleries.enroll("g", "ann", replace(face(axis(0)), contract="another"))
    assert (refused.value.expected, refused.value.found) == (CONTRACT, "another")
    with pytest.raises(ContractMismatch):
        galleries.search("g", axis(0)[None], top_k=1, contract="another")
    assert galleries.search("g", axis(0)[None], top_k=1, contract=CONTRACT)


def test_probes_of_different_people_get_different_subjects(galleries: Galleries) -> None:
    """The rival of every probe is nearer, so the last one gets a subject far down its list."""
    for number in range(6):
        galleries.enroll("g", f"s{number}", face(between(axis(0), axis(number + 1), 0.95), accept_lookalike=True))
    probes = np.stack([between(axis(0), axis(20), 1 - 0.01 * number) for number in range(7)])
    found = galleries.search("g", probes, top_k=1, threshold=0.5, distinct_subjects=True)
    assert [each.candidates[0].subject_id for each in found[:6]] == [f"s{number}" for number in range(6)]
    assert [len(each.taken) for each in found] == list(range(7))
    assert [taken.probe for taken in found[6].taken] == list(range(6))
    assert (found[6].decision, found[6].candidates) == (Decision.UNKNOWN, ())


def test_probes_without_a_common_subject_are_answered_as_usual(galleries: Galleries) -> None:
    for number in range(3):
        galleries.enroll("g", f"s{number}", face(axis(number)))
    probes = np.stack([between(axis(number), axis(9), 0.9) for number in range(3)])
    usual = galleries.search("g", probes, top_k=3)
    assert galleries.search("g", probes, top_k=3, distinct_subjects=True) == usual
