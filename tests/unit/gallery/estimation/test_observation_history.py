"""What is recent in a gallery, what its reference period is, and since when its faces have changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from gallery.estimation.drift import NotCompared
from gallery.estimation.observation_history import ObservationHistory, comparable_since
from gallery.observations.records import DAY, HOUR, Observation, start_of
from gallery.observations.tally import Tally
from gallery.records.galleries import Gallery
from gallery.records.identifications import Decision
from gallery.records.migrations import Migration, ModelVersion, ThresholdSettings
from gallery.records.thresholds import ThresholdSource
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.integration.gallery.stores.samples import CALIBRATION, NOW, new_gallery
from tests.unit.gallery.observations.faces import MEASURES

BEGIN = start_of(NOW, HOUR)
CAMERA = "camera:door"


def an_hour(number: int, faces: int = 40, *, sharpness: float = 0.35) -> Observation:
    """An hour of faces whose sharpness varies."""
    rng, tally = np.random.default_rng(number), Tally()
    for value in rng.normal(sharpness, 0.05, faces).tolist():
        tally.add_face(MEASURES._replace(sharpness=value), Decision.UNKNOWN, best=0.2, templates_compared=10)
    return Observation("g", CAMERA, BEGIN + number * HOUR, HOUR, tally.counts())


@pytest.fixture
def gallery() -> Gallery:
    return new_gallery("g")


@pytest.fixture
def history(tmp_path: Path, gallery: Gallery) -> Iterator[ObservationHistory]:
    store = SqliteStore(tmp_path / "facet.db")
    store.create_gallery(gallery)
    yield ObservationHistory(store)
    store.close()


def at(hours: float) -> datetime:
    return BEGIN + timedelta(hours=hours)


def test_the_reference_period_is_the_first_hours_of_a_source(history: ObservationHistory, gallery: Gallery) -> None:
    history.log.add([an_hour(number, faces=30) for number in range(200)])
    period = history.default_reference(gallery, CAMERA)
    assert (period.since, period.until) == (at(0), at(168))
    assert period.is_whole
    assert history.default_reference(gallery, "camera:other").hours == ()


def test_the_reference_period_lasts_until_there_are_enough_faces(history: ObservationHistory, gallery: Gallery) -> None:
    history.log.add([an_hour(number, faces=10) for number in range(210)])
    assert history.default_reference(gallery, CAMERA).until == at(200)


def test_a_calibration_begins_a_new_reference_period(gallery: Gallery) -> None:
    calibrated = replace(gallery, calibration=replace(CALIBRATION, create_time=NOW + 2 * DAY))
    assert comparable_since(gallery) == NOW - HOUR
    assert comparable_since(calibrated) == NOW + 2 * DAY - HOUR


def test_what_searches_looked_like_is_comparable_from_the_first_whole_hour_after_a_switch_of_the_model(
    gallery: Gallery,
) -> None:
    old, new = (ModelVersion(name, name, "", 4) for name in ("old", "new"))
    migration = Migration("m", old, new, ThresholdSettings(0.5, ThresholdSource.CALLER), NOW)
    migrating = replace(gallery, calibration=replace(CALIBRATION, create_time=NOW), migration=migration)
    assert comparable_since(migrating) == NOW
    switched = replace(migrating, migration=replace(migration, switch_time=start_of(NOW + DAY, HOUR) + HOUR / 3))
    assert comparable_since(switched) == start_of(NOW + DAY, HOUR) + HOUR
    later = replace(switched, calibration=replace(CALIBRATION, create_time=NOW + 3 * DAY))
    assert comparable_since(later) == NOW + 3 * DAY - HOUR


def test_a_reference_period_that_somebody_begins_takes_the_place_of_the_first(
    history: ObservationHistory, gallery: Gallery
) -> None:
    history.log.add([an_hour(number, sharpness=0.35 if number < 200 else 0.2) for number in range(420)])
    old = history.default_reference(gallery, CAMERA)
    assert history.compare("g", CAMERA, old, until=at(420)).drift.alarm
    history.begin_reference("g", CAMERA, at(199.5))
    new = history.default_reference(gallery, CAMERA)
    assert (new.since, new.until) == (at(200), at(368))
    assert not history.compare("g", CAMERA, new, until=at(420)).drift.alarm
    assert history.reference_since(gallery, "camera:other") == comparable_since(gallery)
    history.begin_reference("g", "", at(420))
    assert history.default_reference(gallery, CAMERA).hours == ()
    history.tidy(days_before=at(24 * 30), keep_since=at(-24))
    assert {each.span for each in history.period("g", CAMERA, since=at(0), until=at(400)).hours} == {DAY}


def test_the_last_call_says_when_the_reference_period_begins(history: ObservationHistory, gallery: Gallery) -> None:
    history.begin_reference("g", "", at(100))
    history.begin_reference("g", CAMERA, at(50))
    assert history.reference_since(gallery, CAMERA) == at(50)
    assert history.reference_since(gallery, "camera:other") == at(100)
    history.begin_reference("g", "", at(20))
    assert history.reference_since(gallery, CAMERA) == at(20)


def test_hours_without_a_face_do_not_begin_the_reference_period(history: ObservationHistory, gallery: Gallery) -> None:
    garbage = Tally()
    garbage.add_undecoded()
    history.log.add([replace(an_hour(0, faces=0), counts=garbage.counts())])
    history.log.add([an_hour(number, faces=300) for number in range(160, 178)])
    assert not history.default_reference(gallery, CAMERA).is_whole
    history.log.add([an_hour(number, faces=300) for number in range(178, 330)])
    period = history.default_reference(gallery, CAMERA)
    assert (period.since, period.until) == (at(160), at(328))
    assert period.is_whole


def test_days_whose_hours_are_gone_are_no_reference_period(history: ObservationHistory, gallery: Gallery) -> None:
    history.log.add([an_hour(number, faces=30) for number in range(24 * 10)])
    history.begin_reference("g", CAMERA, at(24 * 10))
    history.tidy(days_before=at(24 * 30), keep_since=at(-24))
    history.begin_reference("g", CAMERA, at(0))
    assert history.default_reference(gallery, CAMERA).hours == ()


def test_a_chosen_period_whose_hours_have_become_days_is_not_compared(
    history: ObservationHistory, gallery: Gallery
) -> None:
    history.log.add([an_hour(number, faces=60) for number in range(24 * 12)])
    history.begin_reference("g", CAMERA, at(24 * 10))
    history.tidy(days_before=at(24 * 10), keep_since=at(-24))
    chosen = history.period("g", CAMERA, since=at(0), until=at(24 * 9))
    found = history.compare("g", CAMERA, chosen, until=at(24 * 12)).drift
    assert found.reason is NotCompared.TOO_LITTLE_REFERENCE


def test_a_week_that_is_not_over_is_no_reference_period(history: ObservationHistory, gallery: Gallery) -> None:
    history.log.add([an_hour(number, faces=60) for number in range(100)])
    of_reference = history.default_reference(gallery, CAMERA)
    assert not of_reference.is_whole
    found = history.compare("g", CAMERA, of_reference, until=at(100)).drift
    assert (found.reason, found.reference_faces) == (NotCompared.TOO_LITTLE_REFERENCE, 6000)
    chosen = history.period("g", CAMERA, since=at(0), until=at(90))
    assert history.compare("g", CAMERA, chosen, until=at(100)).drift.reason is None


def test_a_change_is_found_with_its_quantity_and_its_first_hour(history: ObservationHistory, gallery: Gallery) -> None:
    history.log.add([an_hour(number) for number in range(186)])
    of_reference = history.default_reference(gallery, CAMERA)
    usual = history.compare("g", CAMERA, of_reference, until=at(186))
    assert not usual.drift.alarm
    assert usual.alarm_since is None
    history.log.add([an_hour(number, faces=300, sharpness=0.2) for number in range(186, 190)])
    changed = history.compare("g", CAMERA, of_reference, until=at(190))
    assert [each.name for each in changed.drift.moved] == ["sharpness"]
    assert changed.drift.moved[0].rise < 0
    assert changed.alarm_since == at(186)


def test_tidying_keeps_the_hours_of_the_reference_period(history: ObservationHistory, gallery: Gallery) -> None:
    history.log.add([an_hour(number, faces=30) for number in range(24 * 10)])
    before = history.default_reference(gallery, CAMERA)
    history.tidy(days_before=at(24 * 30), keep_since=at(-24))
    after = history.default_reference(gallery, CAMERA)
    assert [(each.start, each.span) for each in after.hours] == [(each.start, each.span) for each in before.hours]
    late = history.period("g", CAMERA, since=at(24 * 8), until=at(24 * 11))
    assert {each.span for each in late.hours} == {DAY}
    history.tidy(days_before=at(0), keep_since=at(24 * 30))
    assert history.sources("g", since=at(-24)) == []
