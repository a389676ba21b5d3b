"""What every store must do with galleries."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gallery.errors import (
    EtagMismatch,
    GalleryExists,
    GalleryNotEmpty,
    GalleryNotFound,
    StorageUnavailable,
)
from gallery.records.calibrations import Calibration
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.subjects import renaming
from gallery.records.thresholds import ThresholdSource
from gallery.stores.base import EnrollmentRequest, Store
from gallery.stores.milvus.milvus_store import MilvusStore
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.integration.gallery.stores.samples import (
    CALIBRATION,
    NOW,
    add_template,
    all_pages,
    enroll,
    enrollment_state,
    new_gallery,
    new_subject,
    new_template,
    vectors,
)


def test_a_gallery_is_read_as_it_was_created(store: Store, gallery: Gallery) -> None:
    assert store.gallery(gallery.gallery_id) == gallery


def test_a_taken_id_is_refused_and_its_gallery_stays(store: Store, gallery: Gallery) -> None:
    with pytest.raises(GalleryExists):
        store.create_gallery(replace(gallery, display_name="another"))
    with pytest.raises(GalleryExists):
        store.begin_import(replace(gallery, display_name="another"))
    assert store.gallery(gallery.gallery_id).display_name == "Guests ☕"


def test_galleries_are_listed_by_id(store: Store) -> None:
    first = f"g{uuid.uuid4().hex}"
    wanted = [f"{first}{end}" for end in ("", "-x", ".a", "0", "_y", "a", "aa", "b")]
    for gallery_id in reversed(wanted):
        store.create_gallery(new_gallery(gallery_id))

    def page(after: str) -> list[str]:
        found = store.galleries(after=after or first[:-1], limit=3)
        return [each.gallery_id for each in found if each.gallery_id.startswith(first)]

    assert all_pages(page) == wanted


def test_an_update_changes_given_values_and_the_etag(store: Store, gallery: Gallery) -> None:
    at = NOW + timedelta(days=1)
    changed = store.update_gallery(
        gallery.gallery_id, GalleryChange(threshold=-0.5), etag="etag-1", new_etag="etag-2", time=at
    )
    assert changed == replace(gallery, threshold=-0.5, etag="etag-2", update_time=at)
    with pytest.raises(EtagMismatch) as refused:
        store.update_gallery(
            gallery.gallery_id, GalleryChange(display_name="no", mean_of_best=1), etag="etag-1", new_etag="x", time=at
        )
    assert (refused.value.expected, refused.value.found) == ("etag-2", "etag-1")
    assert store.gallery(gallery.gallery_id) == changed
    again = store.update_gallery(
        gallery.gallery_id, GalleryChange(display_name="", mean_of_best=3), etag="", new_etag="etag-3", time=at
    )
    assert (again.display_name, again.mean_of_best, again.threshold) == ("", 3, -0.5)


@pytest.mark.parametrize("source", ThresholdSource)
def test_the_source_of_a_threshold_is_stored(store: Store, source: ThresholdSource) -> None:
    wanted = replace(new_gallery(), threshold_source=source)
    store.create_gallery(wanted)
    assert store.gallery(wanted.gallery_id) == wanted
    renamed = store.update_gallery(
        wanted.gallery_id, GalleryChange(display_name="new"), etag="", new_etag="e", time=NOW
    )
    assert renamed.threshold_source is source


def test_a_changed_threshold_has_the_source_of_the_change(store: Store, gallery: Gallery) -> None:
    for change, source in (
        (GalleryChange(threshold=CALIBRATION.threshold, calibration=CALIBRATION), ThresholdSource.CALIBRATION),
        (GalleryChange(threshold=gallery.threshold), ThresholdSource.CALLER),
    ):
        changed = store.update_gallery(gallery.gallery_id, change, etag="", new_etag="e", time=NOW)
        assert (changed.threshold, changed.threshold_source) == (change.threshold, source)
        assert store.gallery(gallery.gallery_id) == changed


def test_a_calibration_stays_until_there_is_another(store: Store, gallery: Gallery) -> None:
    def update(threshold: float | None, calibration: Calibration | None) -> Gallery:
        return store.update_gallery(
            gallery.gallery_id,
            GalleryChange(threshold=threshold, calibration=calibration),
            etag="",
            new_etag="e",
            time=NOW,
        )

    first = update(0.25, CALIBRATION)
    assert (first.threshold, first.calibration) == (0.25, CALIBRATION)
    assert store.gallery(gallery.gallery_id) == first
    assert update(0.5, None).calibration == CALIBRATION
    another = replace(CALIBRATION, failures=4)
    assert update(None, another).calibration == another


def test_a_gallery_with_subjects_is_deleted_only_by_force(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery)
    with pytest.raises(EtagMismatch):
        store.delete_gallery(gallery.gallery_id, force=True, etag="another")
    with pytest.raises(GalleryNotEmpty) as refused:
        store.delete_gallery(gallery.gallery_id, force=False, etag="etag-1")
    assert refused.value.subject_count == 1
    store.delete_gallery(gallery.gallery_id, force=True, etag="etag-1")
    store.scrub()
    with pytest.raises(GalleryNotFound):
        store.gallery(gallery.gallery_id)


def test_a_gallery_created_again_has_nothing_of_the_deleted_one(store: Store, gallery: Gallery) -> None:
    enroll(store, gallery, request=EnrollmentRequest("r", "d"))
    store.delete_gallery(gallery.gallery_id, force=True, etag="")
    store.create_gallery(gallery)
    assert store.gallery(gallery.gallery_id) == gallery
    assert not store.subjects(gallery.gallery_id, after="", limit=10)
    assert not len(store.embedded_templates(gallery.gallery_id, after="", limit=10))
    assert store.template_of_request(gallery.gallery_id, "r") is None
    store.scrub()
    enroll(store, gallery)
    assert store.gallery(gallery.gallery_id).template_count == 1


def test_every_method_reports_a_missing_gallery(store: Store) -> None:
    missing = new_gallery()
    gone = missing.gallery_id
    template = new_template(missing)
    asked: list[Callable[[], object]] = [
        lambda: store.gallery(gone),
        lambda: store.update_gallery(gone, GalleryChange(display_name=""), etag="", new_etag="x", time=NOW),
        lambda: store.delete_gallery(gone, force=True, etag=""),
        lambda: store.subject(gone, "ann"),
        lambda: store.subjects(gone, after="", limit=1),
        lambda: store.update_subject(gone, "ann", renaming(""), etag="", new_etag="x", time=NOW),
        lambda: store.delete_subject(gone, "ann", etag=""),
        lambda: store.distinct_pairs(gone),
        lambda: store.set_distinct(gone, "ann", "bob", is_distinct=True, limit=1),
        lambda: store.templates(gone, "ann", after="", limit=1),
        lambda: store.templates_of_picture(gone, "ann", "p"),
        lambda: enrollment_state(store, gone, "ann", picture_sha256="p", request_id="r"),
        lambda: store.template_of_request(gone, "r"),
        lambda: add_template(store, template, vectors(1)[0], new_subject=new_subject(missing), request=None, crop=None),
        lambda: store.add_request(template, EnrollmentRequest("r", "d")),
        lambda: store.delete_template(gone, "ann", "t"),
        lambda: store.embedded_templates(gone, after="", limit=1),
        lambda: store.faces(gone, after=("", ""), limit=1),
    ]
    for ask in asked:
        with pytest.raises(GalleryNotFound):
            ask()


def test_a_closed_store_is_unavailable(tmp_path: Path, request: pytest.FixtureRequest, store: Store) -> None:
    closed: Store
    if isinstance(store, SqliteStore):
        closed = SqliteStore(tmp_path / "facet.db")
    elif "postgres" in request.node.name:
        from gallery.stores.postgres.postgres_store import PostgresStore

        closed = PostgresStore(request.getfixturevalue("postgres_server").url, schema="closed")
    elif "server" in request.node.name:
        server = request.getfixturevalue("milvus_server")
        closed = MilvusStore(server.uri, token=server.token, prefix="contract")
    else:
        closed = MilvusStore(str(tmp_path / "facet.db"))
    closed.close()
    closed.close()
    with pytest.raises(StorageUnavailable):
        closed.galleries(after="", limit=1)
    assert store.galleries(after="", limit=1) is not None
