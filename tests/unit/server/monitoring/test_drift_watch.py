"""Faces are compared with their reference period as they come, and what changed is told until it is as before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facet.server.monitoring.drift_watch import DriftWatch
from gallery.galleries import Galleries
from gallery.observations.records import HOUR, NOTHING, Observation, start_of
from gallery.observations.tally import Tally
from gallery.records.identifications import Decision
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.observations.faces import MEASURES
from tests.unit.gallery.samples import CONTRACT, DIMENSION
from tests.unit.server.monitoring.samples import NOON, NoonClock


def an_hour(number: int, faces: int, *, brightness: float = 0.5) -> Observation:
    rng, tally = np.random.default_rng(number), Tally()
    for value in rng.normal(brightness, 0.05, faces).tolist():
        tally.add_face(MEASURES._replace(brightness=value), Decision.UNKNOWN, best=0.2, templates_compared=10)
    return Observation("g", "camera:door", start_of(NOON, HOUR) + number * HOUR, HOUR, tally.counts())


@pytest.fixture
def clock() -> NoonClock:
    return NoonClock()


@pytest.fixture
def galleries(tmp_path: Path, clock: NoonClock) -> Iterator[Galleries]:
    store = SqliteStore(tmp_path / "facet.db")
    made = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5, clock=clock)
    made.create_gallery("g", display_name="")
    yield made
    made.close()


def metrics(watch: DriftWatch) -> dict[str, float]:
    return {
        f"{sample.name}:{':'.join(sample.labels.values())}": sample.value
        for metric in watch.collect()
        for sample in metric.samples
    }


def test_a_change_is_told_until_faces_are_as_before(galleries: Galleries, clock: NoonClock) -> None:
    watch = DriftWatch(galleries, clock)
    reference = [an_hour(number, 40) for number in range(168)]
    galleries.observations.log.add(reference)
    watch.see(reference)
    assert metrics(watch)["facet_drift_sources:g"] == 0, "faces of the reference period are compared with nothing"
    watch.see([an_hour(169, 130)])
    watch.see([an_hour(170, 130)])
    assert metrics(watch)["facet_drift_changed_sources:g"] == 0
    clock.advance(hours=176)
    for number in (171, 172):
        watch.see([an_hour(number, 260, brightness=0.3)])
        clock.advance(hours=1)
    state = watch.states()["g"]["camera:door"]
    assert state.since == NOON + 176 * HOUR
    assert [each.name for each in state.drift.moved] == ["brightness"]
    told = metrics(watch)
    assert (told["facet_drift_sources:g"], told["facet_drift_changed_sources:g"]) == (1, 1)
    assert (told["facet_drift_changed:g:brightness"], told["facet_drift_changed:g:sharpness"]) == (1, 0)
    watch.see([an_hour(173, 260)])
    assert metrics(watch)["facet_drift_changed_sources:g"] == 0


def test_a_new_reference_period_ends_the_alarm_of_its_source(galleries: Galleries, clock: NoonClock) -> None:
    watch = DriftWatch(galleries, clock)
    reference = [an_hour(number, 40) for number in range(168)]
    galleries.observations.log.add(reference)
    clock.advance(hours=176)
    watch.see([an_hour(171, 260, brightness=0.3)])
    watch.forget("g", "camera:other")
    assert metrics(watch)["facet_drift_changed_sources:g"] == 1
    galleries.observations.begin_reference("g", "camera:door", clock())
    watch.forget("g", "camera:door")
    watch.see([an_hour(177, 260, brightness=0.3)])
    assert watch.states() == {"g": {}}, "the new period is not over"


def test_another_server_sees_that_a_new_reference_period_was_begun(galleries: Galleries, clock: NoonClock) -> None:
    watch = DriftWatch(galleries, clock)
    galleries.observations.log.add([an_hour(number, 40) for number in range(168)])
    clock.advance(hours=176)
    watch.see([an_hour(171, 260, brightness=0.3)])
    galleries.observations.begin_reference("g", "", clock())
    clock.advance(minutes=11)
    watch.see([an_hour(177, 260, brightness=0.3)])
    assert watch.states() == {"g": {}}


def test_a_camera_that_is_gone_has_no_alarm(galleries: Galleries, clock: NoonClock) -> None:
    watch = DriftWatch(galleries, clock)
    galleries.observations.log.add([an_hour(number, 40) for number in range(168)])
    clock.advance(hours=176)
    watch.see([an_hour(171, 260, brightness=0.3)])
    assert metrics(watch)["facet_drift_changed_sources:g"] == 1
    clock.advance(days=4)
    assert watch.states() == {}


def test_a_camera_whose_frames_cannot_be_decoded_any_more_has_no_alarm(galleries: Galleries, clock: NoonClock) -> None:
    watch = DriftWatch(galleries, clock)
    galleries.observations.log.add([an_hour(number, 40) for number in range(168)])
    clock.advance(hours=176)
    watch.see([an_hour(171, 260, brightness=0.3)])
    assert metrics(watch)["facet_drift_changed_sources:g"] == 1
    for number in range(4):
        clock.advance(days=1)
        watch.see([replace(an_hour(176 + 24 * number, 0), counts=replace(NOTHING, undecoded=1000))])
    assert watch.states() == {}


def test_a_source_may_be_forgotten_while_others_are_seen(galleries: Galleries) -> None:
    watch = DriftWatch(galleries)
    forgetting = threading.Thread(target=lambda: watch.forget("g", "camera:door"))

    class GalleryId(str):
        """An id during whose next hash another thread forgets its source, unless that has to wait."""

        __slots__ = ()

        def __hash__(self) -> int:
            if forgetting.ident is None and is_armed.is_set():
                forgetting.start()
                forgetting.join(0.2)
            return super().__hash__()

    is_armed = threading.Event()
    watch.see([replace(an_hour(0, 1), gallery_id=GalleryId("g"))])
    is_armed.set()
    watch.see([replace(an_hour(0, 1), source="camera:gate")])
    forgetting.join()
    assert watch.states() == {"g": {}}


def test_a_deleted_gallery_is_forgotten(galleries: Galleries, clock: NoonClock) -> None:
    watch = DriftWatch(galleries, clock)
    watch.see([an_hour(0, 100)])
    galleries.delete_gallery("g", force=True)
    watch.see([an_hour(0, 200)])
    assert watch.states() == {}


def test_a_new_gallery_is_not_compared_with_the_reference_period_of_one_that_had_its_id(
    galleries: Galleries, clock: NoonClock
) -> None:
    watch = DriftWatch(galleries, clock)
    reference = [an_hour(number, 40) for number in range(168)]
    galleries.observations.log.add(reference)
    watch.see(reference)
    clock.advance(hours=176)
    watch.see([an_hour(171, 260, brightness=0.3)])
    assert watch.states()["g"]
    galleries.delete_gallery("g", force=True)
    galleries.create_gallery("g", display_name="")
    watch.see([an_hour(176, 260, brightness=0.3)])
    assert watch.states() == {"g": {}}


def test_galleries_whose_faces_have_changed_come_before_a_hundred_that_have_nothing_to_say(
    galleries: Galleries, clock: NoonClock
) -> None:
    watch = DriftWatch(galleries, clock)
    others = [f"a{number}" for number in range(100)]
    for each in others:
        galleries.create_gallery(each, display_name="")
    watch.see([replace(an_hour(0, 10), gallery_id=each) for each in others])
    galleries.observations.log.add([an_hour(number, 40) for number in range(168)])
    clock.advance(hours=176)
    watch.see([an_hour(171, 260, brightness=0.3)])
    assert next(iter(watch.states())) == "g"
    assert metrics(watch)["facet_drift_changed_sources:g"] == 1
