"""What every store promises about observations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gallery.errors import GalleryNotFound
from gallery.names import MAX_ID
from gallery.observations.records import DAY, HOUR, Observation
from gallery.records.galleries import Gallery
from gallery.records.identifications import Decision
from gallery.stores.base import Store
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.integration.gallery.stores.samples import new_gallery
from tests.unit.gallery.observations.faces import a_tally

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
CAMERA, CALLER = 'camera:Eingang "☕" 人', "caller:key:kiosk"
LONG_AGO, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def seen(gallery: Gallery, hour: int, source: str = CAMERA, matches: int = 1) -> Observation:
    """An hour with as many matches, and an unknown face."""
    return Observation(gallery.gallery_id, source, MIDNIGHT + hour * HOUR, HOUR, a_tally(matches, 1, 0).counts())


def found(store: Store, gallery: Gallery) -> dict[tuple[datetime, timedelta, str], int]:
    """The number of matches by start, span and source."""
    every = store.observations.find(gallery.gallery_id, since=LONG_AGO, until=NEVER, after=None, limit=1000)
    return {(each.start, each.span, each.source): each.counts.decisions[Decision.MATCH] for each in every}


def test_observations_of_one_hour_add_up(store: Store, gallery: Gallery) -> None:
    store.observations.add([seen(gallery, 1, matches=2), seen(gallery, 1, CALLER)])
    store.observations.add([seen(gallery, 1, matches=5)])
    hour = MIDNIGHT + HOUR
    assert found(store, gallery) == {(hour, HOUR, CAMERA): 7, (hour, HOUR, CALLER): 1}


def test_observations_are_found_by_time_page_by_page(store: Store, gallery: Gallery) -> None:
    store.observations.add([seen(gallery, hour, source) for hour in (3, 1, 0, 2) for source in (CAMERA, CALLER)])
    places: list[tuple[datetime, str]] = []
    while True:
        page = store.observations.find(
            gallery.gallery_id,
            since=MIDNIGHT + HOUR,
            until=MIDNIGHT + 3 * HOUR,
            after=places[-1] if places else None,
            limit=3,
        )
        if not page:
            break
        places += [(each.start, each.source) for each in page]
    assert places == [(MIDNIGHT + hour * HOUR, source) for hour in (1, 2) for source in (CALLER, CAMERA)]


def test_observations_of_a_missing_gallery_are_left_out(store: Store, gallery: Gallery) -> None:
    missing = new_gallery()
    store.observations.add([seen(missing, 1), seen(gallery, 1)])
    assert len(found(store, gallery)) == 1
    with pytest.raises(GalleryNotFound):
        found(store, missing)


def test_observations_of_a_deleted_gallery_are_gone(store: Store, gallery: Gallery) -> None:
    store.observations.add([seen(gallery, 1)])
    store.delete_gallery(gallery.gallery_id, force=True, etag="")
    store.scrub()
    store.create_gallery(gallery)
    assert found(store, gallery) == {}


def tidy(store: Store, gallery: Gallery, *, keep_since: datetime = MIDNIGHT, keep_hours: int = 0) -> None:
    """Tidy what is before the third day; keep the first hours of the camera."""
    kept = {CAMERA: (MIDNIGHT, MIDNIGHT + keep_hours * HOUR)} if keep_hours else {}
    store.observations.tidy(gallery.gallery_id, days_before=MIDNIGHT + 2 * DAY, keep_since=keep_since, keep_hours=kept)


def test_old_hours_become_days_and_then_go(store: Store, gallery: Gallery) -> None:
    other = new_gallery()
    store.create_gallery(other)
    store.observations.add([seen(gallery, hour) for hour in (1, 23, 24, 48)])
    store.observations.add([seen(other, 1)])
    tidy(store, gallery)
    kept = found(store, gallery)
    assert sum(kept.values()) == 4
    if isinstance(store, SqliteStore):  # Milvus keeps hours
        days = {(MIDNIGHT + day * DAY, DAY, CAMERA) for day in (0, 1)}
        assert set(kept) == days | {(MIDNIGHT + 2 * DAY, HOUR, CAMERA)}
    store.observations.add([seen(gallery, 2)])
    tidy(store, gallery)
    assert sum(found(store, gallery).values()) == 5
    tidy(store, gallery, keep_since=MIDNIGHT + 2 * DAY)
    assert list(found(store, gallery)) == [(MIDNIGHT + 2 * DAY, HOUR, CAMERA)]
    assert list(found(store, other)) == [(MIDNIGHT + HOUR, HOUR, CAMERA)]


def test_hours_of_a_reference_period_stay_hours(store: Store, gallery: Gallery) -> None:
    store.observations.add([seen(gallery, hour, source) for hour in (1, 2) for source in (CAMERA, CALLER)])
    tidy(store, gallery, keep_hours=2)
    kept = {place for place in found(store, gallery) if place[2] == CAMERA}
    assert kept == {(MIDNIGHT + HOUR, HOUR, CAMERA), (MIDNIGHT + 2 * HOUR, HOUR, CAMERA)}


def test_the_longest_name_of_a_camera_is_stored(store: Store, gallery: Gallery) -> None:
    longest = f"camera:{'😀' * MAX_ID}"
    store.observations.add([seen(gallery, 1, longest)])
    assert list(found(store, gallery)) == [(MIDNIGHT + HOUR, HOUR, longest)]


def test_one_source_is_found_alone(store: Store, gallery: Gallery) -> None:
    store.observations.add([seen(gallery, hour, source) for hour in (1, 2) for source in (CAMERA, CALLER)])
    here = gallery.gallery_id
    assert store.observations.sources(here, since=MIDNIGHT) == [CALLER, CAMERA]
    assert store.observations.sources(here, since=MIDNIGHT + 3 * HOUR) == []
    only = store.observations.find(here, since=MIDNIGHT, until=NEVER, source=CAMERA, limit=10)
    assert [(each.start, each.source) for each in only] == [(MIDNIGHT + hour * HOUR, CAMERA) for hour in (1, 2)]


def test_reference_periods_are_begun_anew_by_source_or_for_all(store: Store, gallery: Gallery) -> None:
    log, here = store.observations, gallery.gallery_id
    assert log.reference_starts(here) == {}
    log.begin_reference(here, CAMERA, MIDNIGHT + HOUR)
    log.begin_reference(here, CAMERA, MIDNIGHT)
    log.begin_reference(here, CALLER, MIDNIGHT + DAY)
    assert log.reference_starts(here) == {CAMERA: MIDNIGHT, CALLER: MIDNIGHT + DAY}
    log.begin_reference(here, "", MIDNIGHT + 2 * DAY)
    assert log.reference_starts(here) == {"": MIDNIGHT + 2 * DAY}
    missing = new_gallery().gallery_id
    with pytest.raises(GalleryNotFound):
        log.begin_reference(missing, CAMERA, MIDNIGHT)
    with pytest.raises(GalleryNotFound):
        log.reference_starts(missing)


def test_reference_periods_go_with_their_gallery(store: Store, gallery: Gallery) -> None:
    store.observations.begin_reference(gallery.gallery_id, CAMERA, MIDNIGHT)
    store.delete_gallery(gallery.gallery_id, force=True, etag="")
    store.scrub()
    store.create_gallery(gallery)
    assert store.observations.reference_starts(gallery.gallery_id) == {}
