"""The errors of calibrated galleries are estimated for metrics, once an hour at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from facet.server.monitoring.error_estimates import ErrorEstimates
from gallery.galleries import Galleries
from gallery.observations.records import HOUR, Observation, start_of
from gallery.records.galleries import GalleryChange
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.integration.gallery.stores.samples import CALIBRATION
from tests.unit.gallery.observations.faces import a_tally
from tests.unit.gallery.samples import CONTRACT, DIMENSION
from tests.unit.server.monitoring.samples import NOON, NoonClock

SEEN = Observation("g", "camera:door", start_of(NOON, HOUR), HOUR, a_tally(200, 100, 0).counts())


@pytest.fixture
def clock() -> NoonClock:
    return NoonClock()


@pytest.fixture
def galleries(tmp_path: Path, clock: NoonClock) -> Iterator[Galleries]:
    store = SqliteStore(tmp_path / "facet.db")
    made = Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5, clock=clock)
    made.create_gallery("g", display_name="", threshold=0.34)
    made.observations.log.add([SEEN])
    clock.advance(minutes=30)
    yield made
    made.close()


def shares(estimates: ErrorEstimates) -> dict[str, float]:
    return {
        f"{sample.labels['figure']}:{sample.labels['bound']}": sample.value
        for metric in estimates.collect()
        for sample in metric.samples
    }


def calibrate(galleries: Galleries) -> None:
    curve = ((0.1, 0.9), (0.2, 0.5), (0.3, 0.01), (0.4, 0.0005))
    calibration = replace(CALIBRATION, contract=CONTRACT, mean_of_best=1, create_time=NOON, curve=curve, templates=100)
    galleries.update_gallery("g", GalleryChange(threshold=0.34, calibration=calibration))


def test_shares_have_their_intervals_and_are_estimated_once_an_hour(galleries: Galleries, clock: NoonClock) -> None:
    calibrate(galleries)
    estimates = ErrorEstimates(galleries, clock)
    estimates.see([SEEN])
    first = shares(estimates)
    assert first["unknown_share:low"] <= 1 / 3 <= first["unknown_share:high"]
    assert first["fpir:low"] <= first["fpir:value"] <= first["fpir:high"]
    galleries.observations.log.add([replace(SEEN, counts=a_tally(0, 900, 0).counts())])
    estimates.see([SEEN])
    assert shares(estimates) == first
    clock.advance(hours=1)
    estimates.see([SEEN])
    assert shares(estimates)["unknown_share:value"] > first["unknown_share:high"]
    galleries.delete_gallery("g")
    estimates.see([SEEN])
    assert shares(estimates) == {}


def test_searches_before_a_switch_of_the_model_are_in_no_estimate(galleries: Galleries, clock: NoonClock) -> None:
    calibrate(galleries)
    clock.advance(hours=2)
    estimates = ErrorEstimates(galleries, clock)
    galleries.observations.begin_reference("g", "", clock())  # as a switch does
    estimates.see([SEEN])
    assert shares(estimates) == {}


def test_galleries_without_figures_leave_their_places_to_others(galleries: Galleries, clock: NoonClock) -> None:
    calibrate(galleries)
    others = [f"a{number}" for number in range(100)]
    for each in others:
        galleries.create_gallery(each, display_name="")
    estimates = ErrorEstimates(galleries, clock)
    estimates.see([replace(SEEN, gallery_id=each) for each in others])
    estimates.see([SEEN])
    assert "fpir:value" in shares(estimates)


def test_without_a_calibration_nothing_is_estimated(galleries: Galleries, clock: NoonClock) -> None:
    estimates = ErrorEstimates(galleries, clock)
    estimates.see([SEEN])
    assert shares(estimates) == {}
