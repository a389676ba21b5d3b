"""Galleries: created, changed, deleted, and missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from gallery.errors import (
    ContractMismatch,
    EtagMismatch,
    GalleryError,
    GalleryExists,
    GalleryNotEmpty,
    GalleryNotFound,
)
from gallery.galleries import Galleries
from gallery.records.galleries import GalleryChange
from gallery.records.identifications import Decision
from gallery.records.subjects import renaming
from gallery.records.thresholds import DEFAULT_THRESHOLD, ThresholdSource, rounded_threshold
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, axis, best_match, between, face, opened


def test_a_gallery_has_the_values_it_was_created_with(galleries: Galleries) -> None:
    before = datetime.now(UTC)
    made = galleries.create_gallery("new", display_name="Staff ☕", threshold=0.25)
    assert galleries.get_gallery("new") == made
    assert (made.display_name, made.threshold, made.contract) == ("Staff ☕", 0.25, CONTRACT)
    assert (made.subject_count, made.template_count) == (0, 0)
    assert before <= made.create_time == made.update_time <= datetime.now(UTC)
    assert made.create_time.utcoffset() == timedelta(0)
    assert made.etag


def test_a_gallery_without_an_id_gets_a_uuid7(galleries: Galleries) -> None:
    assert UUID(galleries.create_gallery("", display_name="", threshold=0.5).gallery_id).version == 7


def test_a_taken_gallery_id_is_refused(galleries: Galleries) -> None:
    with pytest.raises(GalleryExists) as refused:
        galleries.create_gallery("g", display_name="", threshold=0.1)
    assert refused.value.gallery_id == "g"
    assert galleries.get_gallery("g").display_name == "Guests"


def test_an_update_changes_given_values_and_the_etag(galleries: Galleries) -> None:
    before = galleries.get_gallery("g")
    after = galleries.update_gallery("g", GalleryChange(threshold=0.75), etag=before.etag)
    assert (after.display_name, after.threshold) == ("Guests", 0.75)
    assert after.etag != before.etag
    assert after.update_time >= before.update_time
    assert after == galleries.get_gallery("g")
    renamed = galleries.update_gallery("g", GalleryChange(display_name=""))
    assert (renamed.display_name, renamed.threshold) == ("", 0.75)


def test_a_stale_etag_changes_nothing(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    gallery, subject = galleries.get_gallery("g"), galleries.get_subject("g", "ann")
    with pytest.raises(EtagMismatch) as refused:
        galleries.update_gallery("g", GalleryChange(display_name="x"), etag="stale")
    assert (refused.value.gallery_id, refused.value.subject_id) == ("g", "")
    assert (refused.value.expected, refused.value.found) == (gallery.etag, "stale")
    with pytest.raises(EtagMismatch):
        galleries.delete_gallery("g", force=True, etag="stale")
    with pytest.raises(EtagMismatch) as refused:
        galleries.update_subject("g", "ann", renaming("x"), etag="stale")
    assert refused.value.subject_id == "ann"
    with pytest.raises(EtagMismatch):
        galleries.delete_subject("g", "ann", etag="stale")
    assert galleries.get_gallery("g") == gallery
    assert galleries.get_subject("g", "ann") == subject
    assert best_match(galleries, axis(0)) == "ann"


def test_the_etag_of_a_deleted_gallery_is_stale_for_a_new_one_with_its_id(galleries: Galleries) -> None:
    former = galleries.get_gallery("g").etag
    galleries.delete_gallery("g", etag=former)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    with pytest.raises(EtagMismatch):
        galleries.delete_gallery("g", etag=former)


def test_a_gallery_without_a_threshold_gets_the_default(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "facet.db")
    galleries = Galleries(
        store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5, default_threshold=0.3
    )
    created = galleries.create_gallery("g", display_name="")
    assert (created.threshold, created.threshold_source) == (rounded_threshold(0.3), ThresholdSource.DEFAULT)
    assert galleries.get_gallery("g") == created
    renamed = galleries.update_gallery("g", GalleryChange(display_name="Guests", mean_of_best=2))
    assert renamed.threshold_source is ThresholdSource.DEFAULT
    galleries.close()


def test_a_threshold_that_a_caller_sets_to_the_default_value_is_the_callers(galleries: Galleries) -> None:
    created = galleries.create_gallery("created", display_name="", threshold=DEFAULT_THRESHOLD)
    galleries.create_gallery("updated", display_name="")
    updated = galleries.update_gallery("updated", GalleryChange(threshold=DEFAULT_THRESHOLD))
    for gallery in (created, updated):
        assert gallery.threshold == rounded_threshold(DEFAULT_THRESHOLD)
        assert gallery.threshold_source is ThresholdSource.CALLER
        assert galleries.get_gallery(gallery.gallery_id) == gallery


def test_a_new_threshold_applies_to_the_next_search(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(0)))
    probe = between(axis(0), axis(1), 0.6)
    assert best_match(galleries, probe) == "ann"
    galleries.update_gallery("g", GalleryChange(threshold=0.7))
    assert best_match(galleries, probe) == ""
    (answer,) = galleries.search("g", probe[None], top_k=1, threshold=0.55)
    assert (answer.decision, answer.threshold) == (Decision.MATCH, float(np.float32(0.55)))


def test_thresholds_are_rounded_to_float32(galleries: Galleries) -> None:
    threshold = float(np.float32(0.7))
    assert threshold < 0.7
    assert galleries.update_gallery("g", GalleryChange(threshold=0.7)).threshold == threshold


def test_a_gallery_with_subjects_is_deleted_only_by_force(galleries: Galleries) -> None:
    enrolled = galleries.enroll("g", "ann", face(axis(0)))
    galleries.delete_template("g", "ann", enrolled.template.template_id)
    with pytest.raises(GalleryNotEmpty) as refused:
        galleries.delete_gallery("g")
    assert (refused.value.gallery_id, refused.value.subject_count) == ("g", 1)
    galleries.delete_gallery("g", force=True)
    galleries.create_gallery("g", display_name="", threshold=0.5)
    assert galleries.get_gallery("g").subject_count == 0
    assert best_match(galleries, axis(0)) == ""


def test_every_method_reports_a_missing_gallery(galleries: Galleries) -> None:
    calls: list[Callable[[], object]] = [
        lambda: galleries.get_gallery("no"),
        lambda: galleries.update_gallery("no", GalleryChange(threshold=0.5)),
        lambda: galleries.delete_gallery("no"),
        lambda: galleries.enroll("no", "ann", face(axis(0))),
        lambda: galleries.get_subject("no", "ann"),
        lambda: galleries.list_subjects("no", page_size=5),
        lambda: galleries.update_subject("no", "ann", renaming("")),
        lambda: galleries.delete_subject("no", "ann"),
        lambda: galleries.list_templates("no", "ann", page_size=5),
        lambda: galleries.delete_template("no", "ann", "t"),
        lambda: galleries.search("no", axis(0)[None], top_k=1),
        lambda: galleries.similarity_to_subject("no", "ann", axis(0)),
    ]
    for call in calls:
        with pytest.raises(GalleryNotFound) as refused:
            call()
        assert refused.value.gallery_id == "no"


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    galleries = opened(tmp_path / "facet.db")
    galleries.create_gallery("g", display_name="Guests", threshold=0.4)
    for number in range(6):
        galleries.enroll("g", f"s{number // 2}", face(axis(number), name=f"Name {number // 2}"))
    galleries.update_subject("g", "s1", renaming("Renamed"))
    probes = np.random.default_rng(1).normal(size=(20, DIMENSION)).astype(np.float32)

    def everything(galleries: Galleries) -> object:
        return (
            galleries.list_galleries(page_size=10),
            galleries.list_subjects("g", page_size=10),
            [galleries.list_templates("g", f"s{number}", page_size=10) for number in range(3)],
            galleries.search("g", probes, top_k=5),
        )

    before = everything(galleries)
    galleries.close()
    reopened = opened(tmp_path / "facet.db")
    assert everything(reopened) == before
    reopened.close()


def test_galleries_are_separate(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=0.5)
    galleries.enroll("g", "ann", face(axis(0), name="Ann of g"))
    galleries.enroll("h", "ann", face(axis(1), name="Ann of h"))
    assert best_match(galleries, axis(0), "h") == ""
    galleries.delete_subject("h", "ann")
    assert galleries.get_subject("g", "ann").display_name == "Ann of g"


def test_a_gallery_counts_its_own_subjects_and_templates(galleries: Galleries) -> None:
    galleries.create_gallery("h", display_name="", threshold=0.5)
    galleries.enroll("g", "ann", face(axis(0)))
    galleries.enroll("g", "ann", face(axis(1)))
    galleries.enroll("h", "bob", face(axis(0)))
    gallery = galleries.get_gallery("g")
    assert (gallery.subject_count, gallery.template_count) == (1, 2)


def test_errors_are_gallery_errors_with_a_message(galleries: Galleries) -> None:
    with pytest.raises(GalleryError, match="there is no gallery 'no'"):
        galleries.get_gallery("no")


def test_the_revision_changes_with_the_gallery_and_only_then(galleries: Galleries, tmp_path: Path) -> None:
    galleries.create_gallery("other", display_name="", threshold=0.5)
    seen = [galleries.revision("g")]

    def change(what: Callable[[], object]) -> None:
        what()
        assert galleries.revision("g") == galleries.revision("g")
        seen.append(galleries.revision("g"))

    change(lambda: galleries.enroll("g", "anna", face(axis(0))))
    change(lambda: galleries.update_subject("g", "anna", renaming("Anna")))
    change(lambda: galleries.update_gallery("g", GalleryChange(threshold=0.6)))
    (template,) = galleries.list_templates("g", "anna", page_size=9).items
    change(lambda: galleries.delete_template("g", "anna", template.template_id))
    change(lambda: galleries.delete_subject("g", "anna"))
    galleries.search("g", axis(0)[None], top_k=1)
    galleries.enroll("other", "bert", face(axis(1)))
    assert galleries.revision("g") == seen[-1]
    galleries.delete_gallery("g")
    with pytest.raises(GalleryNotFound):
        galleries.revision("g")
    change(lambda: galleries.create_gallery("g", display_name="", threshold=0.5))
    assert len(set(seen)) == len(seen)
    galleries.close()
    with pytest.raises(ContractMismatch):
        opened(tmp_path / "facet.db", contract="another").revision("g")
